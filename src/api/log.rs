//! `GET .../deployments/NAME/log`: what a container writes, with the parameters of Kubernetes' pod log.
//!
//! # Guarantees
//! - Text, in whole lines of at most [`LONGEST_LINE`](crate::docker::LONGEST_LINE); bytes are passed on as they are.
//! - Nothing is read ahead of the client: a slow one slows nobody but itself. One that goes away ends the engine's call.
//! - With `follow` the answer ends when the container does, or when this server stops.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, future, stream};
use jiff::Timestamp;

use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::objects::Call;
use super::params::Params;
use super::replica;
use crate::docker::LogQuery;
use crate::model::Key;

/// The log of one container.
pub async fn log(call: &Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "a log is read"));
    }
    let query = query(&call.params, call.state.clock.now())?;
    let limit = call.params.number("limitBytes")?;
    let (_, container) = replica::one(&call.state, resource, key, call.params.text("container")).await?;
    let logs = call.state.host.engine.logs(&container.id, &query).await.map_err(replica::from_engine)?;
    let logs = logs.take_until(call.state.stopping.clone().cancelled_owned());
    let mut left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let bytes = logs.flat_map(|part| match part {
        Ok(bytes) => stream::iter(vec![Ok::<_, std::io::Error>(bytes)]),
        // The answer breaks off: the client must not take it for the end.
        Err(failure) => {
            tracing::debug!(error = failure.message, "a log broke off");
            stream::iter(vec![Err(std::io::Error::other(failure.message))])
        }
    });
    let bounded = bytes.scan((), move |(), part| {
        let part = part.map(|bytes| cut(bytes, &mut left));
        future::ready(if matches!(&part, Ok(bytes) if bytes.is_empty()) { None } else { Some(part) })
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(bounded)).into_response())
}

/// As much of it as may still be sent.
fn cut(mut bytes: Bytes, left: &mut usize) -> Bytes {
    bytes.truncate(*left);
    *left -= bytes.len();
    bytes
}

fn query(params: &Params, now: Timestamp) -> Result<LogQuery> {
    if params.flag("previous") {
        return Err(ApiError::bad_request("Docker keeps one log over all runs of a container: previous means nothing here"));
    }
    let since = match (params.number("sinceSeconds")?, params.text("sinceTime")) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("at most one of sinceTime and sinceSeconds may be given")),
        (Some(seconds), None) => Some(now.saturating_sub(Duration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH)),
        (None, Some(text)) => {
            let wrong = |error| ApiError::bad_request(format!("sinceTime={text:?} is no time of RFC 3339: {error}"));
            Some(text.parse::<Timestamp>().map_err(wrong)?)
        }
        (None, None) => None,
    };
    let (follow, timestamps) = (params.flag("follow"), params.flag("timestamps"));
    Ok(LogQuery { follow, tail: params.number("tailLines")?, since, timestamps })
}
