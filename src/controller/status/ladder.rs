//! Recovery, as the status shows it: what was decided, and what is suggested.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::crd::{DecisionStatus, SuggestionStatus};
use crate::model::{Decision, Suggestion};

use super::Sight;

/// Decisions that are shown.
const SHOWN: usize = 10;

/// The newest decisions, newest last.
pub(super) fn decisions(sight: &Sight<'_>) -> Vec<DecisionStatus> {
    let all = sight.history.replicas.iter();
    let mut all: Vec<(&String, &Decision)> =
        all.flat_map(|(name, record)| record.decisions.iter().map(move |decision| (name, decision))).collect();
    all.sort_by_key(|(_, decision)| decision.at);
    let newest = &all[all.len().saturating_sub(SHOWN)..];
    newest.iter().map(|(name, decision)| shown(name, decision)).collect()
}

fn shown(replica: &str, decision: &Decision) -> DecisionStatus {
    DecisionStatus {
        at: Some(MicroTime(decision.at)),
        replica: replica.to_owned(),
        attempt: decision.attempt,
        rung: decision.rung.to_string(),
        rule: decision.rule.to_string(),
        failure: decision.failure.clone(),
        cause: decision.cause.to_string(),
        signature: decision.signature.clone(),
        evidence: decision.evidence.clone(),
        result: decision.result.to_string(),
        trace_id: decision.trace_id.clone(),
    }
}

/// What waits for a person's answer.
pub(super) fn suggestions(sight: &Sight<'_>) -> Vec<SuggestionStatus> {
    let open = sight.history.suggestions.iter().filter(|(_, suggestion)| suggestion.answer.is_none());
    open.map(|(replica, suggestion)| suggested(sight, replica, suggestion)).collect()
}

fn suggested(sight: &Sight<'_>, replica: &str, suggestion: &Suggestion) -> SuggestionStatus {
    let found = suggestion.diagnosis.as_ref();
    SuggestionStatus {
        id: suggestion.id.clone(),
        replica: replica.to_owned(),
        rung: suggestion.rung.map(|rung| rung.to_string()),
        why: suggestion.why.clone(),
        actions: suggestion.actions.clone(),
        cause: found.map(|found| found.cause.to_string()),
        message: found.map(|found| found.message.clone()),
        evidence: found.map(|found| found.evidence.clone()).unwrap_or_default(),
        at: Some(Time(suggestion.at)),
        approve: sight.desired.key.approve_path(),
    }
}
