//! What went wrong with git, in a word for machines and in words for people. Pure.

use crate::model::Reason;

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no git program.
    NoGit,
    /// The server does not let us in.
    Denied,
    /// The server is not the one that is trusted.
    UnknownHost,
    /// Nobody answers.
    Unreachable,
    /// There is no such repository.
    NoRepository,
    /// There is no such branch, tag or commit.
    NoRef,
    /// There is no such folder in the commit.
    NoPath,
    /// The commit is not signed by a trusted key.
    Unsigned,
    /// A file that the Source names cannot be read.
    NoSecret,
    /// The disk is full.
    DiskFull,
    /// What is on our disk is broken.
    Corrupt,
    /// What the other end has is broken.
    CorruptThere,
    /// The git program is one that we cannot keep within its bounds.
    OldGit,
    /// It took too long.
    TimedOut,
    /// Anything else.
    Other,
}

impl Trouble {
    /// The reason of the condition.
    pub fn reason(self) -> Reason {
        match self {
            Self::NoGit => Reason::GitMissing,
            Self::Denied => Reason::AuthenticationFailed,
            Self::UnknownHost => Reason::HostKeyRejected,
            Self::Unreachable | Self::TimedOut => Reason::RemoteUnreachable,
            Self::NoRepository => Reason::RepositoryNotFound,
            Self::NoRef => Reason::RefNotFound,
            Self::NoPath => Reason::PathNotFound,
            Self::Unsigned => Reason::VerificationFailed,
            Self::NoSecret => Reason::SecretUnreadable,
            Self::DiskFull => Reason::StorageFull,
            Self::Corrupt => Reason::RepositoryCorrupt,
            Self::Other | Self::CorruptThere => Reason::FetchFailed,
            Self::OldGit => Reason::GitTooOld,
        }
    }

    /// Whether somebody has to do something about it.
    pub fn stalls(self) -> bool {
        !matches!(self, Self::Unreachable | Self::TimedOut | Self::DiskFull | Self::Corrupt | Self::CorruptThere | Self::Other)
    }
}

/// Why there is no commit to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// In a word.
    pub trouble: Trouble,
    /// What was attempted, on what, why it failed, what to do.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        Self { trouble, message: message.into() }
    }

    /// What a disk said when something was attempted.
    pub fn of_disk(attempt: impl std::fmt::Display, error: &std::io::Error) -> Self {
        let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        let trouble = if full { Trouble::DiskFull } else { Trouble::Other };
        Self::new(trouble, format!("{attempt}: {error}{}", advice(trouble)))
    }

    /// The same as of the other end: what is broken is not ours to mend.
    pub fn there(self) -> Self {
        let message = format!("{} (the repository there is damaged: run `git fsck` in it)", self.message);
        Self { trouble: Trouble::CorruptThere, message }
    }

    /// What git said when it failed at something.
    pub fn told(attempt: &str, said: &str) -> Self {
        let trouble = judge(said);
        let said = summary(said);
        let advice = advice(trouble);
        Self::new(trouble, format!("{attempt}: {said}{advice}"))
    }
}

/// Parts of git's messages (in English, which is asked for), those that say more first.
const WORDS: [(Trouble, &[&str]); 8] = [
    (Trouble::DiskFull, &["No space left on device", "Disk quota exceeded"]),
    (
        Trouble::UnknownHost,
        &[
            "Host key verification failed",
            "server certificate verification failed",
            "SSL certificate problem",
            "no alternative certificate",
        ],
    ),
    (
        Trouble::Denied,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied (",
            "Permission denied, please try again",
            "returned error: 401",
            "returned error: 403",
            "HTTP Basic: Access denied",
            "invalid credentials",
            "terminal prompts disabled",
            "Load key",
        ],
    ),
    (
        Trouble::NoRef,
        &["couldn't find remote ref", "not our ref", "Server does not allow request for unadvertised object", "no such ref"],
    ),
    (
        Trouble::Unreachable,
        &[
            "Could not resolve host",
            "Couldn't connect to server",
            "unable to connect to",
            "Failed to connect",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Connection closed",
            "Operation timed out",
            "Network is unreachable",
            "No route to host",
            "returned error: 5",
            "the remote end hung up",
            "early EOF",
            "Recv failure",
            "Empty reply from server",
            "Operation too slow",
            "unexpected disconnect",
        ],
    ),
    (
        Trouble::NoRepository,
        &[
            "does not appear to be a git repository",
            "' not found",
            "repository not exported",
            "access denied or repository",
            "Repository not found",
            "returned error: 404",
            "is not a git command",
            "not a git repository",
            "unrecognized header",
        ],
    ),
    (
        Trouble::Corrupt,
        &[
            "bad object",
            "is corrupt",
            "loose object",
            "missing blob",
            "missing tree",
            "missing commit",
            "bad config",
            "bad signature 0x",
            "index file corrupt",
            "packfile",
            "unable to read tree",
            "unable to read sha1",
            "Not a valid object name",
            "not a tree object",
            "inflate",
            "pack has bad",
            "broken ref",
            "bad ref",
            "did not send all necessary objects",
        ],
    ),
    (Trouble::TimedOut, &["timed out"]),
];

/// The other end says itself that what it has is broken.
const THERE: [&str; 2] = ["on the remote side", "remote: fatal: "];

fn judge(said: &str) -> Trouble {
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| said.contains(word)));
    let broken =
        || WORDS.iter().any(|(trouble, words)| *trouble == Trouble::Corrupt && words.iter().any(|word| said.contains(word)));
    match found.map_or(Trouble::Other, |(trouble, _)| *trouble) {
        Trouble::Corrupt if THERE.iter().any(|word| said.contains(word)) => Trouble::CorruptThere,
        // It has said why before it hung up.
        Trouble::Unreachable if broken() => Trouble::CorruptThere,
        trouble => trouble,
    }
}

/// The lines that count, without the noise of ssh and of servers.
fn summary(said: &str) -> String {
    let noise = |line: &&str| !line.is_empty() && !line.starts_with("hint:") && !line.starts_with("Warning: Permanently");
    let lines: Vec<&str> = said.lines().map(str::trim).filter(noise).collect();
    let fatal = lines.iter().filter(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let first: Vec<&str> = fatal.copied().take(2).collect();
    let chosen = if first.is_empty() { lines.iter().copied().take(3).collect() } else { first };
    let text = chosen.iter().map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: ")).collect::<Vec<_>>();
    if text.is_empty() { "git failed without a word".to_owned() } else { text.join("; ").chars().take(600).collect() }
}

fn advice(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Denied => {
            " (look at spec.git.auth: the token, password or key may be wrong, expired, or not allowed to read it)"
        }
        Trouble::UnknownHost => {
            " (put the server's key into knownHostsFile, or its certificate into caFile, after you made sure that it is the right one)"
        }
        Trouble::Unreachable | Trouble::TimedOut => " (it is tried again)",
        Trouble::CorruptThere => " (the repository there is damaged: run `git fsck` in it)",
        Trouble::NoRepository => " (look at spec.git.url)",
        Trouble::NoRef => " (look at spec.git.ref)",
        Trouble::DiskFull => " (make space on the disk of the data folder; it is tried again)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_understood() {
        for (said, trouble) in [
            ("fatal: couldn't find remote ref refs/heads/gone", Trouble::NoRef),
            ("fatal: unable to access 'https://x/': Could not resolve host: x", Trouble::Unreachable),
            ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", Trouble::Denied),
            ("Host key verification failed.\nfatal: Could not read from remote repository.", Trouble::UnknownHost),
            ("fatal: Authentication failed for 'http://127.0.0.1/a.git/'", Trouble::Denied),
            ("fatal: could not read Username for 'http://x': terminal prompts disabled", Trouble::Denied),
            ("fatal: '/srv/nothing' does not appear to be a git repository", Trouble::NoRepository),
            ("fatal: repository 'http://x/a.git/' not found", Trouble::NoRepository),
            ("error: object file ./objects/ab/cd is empty\nfatal: loose object abcd is corrupt", Trouble::Corrupt),
            ("remote: fatal: unable to read tree 12\nfatal: early EOF\nfatal: fetch-pack: invalid", Trouble::CorruptThere),
            ("fatal: loose object 12 is corrupt\nfatal: the remote end hung up unexpectedly", Trouble::CorruptThere),
            ("remote: fatal: out of memory\nfatal: early EOF", Trouble::Unreachable),
            ("remote: fatal: packfile x is bad\nfatal: protocol error: bad pack header", Trouble::CorruptThere),
            ("fatal: write error: No space left on device", Trouble::DiskFull),
            ("fatal: something new", Trouble::Other),
        ] {
            assert_eq!(Failure::told("cannot fetch", said).trouble, trouble, "{said}");
        }
        assert_eq!(Failure::told("cannot fetch x", "hint: no\nfatal: something new").message, "cannot fetch x: something new");
    }
}
