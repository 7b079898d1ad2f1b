//! Recovery of a deployment: what it decided, and what it suggests.

use crate::cli::output::{Look, plain, table};
use crate::cli::suggestion::action;
use crate::crd::{DecisionStatus, SuggestionStatus};

/// What was decided, newest last, with what came of it.
pub(super) fn decisions(look: &Look, decisions: &[DecisionStatus]) -> String {
    let row = |decision: &DecisionStatus| {
        vec![
            look.age(decision.at.as_ref().map(|at| at.0)),
            decision.replica.clone(),
            decision.attempt.to_string(),
            decision.rung.clone(),
            decision.rule.clone(),
            decision.cause.clone(),
            decision.result.clone(),
            decision.trace_id.clone().unwrap_or_default(),
            plain(&decision.failure),
        ]
    };
    if decisions.is_empty() {
        return String::new();
    }
    let header = ["AGE", "REPLICA", "ATTEMPT", "RUNG", "RULE", "CAUSE", "RESULT", "TRACE", "FAILURE"];
    table(look, "  ", &header, decisions.iter().map(row).collect())
}

/// What waits for an answer, with the evidence.
pub(super) fn suggestions(name: &str, suggestions: &[SuggestionStatus]) -> String {
    let one = |suggestion: &SuggestionStatus| {
        let id = &suggestion.id;
        let diagnosis = suggestion
            .cause
            .as_ref()
            .map(|cause| format!("    {cause}: {}\n", plain(suggestion.message.as_deref().unwrap_or_default())));
        let evidence: String = suggestion.evidence.iter().map(|line| format!("    {}\n", plain(line))).collect();
        let answer = format!("    `evenkeel approve {name} {id}`, `evenkeel reject {name} {id}`\n");
        let what = format!("  {id}: {}, because {}\n", action(suggestion), plain(&suggestion.why));
        what + &diagnosis.unwrap_or_default() + &evidence + &answer
    };
    suggestions.iter().map(one).collect()
}
