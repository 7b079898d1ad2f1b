//! Lists that are followed: `get -w`, `events -w`.
//!
//! The list first, then what changes from there on. An operator that goes away is waited for, and listed anew.

use std::time::Duration;

use anyhow::Context;
use futures::AsyncBufReadExt;
use serde_json::Value;

use super::client::Api;
use super::failure::Failure;
use super::output::{reader_gone, tell};

/// Between two tries to reach an operator that went away, or refuses to be watched.
const RETRY: Duration = Duration::from_secs(1);

/// What is seen of a followed list.
pub enum Seen {
    /// All of it, at the start, or after the operator was away.
    List(Vec<Value>),
    /// An object is new or other than before.
    Changed(Value),
    /// An object is gone; as it was last.
    Deleted(Value),
}

/// Follows a list until `each` fails, or nobody reads our output any more.
pub async fn follow(api: &Api, list: &str, query: &str, each: impl FnMut(Seen) -> Result<(), Failure>) -> Result<(), Failure> {
    tokio::select! {
        ended = changes(api, list, query, each) => ended,
        () = reader_gone() => Err(Failure::ClosedPipe),
    }
}

async fn changes(api: &Api, list: &str, query: &str, mut each: impl FnMut(Seen) -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut seen_before, mut told) = (false, false);
    loop {
        let answer = match api.get(&format!("{list}?{query}")).await {
            Ok(answer) => answer,
            // Only an operator that was there is waited for, and only while it says nothing.
            Err(Failure::Other(error)) if seen_before => {
                if !std::mem::replace(&mut told, true) {
                    tell(&format!("warning: {error:#}; trying again until it answers"));
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        (seen_before, told) = (true, false);
        let version = answer["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        each(Seen::List(answer["items"].as_array().cloned().unwrap_or_default()))?;
        let mut lines = match api.stream(&format!("{list}?{query}&watch=true&resourceVersion={version}")).await {
            Ok(lines) => lines,
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let mut line = String::new();
        // A stream that breaks off, and one that says that it cannot go on, lead to a new list.
        while matches!(lines.read_line(&mut line).await, Ok(1..)) {
            let mut change: Value = serde_json::from_str(&line).context("the operator's answer is no watch")?;
            let object = change["object"].take();
            match change["type"].as_str() {
                Some("ADDED" | "MODIFIED") => each(Seen::Changed(object))?,
                Some("DELETED") => each(Seen::Deleted(object))?,
                Some("ERROR") => break,
                _ => {}
            }
            line.clear();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
