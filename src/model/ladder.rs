//! Recovery as a ladder: its rungs, why one is chosen, what came of it, and what a person may decide instead.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Diagnosis, FailureCause};

/// Decisions that are kept of a replica.
pub const DECISIONS: usize = 10;

/// Pieces of experience that are kept of a Deployment: those of longest ago go first.
pub const EXPERIENCE: usize = 64;

/// What recovery may do, in the order of how much it changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// Start the same container again.
    #[default]
    Restart,
    /// Make it anew.
    Recreate,
    /// Pull its image, and make it anew where that brought another one.
    Pull,
    /// Build its image without cached layers, and make it anew where that made another one.
    Rebuild,
    /// Go back to the last image that worked.
    Rollback,
}

/// Why a rung is chosen, or none: one closed list, documented in docs/reasons.md.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// The first attempt is made at once, whatever it comes from.
    #[default]
    FirstAttempt,
    /// What it comes from is not known.
    Undiagnosed,
    /// A few restarts come before anything else.
    MayPass,
    /// Nothing but a restart can help against such a cause.
    OnlyRestart,
    /// It helped against this failure before.
    HelpedBefore,
    /// What comes before it on the ladder did not help.
    NothingLessHelped,
    /// A person rejected the restart that comes before it on the ladder.
    RestartRejected,
    /// A person rejected something else that comes before it.
    LessRejected,
    /// It fails with this image, and worked with the one before.
    NewImage,
    /// All that may help was tried; the attempts that are left are restarts.
    AllTried,
    /// What it needs around it may be there again.
    MayBeBack,
    /// No rung: all attempts are spent.
    AttemptsSpent,
    /// No rung: only a person can mend it.
    NeedsPerson,
    /// No rung: `recovery.actions` has none that could help.
    NothingAllowed,
    /// No rung: a person rejected all that could help.
    Rejected,
}

/// One decision of recovery, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// When it was carried out.
    pub at: Timestamp,
    /// The failure that it is about: when that was.
    pub failed_at: Timestamp,
    /// Attempt number, from 1.
    pub attempt: u32,
    /// What was done.
    pub rung: Rung,
    /// Why that.
    pub rule: Rule,
    /// What failed, for people.
    pub failure: String,
    /// What that comes from, as far as it is known by now.
    pub cause: FailureCause,
    /// What makes the failure this one; empty: not known yet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// What the diagnosis rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Full id of the container that failed; empty: there was none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// What came of it.
    pub result: DecisionResult,
    /// Trace of the turn that carried it out, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecisionResult {
    /// Not known yet.
    #[default]
    Pending,
    /// The replica was well for the verify window.
    Held,
    /// It failed again before that.
    Failed,
}

/// What is known of a rung against a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Experience {
    /// The service whose replicas fail so: the context.
    pub service: String,
    /// What makes the failure this one.
    pub signature: String,
    /// The rung.
    pub rung: Rung,
    /// How often the replica was well for the verify window afterwards.
    pub held: u32,
    /// How often it failed again before that.
    pub failed: u32,
    /// How often a person approved it as a suggestion.
    pub approved: u32,
    /// How often a person rejected it.
    pub rejected: u32,
    /// When something was learned last.
    pub at: Timestamp,
}

/// An image with which a service was well for the verify window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoodImage {
    /// Under which specification.
    pub spec_hash: String,
    /// The reference, as declared.
    pub reference: String,
    /// Its id, `sha256:..`.
    pub image_id: String,
}

/// A service's image that was taken back to one that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// Under which specification; another one ends it.
    pub spec_hash: String,
    /// Id of the image that failed: no container is made from it.
    pub from: String,
    /// Id of the one that worked.
    pub to: String,
    /// When. A pull or a build that is asked for later ends it.
    pub at: Timestamp,
}

/// What recovery would do and may not do by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Suggestion {
    /// `<service>-<number>-<four hex digits>`: another one for each situation.
    pub id: String,
    /// Since when it is suggested.
    pub at: Timestamp,
    /// The rung; `None`: it mends something that is not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// What would be done, a line for each call.
    pub actions: Vec<String>,
    /// Why, in the words of the cause.
    pub why: String,
    /// The failure that it is about, where it is about one: when that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// What that comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// What a person said to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// What a person said to a suggestion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// The suggestion's id.
    pub id: String,
    /// It is to be done; else it is not.
    pub approved: bool,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

impl Rung {
    /// All of them, the gentlest first.
    pub const ALL: [Self; 5] = [Self::Restart, Self::Recreate, Self::Pull, Self::Rebuild, Self::Rollback];
}

impl Rule {
    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::FirstAttempt => "the first attempt is made at once",
            Self::Undiagnosed => "what it comes from is not known",
            Self::MayPass => "a few restarts come first",
            Self::OnlyRestart => "nothing but a restart can help against that",
            Self::HelpedBefore => "that helped against this failure before",
            Self::NothingLessHelped => "nothing less has helped",
            Self::RestartRejected => "a restart was rejected",
            Self::LessRejected => "what is less was rejected, or has not helped",
            Self::NewImage => "it fails with this image and worked with the one before",
            Self::AllTried => "all else that may help was tried",
            Self::MayBeBack => "what it needs around it may be there again",
            Self::AttemptsSpent => "all attempts are spent",
            Self::NeedsPerson => "only a person can mend that",
            Self::NothingAllowed => "recovery.actions has nothing that could help",
            Self::Rejected => "all that could help was rejected",
        }
    }
}

impl Decision {
    /// Whether it is about the failure at that time.
    pub fn is_about(&self, failed_at: Timestamp) -> bool {
        self.failed_at == failed_at
    }

    /// Takes in what the failure comes from.
    pub fn explain(&mut self, diagnosis: &Diagnosis) {
        self.cause = diagnosis.cause;
        self.signature = diagnosis.kin();
        self.evidence.clone_from(&diagnosis.evidence);
    }
}

impl Suggestion {
    /// What would be done and why, in one line.
    pub fn in_words(&self) -> String {
        let what = match self.rung {
            Some(rung) => rung.to_string(),
            None => self.actions.first().cloned().unwrap_or_default(),
        };
        let cause = |found: &Diagnosis| format!(" ({})", found.cause);
        let cause = self.diagnosis.as_ref().map(cause).unwrap_or_default();
        format!("{what}, because {}{cause}", self.why)
    }
}

impl Experience {
    /// Whether it is known to help more often than not.
    pub fn helps(&self) -> bool {
        self.held > self.failed && self.rejected <= self.approved
    }

    /// Whether it is known not to help, or not to be wanted.
    pub fn is_hopeless(&self) -> bool {
        (self.held == 0 && self.failed >= 2) || self.rejected > self.approved
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for DecisionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Answer {
    /// As it stands in the annotation: id, `approved` or `rejected`, time, who.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, approved, at, by } = self;
        write!(f, "{id} {} {at} {by}", if *approved { "approved" } else { "rejected" })
    }
}

impl std::str::FromStr for Answer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no answer to a suggestion: ID approved|rejected TIME BY");
        let mut words = text.splitn(4, ' ');
        let (Some(id), Some(word), Some(at), Some(by)) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(wrong());
        };
        let approved = match word {
            "approved" => true,
            "rejected" => false,
            _ => return Err(wrong()),
        };
        Ok(Self { id: id.to_owned(), approved, at: at.parse().map_err(|_| wrong())?, by: by.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let answer = Answer {
            id: "app-1-3f9a".into(),
            approved: false,
            at: "2026-01-01T12:00:00Z".parse().unwrap(),
            by: "cli:root".into(),
        };
        assert_eq!(answer.to_string().parse(), Ok(answer));
        assert!("app-1-3f9a perhaps 2026-01-01T12:00:00Z me".parse::<Answer>().is_err());
    }
}
