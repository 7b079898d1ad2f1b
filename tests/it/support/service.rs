//! Compose services for tests: what they do when run and when asked to end. Add keys with [`with`].

use serde_json::{Value, json};

/// Runs until asked to end, then ends at once with code 143.
pub fn sleeper(image: &str) -> Value {
    shell(image, "trap 'exit 143' TERM; sleep infinity & wait")
}

/// Ends at once with this code.
pub fn exits(image: &str, code: i64) -> Value {
    shell(image, &format!("exit {code}"))
}

/// Runs until asked to end, then ends at once with code 0, as well-behaved servers do.
pub fn polite(image: &str) -> Value {
    shell(image, "trap 'exit 0' TERM; sleep infinity & wait")
}

/// Has children, and none of them ends when asked to: only SIGKILL helps.
pub fn deaf(image: &str) -> Value {
    shell(image, "trap '' TERM; sleep 86413 & sleep 86413 & while :; do wait; done")
}

/// Serves `/www` on this port.
pub fn http(image: &str, port: u16) -> Value {
    shell(image, &format!("trap 'exit 143' TERM; httpd -f -h /www -p {port} & wait"))
}

/// Runs until asked to end; healthy as long as `/tmp/healthy` exists in it (it does not at first).
pub fn probed(image: &str) -> Value {
    let probe = json!({"test": ["CMD", "test", "-e", "/tmp/healthy"], "interval": "1s", "timeout": "2s", "retries": 2});
    with(sleeper(image), json!({"healthcheck": probe}))
}

/// Runs a shell script. Nothing is interpolated: a `$` is the shell's.
pub fn shell(image: &str, script: &str) -> Value {
    json!({"image": image, "command": ["sh", "-c", script]})
}

/// The same with more keys.
pub fn with(mut service: Value, keys: Value) -> Value {
    json_patch::merge(&mut service, &keys);
    service
}
