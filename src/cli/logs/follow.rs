//! Logs that go on: each replica is followed on its own, over restarts and replacements.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
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
    let mut known: Vec<ReplicaId> = vec![];
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut away = false;
    loop {
        tokio::select! {
            Some((id, line)) = lines.recv() => printer.print(&id, &line)?,
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
                for id in found.into_iter().filter(|id| !known.contains(id)).take(AT_A_TIME - known.len().min(AT_A_TIME)).collect::<Vec<_>>() {
                    printer.meet(&id);
                    let mark = marks.remove(&id).unwrap_or_default();
                    followers.spawn(Follower::new(question, id.clone(), mark, sender.clone()).run());
                    known.push(id);
                }
            }
        }
    }
}

impl Follower {
    fn new(question: &Question<'_>, id: ReplicaId, mark: Mark, lines: mpsc::Sender<(ReplicaId, Line)>) -> Self {
        let Question { api, namespace, deployment, since, .. } = *question;
        let (namespace, deployment) = (namespace.to_owned(), deployment.to_owned());
        Self { api: api.clone(), namespace, deployment, since, id, mark, lines }
    }

    /// Opens the log again and again, each time where it was left.
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.read().await {
                Ok(0) => pause = (pause * 2).min(LONGEST_PAUSE),
                Ok(_) => pause = FIRST_PAUSE,
                // The look for new replicas tells of an operator that is away.
                Err(Failure::ClosedPipe) => return,
                Err(failure) if is_absent(&failure) => pause = FIRST_PAUSE,
                Err(_) => pause = LONGEST_PAUSE,
            }
            tokio::time::sleep(pause).await;
        }
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
