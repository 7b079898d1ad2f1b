//! `spec` of a Source.

use std::collections::BTreeMap;

use super::metadata::dns;
use crate::crd::compose::read::{one_of, text, word};
use crate::crd::decode::Node;
use crate::crd::{Duration, Remote, Transport};

/// Checks a Source's spec.
pub(super) fn check(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let dirty = node.value["worktree"]["dirty"] == true;
    let places = [
        fields.get("folder").map(|node| folder(&node)).is_some(),
        fields.get("worktree").map(|node| worktree(&node)).is_some(),
        fields.get("git").map(|node| git(&node)).is_some(),
    ];
    match places.iter().filter(|there| **there).count() {
        1 => {}
        0 => drop(node.fail::<()>("needs one of folder, worktree and git: where the manifests come from")),
        _ => drop(node.fail::<()>("takes only one of folder, worktree and git: make a Source for each")),
    }
    fields.read("path", relative);
    for key in ["recurse", "prune", "suspend"] {
        fields.read(key, flag);
    }
    fields.read("interval", interval);
    fields.read("webhook", webhook);
    fields.read("targetNamespace", |node| {
        let name = word(node)?;
        dns(node, &name, 63, false).then_some(())
    });
    fields.read("substitute", variables);
    if let Some(node) = fields.get("verify") {
        verify(&node);
        if places[0] {
            node.fail::<()>("a folder has no commits that could be signed: leave it out, or use worktree or git");
        }
        if dirty {
            node.fail::<()>("what is not committed is not signed: leave it out, or worktree.dirty");
        }
    }
    fields.read("apply", |node| one_of(node, &["PerFile", "Commit"]));
    fields.finish();
    Some(())
}

fn folder(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("path", absolute);
    fields.finish();
    Some(())
}

fn worktree(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("path", absolute);
    fields.read("dirty", flag);
    fields.finish();
    Some(())
}

fn git(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let remote = fields.required("url", |node| {
        let remote = Remote::read(&text(node)?).map_err(|why| node.fail::<()>(why)).ok()?;
        if !remote.is_private() {
            node.warn("is not encrypted: whoever is on the way can change what runs on this host");
        }
        Some(remote)
    });
    fields.read("ref", reference);
    let by_ssh = remote.as_ref().is_some_and(|remote| remote.transport == Transport::Ssh);
    if let Some(node) = fields.get("auth") {
        auth(&node, remote.as_ref());
    } else if by_ssh {
        node.fail::<()>(format!("{SSH_NEEDS} in auth"));
    }
    fields.finish();
    Some(())
}

/// The user's own ssh configuration does not count: what an operator trusts is to be seen in its objects.
const SSH_NEEDS: &str = "ssh needs keyFile (a private key) and knownHostsFile (the keys of the hosts that are trusted)";

fn reference(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let branch = fields.read("branch", ref_name);
    let tag = fields.read("tag", ref_name);
    let semver = fields.read("semver", |node| {
        let range = word(node)?;
        crate::crd::semver_range(&range).map(drop).map_err(|why| node.fail::<()>(why)).ok()
    });
    let commit = fields.read("commit", |node| {
        let id = word(node)?;
        let right = matches!(id.len(), 40 | 64) && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        right.then_some(()).or_else(|| node.fail("must be a whole commit id: 40 (or 64) digits of 0-9 and a-f"))
    });
    let named = [branch.is_some() && commit.is_none(), tag.is_some(), semver.is_some(), commit.is_some()];
    if named.iter().filter(|named| **named).count() > 1 {
        node.fail::<()>("takes only one of branch, tag, semver and commit; only commit may have a branch beside it");
    }
    fields.finish();
    Some(())
}

/// A name that git takes, and that is no option.
fn ref_name(node: &Node) -> Option<()> {
    let name = word(node).or_else(|| node.fail("must name one"))?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let wrong = name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || name.ends_with(".lock")
        || name.contains("..")
        || name.contains("//")
        || name.contains("@{")
        || name.chars().any(bad);
    if wrong { node.fail(format!("{name:?} is no name that git takes; write it without refs/heads/")) } else { Some(()) }
}

fn auth(node: &Node, remote: Option<&Remote>) -> Option<()> {
    let mut fields = node.fields()?;
    let token = fields.read("tokenFile", absolute).is_some();
    let username = fields.read("username", |node| word(node).filter(|name| !name.contains(['\n', '\r', '\0']))).is_some();
    let password = fields.read("passwordFile", absolute).is_some();
    let key = fields.read("keyFile", absolute).is_some();
    let hosts = fields.read("knownHostsFile", absolute).is_some();
    fields.read("caFile", absolute);
    fields.finish();
    if token && password {
        node.fail::<()>("takes only one of tokenFile and passwordFile");
    }
    if password && !username {
        node.fail::<()>("passwordFile needs username beside it");
    }
    let remote = remote?;
    let http = matches!(remote.transport, Transport::Https | Transport::Http);
    match remote.transport {
        _ if (token || password) && !http => {
            node.fail("a token or password is for https: for ssh write keyFile and knownHostsFile")
        }
        _ if (token || password) && !remote.is_private() => {
            node.fail("the address is not encrypted, and a secret would be sent in the clear: use https")
        }
        Transport::Ssh if !key || !hosts => node.fail(SSH_NEEDS),
        transport if (key || hosts) && transport != Transport::Ssh => node.fail("keyFile and knownHostsFile are for ssh"),
        _ => Some(()),
    }
}

fn verify(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let named = ["sshKeysFile", "openpgpKeysFile"].map(|key| {
        fields.read(key, absolute);
        fields.has(key)
    });
    fields.finish();
    if !named.contains(&true) {
        return node.fail("needs sshKeysFile or openpgpKeysFile: whose signatures are taken");
    }
    Some(())
}

fn webhook(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.read("type", |node| one_of(node, &["GitHub", "GitLab", "Gitea", "Generic"]));
    fields.required("secretFile", absolute);
    fields.finish();
    Some(())
}

fn variables(node: &Node) -> Option<()> {
    let all: BTreeMap<&str, Node> = node.entries()?.into_iter().collect();
    for (name, node) in all {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letter) || name.starts_with(|c: char| c.is_ascii_digit()) {
            node.fail::<()>(format!("{name:?} is no name of a variable: letters, digits and _, no digit first"));
        }
        text(&node);
    }
    Some(())
}

fn interval(node: &Node) -> Option<()> {
    match text(node)?.parse::<Duration>() {
        Ok(interval) if interval >= Duration::from_secs(1) => Some(()),
        Ok(_) => node.fail("must be 1s or longer"),
        Err(error) => node.fail(error),
    }
}

pub(super) fn flag(node: &Node) -> Option<()> {
    node.value.is_boolean().then_some(()).or_else(|| node.expected("true or false"))
}

/// A path of this host, as a program takes it without a doubt.
pub(super) fn absolute(node: &Node) -> Option<()> {
    let path = word(node).or_else(|| node.fail("must name a path"))?;
    match () {
        () if !path.starts_with('/') => node.fail(format!("{path:?} must be an absolute path of this host")),
        () if path.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\' | '%')) => {
            node.fail("has quotes, backslashes, % or control characters in it")
        }
        () => Some(()),
    }
}

/// A folder within the source.
fn relative(node: &Node) -> Option<()> {
    let path = word(node)?;
    let leads_out = path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains('\0');
    if leads_out { node.fail(format!("{path:?} must be a folder within the source, without ..")) } else { Some(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::crd::{Admitted, Kind, admit};

    fn source(spec: &Value) -> Value {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Source", "metadata": {"name": "shop"}, "spec": spec})
    }

    fn errors(spec: Value) -> Vec<String> {
        let errors = admit(Kind::Source, source(&spec), None, false).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_filled_in_and_read_back() {
        let Admitted { object, warnings } =
            admit(Kind::Source, source(&json!({"folder": {"path": "/srv"}})), None, false).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let spec = json!({
            "folder": {"path": "/srv"}, "recurse": true, "prune": false, "suspend": false, "apply": "PerFile", "interval": "30s",
        });
        assert_eq!(object["spec"], spec);
        assert_eq!(admit(Kind::Source, object.clone(), None, false).unwrap().object, object);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_password_with_it() {
        let told = errors(json!({
            "folder": {"path": "srv"},
            "git": {"url": "https://u:s3cret@git.example/a", "ref": {"branch": "-x", "tag": "a..b"}, "auth": {"passwordFile": "/p"}},
            "path": "../up", "interval": "10ms", "apply": "Some", "substitute": {"1A": "x"}, "webhook": {"type": "Git"},
            "targetNamespace": "No", "verify": {}, "prunes": true,
        }));
        let told = told.join("\n");
        for part in [
            "spec.folder.path: \"srv\" must be an absolute path",
            "spec.git.url: has credentials in it",
            "spec.git.ref.branch: ",
            "spec.git.ref.tag: ",
            "spec.git.auth: passwordFile needs username",
            "spec: takes only one of folder, worktree and git",
            "spec.path: ",
            "spec.interval: must be 1s or longer",
            "spec.apply: must be one of PerFile, Commit",
            "spec.substitute.1A: ",
            "spec.webhook.type: must be one of",
            "spec.webhook.secretFile: is required",
            "spec.targetNamespace: ",
            "spec.verify: needs sshKeysFile or openpgpKeysFile",
            "spec.verify: a folder has no commits",
            "spec.prunes: unknown field \"prunes\": did you mean \"prune\"?",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn credentials_must_fit_the_transport() {
        let auth = |url: &str, auth: Value| errors(json!({"git": {"url": url, "auth": auth}})).join("\n");
        let ssh = json!({"keyFile": "/k", "knownHostsFile": "/h"});
        assert_eq!(auth("git@h:a.git", ssh.clone()), "");
        assert_eq!(auth("https://h/a", json!({"tokenFile": "/t"})), "");
        assert!(auth("git@h:a.git", json!({"keyFile": "/k"})).contains("ssh needs keyFile (a private key) and"));
        assert!(errors(json!({"git": {"url": "git@h:a.git"}})).join("").contains("spec.git: ssh needs keyFile"));
        assert!(auth("https://h/a", ssh).contains("are for ssh"));
        assert!(auth("git@h:a.git", json!({"tokenFile": "/t"})).contains("for https"));
        assert!(auth("http://h/a", json!({"tokenFile": "/t"})).contains("in the clear"));
        assert!(auth("https://h/a", json!({"tokenFile": "/t", "username": "u", "passwordFile": "/p"})).contains("only one of"));
        assert!(errors(json!({"git": {"url": "https://h/a", "ref": {"commit": "abc"}}})).join("").contains("whole commit id"));
        assert!(errors(json!({})).join("").contains("needs one of folder, worktree and git"));
    }

    #[test]
    fn a_connection_that_is_not_encrypted_is_worth_a_word() {
        let admitted = admit(Kind::Source, source(&json!({"git": {"url": "http://h/a"}})), None, false).unwrap();
        assert!(admitted.warnings[0].starts_with("spec.git.url: is not encrypted"), "{:?}", admitted.warnings);
    }
}
