//! Containers: whose they are, and what somebody else set on them.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};

use super::{Finding, Known, Subject};
use crate::docker::ContainerLine;
use crate::model::{DockerRestart, Key, labels};

/// Containers that are looked at side by side.
const AT_A_TIME: usize = 8;
/// Names that are told before it is only said how many more there are.
const NAMES: usize = 5;

/// Other operators, leftovers, and Docker's own restart policies on containers of ours.
pub(super) async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    // An engine that does not answer has been told already.
    let Ok(lines) = subject.engine.list_containers().await else { return vec![] };
    let instance = |line: &ContainerLine| line.labels.get(labels::INSTANCE).cloned();
    let ours: Vec<&ContainerLine> = lines.iter().filter(|line| instance(line).as_deref() == Some(subject.instance)).collect();
    let mut findings = vec![others(&lines, subject.instance, ours.len())];
    if let Some(known) = &subject.operator {
        let kept = with_policies(subject, &ours).await;
        findings.push(leftovers(&ours, &kept, &known.deployments));
        findings.push(policies(&ours, &kept, known));
    }
    findings
}

fn others(lines: &[ContainerLine], own: &str, ours: usize) -> Finding {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let names = lines.iter().filter_map(|line| line.labels.get(labels::INSTANCE)).filter(|name| name.as_str() != own);
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut says = format!("{ours} of this operator (instance {own})");
    if !counts.is_empty() {
        let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        says.push_str(&format!("; of other operators on this engine, which leave ours alone: {}", told(&all)));
    }
    Finding::ok("containers", says)
}

fn key(line: &ContainerLine) -> Option<Key> {
    Some(Key::new(line.labels.get(labels::NAMESPACE)?, line.labels.get(labels::DEPLOYMENT)?))
}

/// The ids of those that Docker restarts by itself.
async fn with_policies(subject: &Subject<'_>, ours: &[&ContainerLine]) -> BTreeSet<String> {
    let engine = subject.engine;
    let ids: Vec<String> = ours.iter().map(|line| line.id.clone()).collect();
    let looks = stream::iter(ids).map(|id| async move { engine.inspect_container(&id).await });
    let seen: Vec<_> = looks.buffered(AT_A_TIME).collect().await;
    let seen = seen.into_iter().filter_map(|look| look.ok().flatten());
    seen.filter(|seen| seen.restart_policy != DockerRestart::No).map(|seen| seen.id).collect()
}

/// What no Deployment stands for. Those that Docker keeps up were given back to it when theirs was deleted.
fn leftovers(ours: &[&ContainerLine], kept: &BTreeSet<String>, deployments: &BTreeSet<Key>) -> Finding {
    let left = ours.iter().filter(|line| key(line).is_none_or(|key| !deployments.contains(&key)));
    let (given, left): (Vec<_>, Vec<_>) = left.partition(|line| kept.contains(&line.id));
    let names = |lines: Vec<&&ContainerLine>| lines.into_iter().map(|line| line.name.clone()).collect::<Vec<String>>();
    let (given, left) = (names(given), names(left));
    if left.is_empty() {
        let none = || Finding::ok("leftovers", "none");
        return if given.is_empty() {
            none()
        } else {
            Finding::ok("leftovers", format!("given back to Docker: {}", told(&given)))
        };
    }
    Finding::warn(
        "leftovers",
        format!("containers of ours whose deployment is not known: {}", told(&left)),
        "apply its manifest to take them back, or remove them with docker rm",
    )
}

/// Docker's own policies on what evenkeel looks after.
fn policies(ours: &[&ContainerLine], kept: &BTreeSet<String>, known: &Known) -> Finding {
    let looked_after =
        |line: &&&ContainerLine| key(line).is_some_and(|key| known.deployments.contains(&key) && !known.released.contains(&key));
    let foreign = ours.iter().filter(looked_after).filter(|line| kept.contains(&line.id));
    let foreign: Vec<String> = foreign.map(|line| line.name.clone()).collect();
    if foreign.is_empty() {
        return Finding::ok("restart policies", "none of Docker's own on containers of ours");
    }
    Finding::warn(
        "restart policies",
        format!("Docker restarts these by itself, beside evenkeel: {}", told(&foreign)),
        "evenkeel takes them off at its next look; if they stay, see `evenkeel describe`: the deployment may be suspended, or only observed",
    )
}

fn told(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::model::ContainerState;

    fn line(name: &str, instance: &str, deployment: &str) -> ContainerLine {
        let pairs = [(labels::INSTANCE, instance), (labels::NAMESPACE, "default"), (labels::DEPLOYMENT, deployment)];
        ContainerLine {
            id: name.to_owned(),
            name: name.to_owned(),
            state: ContainerState::Running,
            status: String::new(),
            labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    #[test]
    fn containers_are_told_by_whose_they_are() {
        let lines = [line("web-app-1", "default", "web"), line("x-app-1", "other", "x")];
        let seen = others(&lines, "default", 1);
        assert_eq!(
            seen.message,
            "1 of this operator (instance default); of other operators on this engine, which leave ours alone: other: 1"
        );
        let known = BTreeSet::from([Key::new("default", "web")]);
        let none = BTreeSet::new();
        assert_eq!(leftovers(&[&lines[0]], &none, &known).result, Verdict::Ok);
        let old = line("old-app-1", "default", "old");
        assert!(leftovers(&[&lines[0], &old], &none, &known).message.ends_with("not known: old-app-1"));
        let kept = BTreeSet::from([old.id.clone(), lines[0].id.clone()]);
        let given_back = leftovers(&[&lines[0], &old], &kept, &known);
        assert_eq!((given_back.result, given_back.message.as_str()), (Verdict::Ok, "given back to Docker: old-app-1"));
        let known = Known { deployments: known, ..Known::default() };
        assert!(policies(&[&lines[0], &old], &kept, &known).message.ends_with("beside evenkeel: web-app-1"));
        let known = Known { released: known.deployments.clone(), ..known };
        assert_eq!(policies(&[&lines[0], &old], &kept, &known).result, Verdict::Ok);
    }
}
