//! Words that tell what a failure comes from, in what programs and the engine say. Pure.

use crate::model::FailureCause;

/// Words, all lower case; any of a line's is enough.
type Words = &'static [&'static str];

/// What the engine says when it does not start a container. The first that fits counts.
const REFUSALS: [(FailureCause, Words); 7] = [
    (FailureCause::DiskFull, &["no space left on device", "disk quota exceeded"]),
    (FailureCause::ExecFormat, &["exec format error"]),
    (FailureCause::OutOfMemory, &["cannot allocate memory"]),
    (
        FailureCause::ConfigError,
        &[
            "unable to find user",
            "no matching entries in passwd file",
            "no matching entries in group file",
            "are you trying to mount a directory onto a file",
            "bind source path does not exist",
            "invalid mount config",
            "invalid reference format",
            "minimum memory limit",
            "error gathering device information",
            "unknown or invalid runtime",
            "unknown runtime",
            "invalid capability",
            "capability not supported",
            "unknown capability",
            "is not an absolute path",
            "mount path must be absolute",
            "invalid sysctl",
            "not in a separate kernel namespace",
            "range of cpus is from",
            "invalid cpu",
            "no log driver named",
            "looking up logging plugin",
            "unknown log opt",
        ],
    ),
    (FailureCause::NetworkMissing, &["could not find network", "no such network"]),
    (FailureCause::PermissionDenied, &["permission denied", "operation not permitted"]),
    (FailureCause::MissingCommand, &["executable file not found", "no command specified"]),
];

/// What programs write before they give up. Within a line the first that fits counts.
const LOGS: [(FailureCause, Words); 8] = [
    (FailureCause::DiskFull, &["no space left on device", "enospc", "disk quota exceeded"]),
    (FailureCause::ExecFormat, &["exec format error"]),
    (
        FailureCause::OutOfMemory,
        &["out of memory", "outofmemoryerror", "cannot allocate memory", "memoryerror", "std::bad_alloc", "enomem"],
    ),
    (FailureCause::PortHeld, &["address already in use", "eaddrinuse", "address in use"]),
    (
        FailureCause::PermissionDenied,
        &[
            "permission denied",
            "operation not permitted",
            "eacces",
            "eperm",
            "access denied",
            "authentication failed",
            "read-only file system",
            "erofs",
        ],
    ),
    (
        FailureCause::DependencyDown,
        &[
            "connection refused",
            "econnrefused",
            "could not connect to",
            "can't connect to",
            "cannot connect to",
            "no route to host",
            "host is unreachable",
            "network is unreachable",
            "connection timed out",
            "etimedout",
            "could not translate host name",
            "name or service not known",
            "name does not resolve",
            "temporary failure in name resolution",
            "no such host",
            "unknown host",
            "enotfound",
            "bad address",
        ],
    ),
    (FailureCause::MissingCommand, &["command not found", "executable file not found"]),
    (
        FailureCause::ConfigError,
        &[
            "environment variable",
            "missing required",
            "must be set",
            "must be specified",
            "unknown option",
            "unrecognized option",
            "invalid option",
            "unknown flag",
            "unknown directive",
            "unknown key",
            "configuration error",
            "configuration file",
            "config error",
            "invalid config",
            "bad config",
            "error parsing config",
            "error in config",
            "failed to load config",
            "cannot load config",
            "invalid value for",
            "usage:",
        ],
    ),
];

/// What the engine's refusal to start a container comes from.
pub(super) fn refusal(message: &str) -> Option<FailureCause> {
    let said = message.to_lowercase();
    let by_words = REFUSALS.iter().find(|(_, words)| has(&said, words)).map(|(cause, _)| *cause);
    // The runtime says of a program that is not there only that its path is none; mounts have words of their own.
    let no_program = || said.contains("exec: ") && said.contains("no such file or directory");
    by_words.or_else(|| no_program().then_some(FailureCause::MissingCommand))
}

/// What a line of a log comes from, if its words tell.
pub(super) fn line(text: &str) -> Option<FailureCause> {
    let said = text.to_lowercase();
    let by_words = LOGS.iter().find(|(_, words)| has(&said, words)).map(|(cause, _)| *cause);
    by_words.or_else(|| misses_variable(text, &said).then_some(FailureCause::ConfigError))
}

/// `DATABASE_URL is not set`.
fn misses_variable(text: &str, said: &str) -> bool {
    let is_name = |word: &str| {
        let letters = word.chars().filter(char::is_ascii_uppercase).count();
        letters >= 3 && word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    has(said, &["not set", "unset", "is required", "is missing", "is empty", "undefined"]) && words.into_iter().any(is_name)
}

fn has(said: &str, words: Words) -> bool {
    words.iter().any(|word| said.contains(word))
}
