//! Which rung of recovery is next: from the diagnosis, what was tried, what has helped before, and what may be done. Pure, and
//! without the planner: [docs/adr/0019](../../../docs/adr/0019-one-ladder-of-recovery.md) has the reasons.

use std::collections::BTreeMap;

use crate::model::{Decision, Diagnosis, Experience, FailureCause, Rule, Rung};

/// Restarts that come before anything else.
const RESTARTS: usize = 2;

/// What a rung is chosen by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Situation<'a> {
    /// What the failure comes from; `None`: not known yet.
    pub diagnosis: Option<&'a Diagnosis>,
    /// The engine's own words say so: it is so each time.
    pub proven: bool,
    /// It failed soon after its start.
    pub soon: bool,
    /// What was decided since it was last stable, oldest first, as far back as it is kept.
    pub tried: &'a [Decision],
    /// How often each rung was taken since then.
    pub taken: Option<&'a BTreeMap<Rung, u32>>,
    /// Attempts since then.
    pub spent: u32,
    /// Of so many.
    pub max: u32,
    /// What the specification allows, and what there is to it.
    pub possible: Vec<Rung>,
    /// What a person rejected for this failure.
    pub rejected: &'a [Rung],
    /// What is known of this failure.
    pub experience: Vec<&'a Experience>,
    /// How it did with this image.
    pub image: ImageStanding,
}

/// How a service did with the image that it fails with, under the same specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ImageStanding {
    /// It has never been well with any.
    #[default]
    Unproven,
    /// It has been well with this one.
    Worked,
    /// It has been well with another one, and not with this.
    New,
}

/// What kind of cause it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// A rung of the ladder may help.
    Open,
    /// Comes from outside, or from what is declared: it passes, or it does not.
    Passing,
    /// Comes from what is in the image, each time.
    OfImage,
    /// Comes from rights: of the image, or of what is around it.
    OfRights,
    /// Comes from what only a person can make room in.
    OfHost,
}

/// The next rung and why; without a rung, why there is none.
pub(crate) fn choose(situation: &Situation<'_>) -> (Option<Rung>, Rule) {
    if situation.spent >= situation.max {
        return (None, Rule::AttemptsSpent);
    }
    let Some(diagnosis) = situation.diagnosis else { return undiagnosed(situation) };
    let nature = nature(diagnosis.cause);
    if let Some(verdict) = useless(situation, nature, diagnosis) {
        return verdict;
    }
    if situation.tried.is_empty() && !situation.proven && situation.open(Rung::Restart) {
        return (Some(Rung::Restart), Rule::FirstAttempt);
    }
    if nature == Nature::Open { climb(situation) } else { only_restart(situation, nature) }
}

/// Whether what a person has to mend may be mended without a word to us: it has worked as it is, or is not even its own.
pub(crate) fn may_be_mended(situation: &Situation<'_>) -> bool {
    let of_host = situation.diagnosis.is_some_and(|diagnosis| nature(diagnosis.cause) == Nature::OfHost);
    (of_host || situation.image == ImageStanding::Worked) && situation.open(Rung::Restart)
}

fn nature(cause: FailureCause) -> Nature {
    use FailureCause::*;
    match cause {
        ApplicationError | CrashLoop | Unhealthy | Unknown => Nature::Open,
        MissingCommand | ExecFormat | WrongPlatform => Nature::OfImage,
        PermissionDenied | ImageDenied => Nature::OfRights,
        DiskFull => Nature::OfHost,
        // What is not named: nothing done with the container or its image is known to help.
        _ => Nature::Passing,
    }
}

impl Situation<'_> {
    /// Whether a rung may be taken.
    fn open(&self, rung: Rung) -> bool {
        self.possible.contains(&rung) && !self.rejected.contains(&rung)
    }

    fn tried(&self, rung: Rung) -> usize {
        let kept = self.tried.iter().filter(|decision| decision.rung == rung).count();
        let counted = self.taken.and_then(|taken| taken.get(&rung)).copied().unwrap_or_default();
        kept.max(usize::try_from(counted).unwrap_or(usize::MAX))
    }

    fn is_hopeless(&self, rung: Rung) -> bool {
        self.experience.iter().any(|known| known.rung == rung && known.is_hopeless())
    }

    /// It failed so before, in this very series.
    fn is_repeated(&self, diagnosis: &Diagnosis) -> bool {
        self.tried.last().is_some_and(|last| last.cause == diagnosis.cause || last.signature == diagnosis.kin())
    }

    /// There is a rung, or nothing is left that may be done.
    fn nothing_left(&self) -> (Option<Rung>, Rule) {
        (None, if self.rejected.is_empty() { Rule::NothingAllowed } else { Rule::Rejected })
    }
}

/// What is done before it is known what it comes from: nothing that could be harmful against one cause or other.
fn undiagnosed(situation: &Situation<'_>) -> (Option<Rung>, Rule) {
    let rule = if situation.spent == 0 { Rule::FirstAttempt } else { Rule::Undiagnosed };
    let gentle = [Rung::Restart, Rung::Recreate].into_iter().find(|rung| situation.open(*rung));
    gentle.map_or_else(|| situation.nothing_left(), |rung| (Some(rung), rule))
}

/// What needs a person ends attempts: at once where the engine itself says so, else when it comes again soon after the restart.
fn useless(situation: &Situation<'_>, nature: Nature, diagnosis: &Diagnosis) -> Option<(Option<Rung>, Rule)> {
    let certain = situation.proven || (situation.soon && situation.is_repeated(diagnosis));
    if !certain || matches!(nature, Nature::Open | Nature::Passing) {
        return None;
    }
    let back = || situation.open(Rung::Rollback) && situation.tried(Rung::Rollback) == 0;
    match (nature, situation.image) {
        (Nature::OfImage, ImageStanding::Worked) => None,
        (Nature::OfImage | Nature::OfRights, ImageStanding::New) if back() => Some((Some(Rung::Rollback), Rule::NewImage)),
        _ => Some((None, Rule::NeedsPerson)),
    }
}

/// Restarts, until the attempts are spent.
fn only_restart(situation: &Situation<'_>, nature: Nature) -> (Option<Rung>, Rule) {
    let rule = if nature == Nature::OfImage { Rule::MayBeBack } else { Rule::OnlyRestart };
    if situation.open(Rung::Restart) { (Some(Rung::Restart), rule) } else { situation.nothing_left() }
}

/// Up the ladder: what has helped before, else the gentlest that was not tried and is not known to be in vain.
fn climb(situation: &Situation<'_>) -> (Option<Rung>, Rule) {
    let fresh = |rung: &Rung| {
        let tries = if *rung == Rung::Restart { RESTARTS } else { 1 };
        situation.open(*rung) && situation.tried(*rung) < tries
    };
    let helped = situation.experience.iter().filter(|known| known.helps() && fresh(&known.rung));
    if let Some(known) = helped.max_by_key(|known| (known.held - known.failed, std::cmp::Reverse(known.rung))) {
        return (Some(known.rung), Rule::HelpedBefore);
    }
    if let Some(rung) = order(situation.image).into_iter().find(|rung| fresh(rung) && !situation.is_hopeless(*rung)) {
        let rule = match rung {
            Rung::Restart => Rule::MayPass,
            Rung::Rollback if situation.image == ImageStanding::New => Rule::NewImage,
            rung => less_than(situation, rung),
        };
        return (Some(rung), rule);
    }
    let gentle = [Rung::Restart, Rung::Recreate].into_iter().find(|rung| situation.open(*rung));
    gentle.map_or_else(|| situation.nothing_left(), |rung| (Some(rung), Rule::AllTried))
}

/// Why it is none of the rungs before: what was rejected was not tried.
fn less_than(situation: &Situation<'_>, rung: Rung) -> Rule {
    let mut less = order(situation.image).into_iter().take_while(|less| *less != rung);
    let rejected = |less: Rung| situation.rejected.contains(&less) && situation.tried(less) == 0;
    match less.find(|less| rejected(*less)) {
        Some(Rung::Restart) => Rule::RestartRejected,
        Some(_) => Rule::LessRejected,
        None => Rule::NothingLessHelped,
    }
}

/// With a new image that has never worked, the one before is the likelier remedy than anything done with the new one.
fn order(image: ImageStanding) -> [Rung; 5] {
    match image {
        ImageStanding::New => [Rung::Restart, Rung::Rollback, Rung::Recreate, Rung::Pull, Rung::Rebuild],
        ImageStanding::Worked | ImageStanding::Unproven => Rung::ALL,
    }
}

#[cfg(test)]
mod tests;
