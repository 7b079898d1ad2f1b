//! Commands that a service wants run in its containers after a start and before a stop.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tracing::Span;

use super::Result;
use super::client::Client;
use super::error::{Attempt, Call};
use super::inside::frames::Frames;
use crate::model::HookSpec;

/// Bytes of what a command says that are kept for people; the rest is read and dropped.
const KEPT: usize = 4096;

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
struct Ended {
    #[serde(rename = "ExitCode")]
    exit_code: Option<i64>,
}

/// Runs one to its end.
///
/// # Errors
/// It cannot be run, ends with another exit code than 0, or takes longer.
pub(super) async fn run(client: &Client, id: &str, hook: &HookSpec, limit: Duration, span: Span) -> Result<()> {
    // Only its name: what follows may hold what is not for logs.
    let words = hook.command.first().map_or("", String::as_str);
    let attempt = Attempt::new(Call::Other, format!("run the hook {words:?} in container {}", id.get(..12).unwrap_or(id)));
    let create = json!({
        "AttachStdout": true, "AttachStderr": true, "Cmd": hook.command, "Env": hook.env, "Privileged": hook.privileged,
        "User": hook.user.as_deref().unwrap_or_default(), "WorkingDir": hook.working_dir.as_deref().unwrap_or_default(),
    });
    let work = async {
        let made: Made = client.wire().post(&format!("/containers/{id}/exec"), &create).await?;
        let start = json!({"Detach": false, "Tty": false});
        let stream = client.wire().hijack(&format!("/exec/{}/start", made.id), &start).await?;
        let said = read_to_end(hyper_util::rt::TokioIo::new(stream)).await;
        let ended: Ended = client.wire().get(&format!("/exec/{}/json", made.id)).await?;
        Ok((ended.exit_code, said))
    };
    match client.call(attempt.clone(), limit, span, work).await? {
        (Some(0), _) => Ok(()),
        (code, said) => {
            let code = code.map_or_else(|| "an unknown exit code".to_owned(), |code| format!("exit code {code}"));
            let said = if said.is_empty() { said } else { format!(": {said}") };
            Err(attempt.refused(&format!("it ended with {code}{said}")))
        }
    }
}

/// What a command says, up to its end: the last of its lines.
async fn read_to_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let (mut frames, mut kept, mut buffer) = (Frames::default(), Vec::new(), [0; 1024]);
    // A stream that breaks off says as much as one that ends: the exit code is asked for.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        frames.push(&buffer[..read]);
        while let Ok(Some(piece)) = frames.next() {
            kept.extend_from_slice(&piece.bytes);
        }
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }
    let text: String = String::from_utf8_lossy(&kept).chars().filter(|char| !char.is_control() || *char == '\n').collect();
    text.lines().last().unwrap_or_default().trim().to_owned()
}
