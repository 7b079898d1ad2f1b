//! `GET .../deployments/NAME/exec` as WebSocket: runs a command in a container, by Kubernetes' remote command protocol.
//!
//! # Guarantees
//! - What is wrong before the command starts is answered in HTTP, as a `Status`.
//! - Input and output go side by side: a command that does not read does not keep its output back.
//! - The session ends with the command, with the client, or when this server stops. The engine cannot end a command: one
//!   that outlives its client goes on until it notices that its input and output are closed.

mod handshake;
mod session;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::errors::{ApiError, Result};
use super::kinds::Resource;
use super::objects::Call;
use super::params::Params;
use super::replica;
use crate::docker::ExecSpec;
use crate::model::Key;

/// Commands that run at a time.
pub const AT_A_TIME: usize = 64;

/// Starts the command and hands the connection over to it.
pub async fn exec(call: Call, resource: &'static Resource, key: &Key) -> Result<Response> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed(resource, "a command is run over a WebSocket, which begins with GET"));
    }
    let spec = spec(&call.params)?;
    let Call { state, caller, params, headers, upgrade, .. } = call;
    let accepted = handshake::accept(&headers)?;
    let upgrade = upgrade.ok_or_else(|| ApiError::bad_request("this connection cannot become a WebSocket"))?;
    let Ok(seat) = state.sessions.clone().try_acquire_owned() else {
        let message = format!("{AT_A_TIME} commands run already: wait until one of them ends");
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message));
    };
    let (replica, container) = replica::one(&state, resource, key, params.text("container")).await?;
    let exec = state.host.engine.exec(&container.id, &spec).await.map_err(replica::from_engine)?;
    // The words of a command may be secrets.
    tracing::info!(deployment = %key, %replica, by = caller.by, tty = spec.tty, "running a command in a container");
    let protocol = accepted.protocol;
    state.open.clone().spawn(async move {
        match upgrade.await {
            Ok(stream) => session::run(stream, protocol, exec, &state).await,
            Err(error) => tracing::debug!(%error, "the client of a command went away before it began"),
        }
        drop(seat);
    });
    Ok(accepted.response().map(|()| Body::empty()))
}

fn spec(params: &Params) -> Result<ExecSpec> {
    let command = params.list("command");
    if command.is_empty() {
        return Err(ApiError::bad_request("say which command: ?command=ls&command=-l"));
    }
    Ok(ExecSpec {
        command,
        env: params.list("env"),
        user: params.text("user").map(str::to_owned),
        workdir: params.text("workdir").map(str::to_owned),
        stdin: params.flag("stdin"),
        tty: params.flag("tty"),
    })
}
