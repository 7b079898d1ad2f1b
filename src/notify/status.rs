//! Statuses of Channels and Alerts. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};

use super::outbox::Message;
use crate::crd::{ChannelStatus, DeliveryFailure, TestResult};
use crate::model::Reason;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// It is tried again then.
    Later {
        /// Why it failed.
        why: String,
        /// What kind of trouble it is.
        reason: Reason,
        /// When it is tried again.
        next_at: Timestamp,
    },
    /// It is given up.
    GivenUp {
        /// Why.
        why: String,
        /// What kind of trouble it is.
        reason: Reason,
    },
}

/// The status after an attempt.
pub fn attempted(status: &mut ChannelStatus, message: &Message, outcome: &Outcome, now: Timestamp) {
    let test = |delivered: bool, words: &str| {
        message.test.as_ref().map(|asked| TestResult { requested_at: asked.clone(), delivered, message: words.to_owned() })
    };
    match outcome {
        Outcome::Delivered => {
            status.delivered += 1;
            status.last_delivered_at = Some(Time(now));
            status.failure = None;
            status.test = test(true, "it was taken").or_else(|| status.test.take());
            ready(status, "True", Reason::Delivered, "the last message was taken", now);
        }
        Outcome::Later { why, reason, next_at } => {
            let failure = DeliveryFailure {
                message: why.clone(),
                tries: message.tries + 1,
                at: Some(MicroTime(now)),
                next_at: Some(Time(*next_at)),
            };
            status.failure = Some(failure);
            ready(status, "False", *reason, why, now);
        }
        Outcome::GivenUp { why, reason } => {
            status.given_up += u64::from(message.test.is_none());
            status.failure =
                Some(DeliveryFailure { message: why.clone(), tries: message.tries + 1, at: Some(MicroTime(now)), next_at: None });
            status.test = test(false, why).or_else(|| status.test.take());
            ready(status, "False", *reason, why, now);
        }
    }
}

/// Sets `Ready` of a Channel.
pub fn ready(status: &mut ChannelStatus, value: &str, reason: Reason, message: &str, now: Timestamp) {
    let generation = status.observed_generation;
    set(&mut status.conditions, generation, value, reason, message, now);
}

/// Sets `Ready`; its transition time moves only when its status does.
pub fn set(conditions: &mut Vec<Condition>, generation: i64, value: &str, reason: Reason, message: &str, now: Timestamp) {
    let before = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == value);
    let since = before.map_or(Time(now), |condition| condition.last_transition_time.clone());
    *conditions = vec![Condition {
        type_: "Ready".to_owned(),
        status: value.to_owned(),
        reason: reason.to_string(),
        message: message.to_owned(),
        last_transition_time: since,
        observed_generation: Some(generation),
    }];
}
