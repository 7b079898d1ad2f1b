//! Kubernetes' remote command protocol over WebSocket: what `exec` of the API and of the command line say to each other.
//!
//! Each message is binary; its first byte says which stream the rest belongs to.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Names of the protocol's versions, the best first. The fifth can end the command's input.
pub const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// To the command: its input.
pub const STDIN: u8 = 0;
/// From the command: its output; with a terminal, all of it.
pub const STDOUT: u8 = 1;
/// From the command: its error output.
pub const STDERR: u8 = 2;
/// From the server: how it ended, a Kubernetes `Status`.
pub const ERROR: u8 = 3;
/// To the command: how large its terminal is, a [`Size`].
pub const RESIZE: u8 = 4;
/// To the server: the stream named by the next byte ends (fifth version).
pub const CLOSE: u8 = 255;

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Lines.
    pub height: u16,
}

/// A message of a stream.
pub fn message(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(stream);
    message.extend_from_slice(bytes);
    message
}

/// The `Status` of a command that ended with this code.
pub fn exited(code: i64) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let cause = json!({"reason": "ExitCode", "message": code.to_string()});
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [cause]},
    })
}

/// The `Status` of a command of which is not known how it ended.
pub fn lost(message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500})
}

/// The exit code that a `Status` tells.
///
/// # Errors
/// With the status's message, if it tells none.
pub fn exit_code(status: &Value) -> Result<i64, String> {
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code = causes.filter(|cause| cause["reason"] == "ExitCode").find_map(|cause| cause["message"].as_str()?.parse().ok());
    code.ok_or_else(|| status["message"].as_str().unwrap_or("it is not said why").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_told_and_read_again() {
        for code in [0, 1, 3, 137] {
            assert_eq!(exit_code(&exited(code)), Ok(code));
        }
        assert_eq!(exit_code(&lost("the engine went away")), Err("the engine went away".to_owned()));
    }

    #[test]
    fn a_size_has_the_words_of_kubernetes() {
        assert_eq!(serde_json::to_value(Size { width: 80, height: 24 }).unwrap(), json!({"Width": 80, "Height": 24}));
    }
}
