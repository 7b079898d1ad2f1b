//! Logs that go on: each replica is followed on its own, over restarts and replacements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::line::{Line, Lines, Mark};
use super::print::Printer;
use super::{AT_A_TIME, Question};
use crate::cli::client::Api;
use crate::cli::failure::Failure;
use crate::cli::output::tell;
use crate::cli::replicas::{Replicas, is_absent};
use crate::model::ReplicaId;

/// How often is looked for replicas that are new.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long after its end a log is opened again: soon at first, for a restart is quick.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// At most; a container may be down for long.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Lines that wait to be shown; a reader that falls behind holds the logs back, and loses nothing.
const WAITING: usize = 256;

/// One replica's log, which a task of its own follows.
struct Follower {
    api: Api,
    namespace: String,
    deployment: String,
    since: Option<jiff::Timestamp>,
    id: ReplicaId,
    mark: Mark,
    lines: mpsc::Sender<(ReplicaId, Line)>,
    /// The replicas that there are.
    listed: watch::Receiver<BTreeSet<ReplicaId>>,
}

/// Shows what is written from the marks on, until the deployment is deleted.
pub async fn follow(
    question: &Question<'_>,
    parts: &[String],
    mut marks: BTreeMap<ReplicaId, Mark>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let (sender, mut lines) = mpsc::channel(WAITING);
    let mut followers = JoinSet::new();
    let (listing, listed) = watch::channel(BTreeSet::new());
    let mut followed = BTreeSet::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let (mut away, mut crowded) = (false, false);
    loop {
        tokio::select! {
            Some((id, line)) = lines.recv() => printer.print(&id, &line)?,
            Some(Ok((id, mark))) = followers.join_next() => {
                followed.remove(&id);
                marks.insert(id, mark);
            }
            _ = looks.tick() => {
                let found = match Replicas::of(question.api, question.namespace, question.deployment).await {
                    Ok(found) => found.named(parts)?,
                    Err(failure) if failure.is_not_found() => return Ok(()),
                    Err(failure) => {
                        if !std::mem::replace(&mut away, true) {
                            failure.report();
                            tell("trying again until it answers");
                        }
                        continue;
                    }
                };
                away = false;
                listing.send_replace(found.iter().cloned().collect());
                for id in found {
                    if followed.contains(&id) {
                        continue;
                    }
                    if followed.len() >= AT_A_TIME {
                        if !std::mem::replace(&mut crowded, true) {
                            tell(&format!("warning: {AT_A_TIME} containers are followed at a time; {id} waits until one of them is gone"));
                        }
                        break;
                    }
                    printer.meet(&id);
                    let mark = marks.remove(&id).unwrap_or_default();
                    followers.spawn(Follower::new(question, id.clone(), mark, sender.clone(), listed.clone()).run());
                    followed.insert(id);
                }
            }
        }
    }
}

impl Follower {
    fn new(
        question: &Question<'_>,
        id: ReplicaId,
        mark: Mark,
        lines: mpsc::Sender<(ReplicaId, Line)>,
        listed: watch::Receiver<BTreeSet<ReplicaId>>,
    ) -> Self {
        let Question { api, namespace, deployment, since, .. } = *question;
        let (namespace, deployment) = (namespace.to_owned(), deployment.to_owned());
        Self { api: api.clone(), namespace, deployment, since, id, mark, lines, listed }
    }

    /// Opens the log again and again, each time where it was left, until the replica is gone; how far it was read.
    async fn run(mut self) -> (ReplicaId, Mark) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.read().await {
                Ok(0) => pause = (pause * 2).min(LONGEST_PAUSE),
                Ok(_) => pause = FIRST_PAUSE,
                // The look for new replicas tells of an operator that is away.
                Err(Failure::ClosedPipe) => break,
                // Scaled down, or being replaced: in a list that was asked for later it may be again.
                Err(failure) if is_absent(&failure) && !self.listed.borrow().contains(&self.id) => break,
                Err(failure) if is_absent(&failure) => pause = FIRST_PAUSE,
                Err(_) => pause = LONGEST_PAUSE,
            }
            tokio::time::sleep(pause).await;
        }
        (self.id, self.mark)
    }

    /// Reads the log to its end; how many lines were new.
    async fn read(&mut self) -> Result<usize, Failure> {
        let question =
            Question { api: &self.api, namespace: &self.namespace, deployment: &self.deployment, tail: None, since: self.since };
        let mut log = Lines::open(&question, &self.id, true, self.mark.at.or(self.since), None).await?;
        self.mark.rewind();
        let mut new = 0;
        while let Some(line) = log.next().await? {
            if self.mark.passes(&line) {
                new += 1;
                self.lines.send((self.id.clone(), line)).await.map_err(|_| Failure::ClosedPipe)?;
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
