//! A plan as stable text: what golden tests compare and `evenkeel plan` shows.

use std::fmt;

use crate::model::{
    Action, Cause, DependencyCondition, DockerRestart, Note, Op, Plan, Rule, Rung, StopReason, Target, WaitReason, Waiting,
};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan for {}, generation {}", self.key, self.generation)?;
        let adoptions: Vec<String> = self.notes.iter().filter_map(adoption).collect();
        if self.actions.is_empty() && self.withheld.is_empty() && self.waiting.is_empty() && adoptions.is_empty() {
            return writeln!(f, "  converged");
        }
        for adoption in adoptions {
            writeln!(f, "  {adoption}")?;
        }
        for (index, action) in self.actions.iter().enumerate() {
            writeln!(f, "  {index}. {action}")?;
        }
        for action in &self.withheld {
            writeln!(f, "  withheld: {action}")?;
        }
        for waiting in &self.waiting {
            writeln!(f, "  waiting: {waiting}")?;
        }
        Ok(())
    }
}

/// What is taken over from Compose, in words.
pub(crate) fn adoption(note: &Note) -> Option<String> {
    match note {
        Note::Adopted { replica, name, record, at_rest } => {
            let policy = match record.restart {
                DockerRestart::No => String::new(),
                ref policy => format!(", its restart policy {policy} becomes no"),
            };
            let rest = if at_rest.is_some() { ", it does not run and stays so" } else { "" };
            let differs = if record.differs.is_empty() { String::new() } else { format!("; {}", record.differs.join("; ")) };
            Some(format!("adopt container {name} ({}) as replica {replica}{policy}{rest}{differs}", short(&record.container_id)))
        }
        Note::AdoptedNetwork { name, record } => Some(format!("adopt network {name} ({})", short(&record.id))),
        Note::AdoptedVolume { name, .. } => Some(format!("adopt volume {name}")),
        _ => None,
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, because {}", self.op, self.cause)?;
        if !self.after.is_empty() {
            let after: Vec<String> = self.after.iter().map(ToString::to_string).collect();
            write!(f, " (after {})", after.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork(spec) => write!(f, "create network {}", spec.name),
            Self::RemoveNetwork { id } => write!(f, "remove network {}", short(id)),
            Self::CreateVolume(spec) => write!(f, "create volume {}", spec.name),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Pull { image, .. } => write!(f, "pull image {image}"),
            Self::Build { spec, .. } => write!(f, "build image {}", spec.image),
            Self::CreateContainer { spec, .. } => write!(f, "create container {} from {}", spec.name, spec.image),
            Self::Start(target) => write!(f, "start container {target}"),
            Self::Stop { target, grace, reason } => {
                write!(f, "stop container {target} within {grace}s")?;
                match reason {
                    StopReason::Held | StopReason::Remove => Ok(()),
                    StopReason::Restart | StopReason::Unhealthy => f.write_str(" to start it again"),
                    StopReason::Replace => f.write_str(" to replace it"),
                }
            }
            Self::Signal { target, signal, .. } => write!(f, "send {signal} to container {target}"),
            Self::RemoveContainer(target) => write!(f, "remove container {target}"),
            Self::Rename { target, to } => write!(f, "rename container {target} to {to}"),
            Self::Connect { target, name, .. } => write!(f, "connect container {target} to network {name}"),
            Self::Disconnect { target, network } => write!(f, "disconnect container {target} from network {network}"),
            Self::SetRestartPolicy { target, policy } => write!(f, "set restart policy of container {target} to {policy}"),
            Self::Tag { image_id, reference } => write!(f, "tag image {} as {reference}", short(image_id)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for DockerRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(max) => write!(f, "on-failure:{max}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is declared and not there"),
            Self::Vanished => f.write_str("it was there and somebody removed it"),
            Self::Created => f.write_str("it was just made"),
            Self::SpecChanged => f.write_str("its specification changed"),
            Self::NotDeclared => f.write_str("it is not declared any more"),
            Self::Deleted => f.write_str("its Deployment is being deleted"),
            Self::Held { reason } => write!(f, "a Hold says stopped ({reason})"),
            Self::DeclaredStopped => f.write_str("the manifest says spec.state: Stopped"),
            Self::HoldEnded => f.write_str("nothing holds it any more"),
            Self::StopReverted => f.write_str("it was stopped from outside and externalStop is Revert"),
            Self::Recovery { attempt, max, failure, rung, rule } => {
                write!(f, "it ended: {failure}; attempt {attempt} of {max}{}", chosen(*rung, *rule))
            }
            Self::Unhealthy { attempt, max, failure, rung, rule } => {
                write!(f, "it is {failure}; attempt {attempt} of {max}{}", chosen(*rung, *rule))
            }
            Self::Remedy { replica, cause } => write!(f, "replica {replica}: {cause}"),
            Self::RolledBack { from, to } => {
                write!(f, "its image {} failed and {} worked", digest(from), digest(to))
            }
            Self::EngineRestarted => f.write_str("it went down with the daemon or the host"),
            Self::IntentUnknown => f.write_str("it should run, and nobody saw why it does not"),
            Self::RestartRequested => f.write_str("a restart was asked for"),
            Self::RecreateRequested => f.write_str("a recreation was asked for"),
            Self::StartRequested => f.write_str("a start was asked for"),
            Self::Unfinished => f.write_str("an earlier step was left half-way"),
            Self::DependencyRestarted { service } => write!(f, "service {service} was restarted or replaced"),
            Self::NetworkChanged => f.write_str("it is not on the network it should be on"),
            Self::PolicyDrift => f.write_str("Docker's own restart policy must stay out of it"),
            Self::Adopted => f.write_str("it is taken over from docker compose"),
            Self::Released => f.write_str("it is given back to Docker"),
            Self::Renamed => f.write_str("its name is not the declared one"),
            Self::TagMissing => f.write_str("the image lost its tag"),
            Self::InputChanged => f.write_str("what it is built from changed"),
            Self::FilesChanged { paths } => match paths.as_slice() {
                [first, _, ..] => write!(f, "{first} and {} more of its mounted files changed", paths.len() - 1),
                paths => write!(f, "its mounted file {} changed", paths.first().map_or("", String::as_str)),
            },
            Self::RebuildRequested => f.write_str("a build was asked for"),
            Self::PullAlways { made, .. } => write!(f, "pull_policy is always and a container is to be made: {made}"),
            Self::PullDue => f.write_str("pull_policy asks for a look at the registry"),
            Self::PullRequested => f.write_str("a pull was asked for"),
            Self::ImageChanged { from, to } => write!(f, "its image changed: {} is now {}", digest(from), digest(to)),
        }
    }
}

/// The rung and the rule, where there is more to say than that it is tried again.
fn chosen(rung: Rung, rule: Rule) -> String {
    match (rung, rule) {
        (Rung::Restart, Rule::FirstAttempt | Rule::MayPass | Rule::Undiagnosed | Rule::AllTried) => String::new(),
        (rung, rule) => format!(": {rung}, since {}", rule.words()),
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output of a build comes in lines: what is said of all of it belongs to the first.
        let reason = self.reason.to_string();
        let mut lines = reason.lines();
        write!(f, "{}: {}", self.subject, lines.next().unwrap_or_default())?;
        if let Some(until) = self.until {
            write!(f, " (until {})", rounded(until))?;
        }
        lines.try_for_each(|line| write!(f, "\n    {}", line.trim_start()))
    }
}

/// A time to the millisecond: enough for people.
fn rounded(at: jiff::Timestamp) -> jiff::Timestamp {
    at.round(jiff::Unit::Millisecond).unwrap_or(at)
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackOff { attempt, max, failure } => write!(f, "{failure}; attempt {attempt} of {max} comes next"),
            Self::BackOffExhausted { failure, rule, again: true, .. } => {
                write!(f, "{}: {failure}; mend it, it is tried again by itself, or with `evenkeel retry`", rule.words())
            }
            Self::BackOffExhausted { attempts, failure, rule: Rule::AttemptsSpent, .. } => {
                write!(f, "given up after {attempts} attempts: {failure}; mend it, then `evenkeel retry`")
            }
            Self::BackOffExhausted { attempts, failure, rule, .. } => {
                write!(f, "given up after {attempts} attempts, since {}: {failure}; mend it, then `evenkeel retry`", rule.words())
            }
            Self::Unanswered { op } => write!(f, "the engine has not answered yet: {op}"),
            Self::JobFailed { failure } => {
                write!(f, "ran once and failed: {failure}; change the spec or `evenkeel retry` to run it again")
            }
            Self::IntentPending => f.write_str("it ended, and who ended it is being found out"),
            Self::Dependency { service, condition, failed } => match failed {
                false => write!(f, "service {service} {}", condition_text(*condition)),
                true => write!(f, "service {service} {}, which it will not get to by itself", condition_text(*condition)),
            },
            Self::Completed => f.write_str("ran to its end"),
            Self::RollingUpdate { replica } => write!(f, "replica {replica} is replaced first"),
            Self::Pulling => f.write_str("being pulled"),
            Self::Building { failed: None, .. } => f.write_str("being built"),
            Self::Building { failed: Some(failure), .. } => write!(f, "being built again; the last try: {failure}"),
            Self::ReadingInput => f.write_str("what it is built from is being read"),
            Self::Refreshing => f.write_str("a newer version is being looked for; what runs goes on"),
            Self::NotRefreshed { message } => write!(f, "a newer version could not be looked for, what runs goes on: {message}"),
            Self::RegistryBusy { registry, .. } => write!(f, "registry {registry} has as many pulls under way as it may"),
            Self::Stopping => f.write_str("being stopped"),
            Self::HealthStarting => f.write_str("its probes have no verdict yet"),
            Self::Unhealthy { failure } | Self::ProbeBroken { failure } => f.write_str(failure),
            Self::NotReady { failure } => write!(f, "not ready, {failure}"),
            Self::HealthUnknown => f.write_str("its health check is not being made; how it is, is not known"),
            Self::Paused => f.write_str("paused by a person; `docker unpause` ends it"),
            Self::Removing => f.write_str("Docker is removing it"),
            Self::Restarting => f.write_str("Docker's own restart policy is at work; it is being taken off"),
            Self::Stopped { reason } => write!(f, "stopped ({reason})"),
            Self::Suspended { reason } => write!(f, "suspended ({reason}): observed, not touched"),
            Self::NotOwned { holder } => f.write_str(holder),
            Self::NotAdopted { message } => f.write_str(message),
            Self::Comparing { container } => {
                write!(f, "docker compose made container {container}; it is being held against what is declared")
            }
            Self::Obstacle { message, .. } => f.write_str(message),
            Self::Withheld => f.write_str("the recovery mode keeps evenkeel from acting"),
            Self::Suggested { message } => write!(f, "suggested: {message}"),
        }
    }
}

fn condition_text(condition: DependencyCondition) -> &'static str {
    match condition {
        DependencyCondition::ServiceStarted => "must be started",
        DependencyCondition::ServiceHealthy => "must be healthy",
        DependencyCondition::ServiceCompletedSuccessfully => "must have completed successfully",
    }
}

/// A digest with its algorithm, cut to what tells it from others.
fn digest(text: &str) -> String {
    if text.starts_with("sha256:") { format!("sha256:{}", short(text)) } else { text.to_owned() }
}

/// The first twelve characters of an id, Docker's short form.
fn short(id: &str) -> &str {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    bare.get(..12).unwrap_or(bare)
}
