//! `spec` of a Channel.

use super::source::{absolute, flag};
use crate::crd::compose::read::{each, integer, one_of, text, word};
use crate::crd::decode::Node;

/// The seven ways, of which a Channel has one.
const WAYS: [&str; 7] = ["email", "webhook", "slack", "discord", "telegram", "ntfy", "resend"];

/// Checks a Channel's spec.
pub(super) fn check(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.read("email", email);
    fields.read("webhook", webhook);
    for way in ["slack", "discord"] {
        fields.read(way, hook);
    }
    fields.read("telegram", telegram);
    fields.read("ntfy", ntfy);
    fields.read("resend", resend);
    match WAYS.iter().filter(|way| fields.has(way)).count() {
        1 => {}
        0 => drop(node.fail::<()>(format!("needs one of {}: how it reaches people", WAYS.join(", ")))),
        _ => drop(node.fail::<()>("takes only one way to reach people: make a Channel for each")),
    }
    fields.read("perMinute", |node| match integer::<u32>(node)? {
        1..=1000 => Some(()),
        _ => node.fail("must be 1 to 1000"),
    });
    fields.read("suspend", flag);
    fields.finish();
    Some(())
}

fn email(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("host", host);
    fields.read("port", |node| match integer::<u16>(node)? {
        0 => node.fail("must be 1 to 65535"),
        _ => Some(()),
    });
    let security = fields.read("security", |node| one_of(node, &["StartTLS", "TLS", "None"]));
    let username = fields.read("username", line).is_some();
    let password = fields.get("passwordFrom").map(|node| secret(&node)).is_some();
    addresses(&mut fields);
    fields.read("caFile", absolute);
    fields.finish();
    if username != password {
        node.fail::<()>("username and passwordFrom need each other");
    }
    if security.as_deref() == Some("None") {
        if password {
            return node.fail("security: None would send the password in the clear: use StartTLS or TLS");
        }
        node.warn("is not encrypted: whoever is on the way reads and changes what is told");
    }
    Some(())
}

fn webhook(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    let named = [fields.get("url").map(|node| url(&node)).is_some(), fields.get("urlFrom").map(|node| secret(&node)).is_some()];
    for key in ["secretFrom", "tokenFrom"] {
        fields.read(key, secret);
    }
    fields.read("caFile", absolute);
    fields.finish();
    match named {
        [false, false] => node.fail("needs url, or urlFrom if there is a secret in the address"),
        [true, true] => node.fail("takes only one of url and urlFrom"),
        _ => Some(()),
    }
}

fn hook(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("urlFrom", secret);
    fields.finish();
    Some(())
}

fn telegram(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("tokenFrom", secret);
    fields.required("chatId", |node| {
        let chat = line(node)?;
        let number = chat.strip_prefix('-').unwrap_or(&chat);
        let right = (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())) || chat.starts_with('@');
        right.then_some(()).or_else(|| node.fail(format!("{chat:?} is no chat: write its number in quotes, or @channel")))
    });
    fields.read("server", url);
    fields.finish();
    Some(())
}

fn ntfy(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("topicFrom", secret);
    fields.read("tokenFrom", secret);
    fields.read("server", url);
    fields.finish();
    Some(())
}

fn resend(node: &Node) -> Option<()> {
    let mut fields = node.fields()?;
    fields.required("tokenFrom", secret);
    addresses(&mut fields);
    fields.read("server", url);
    fields.finish();
    Some(())
}

/// `from` and `to` of a mail.
fn addresses(fields: &mut crate::crd::decode::Fields) {
    fields.required("from", mailbox);
    fields.required("to", |node| match each(node, mailbox)?.len() {
        0 if node.value.as_array().is_some_and(Vec::is_empty) => node.fail("needs a receiver"),
        _ => Some(()),
    });
}

/// `ada@example.org`, or `Ada <ada@example.org>`.
fn mailbox(node: &Node) -> Option<()> {
    let whole = line(node)?;
    let address = whole.split_once('<').map_or(Some(whole.as_str()), |(_, rest)| rest.strip_suffix('>'));
    let right = address.and_then(|address| address.trim().rsplit_once('@')).is_some_and(|(local, domain)| {
        let plain = |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !"<>,;\"".contains(c));
        plain(local) && plain(domain)
    });
    right.then_some(()).or_else(|| node.fail(format!("{whole:?} is no mail address: write ada@example.org")))
}

/// An address that may be shown.
fn url(node: &Node) -> Option<()> {
    let url = line(node)?;
    let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else {
        return node.fail("must begin with https:// (or http://)");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match () {
        () if host.contains('@') => node.fail("has credentials in it: take them from a file or variable"),
        () if host.is_empty() || url.parse::<http::Uri>().is_err() => node.fail("is no address"),
        () => {
            let loopback = ["localhost", "127.", "[::1]"].iter().any(|own| host.starts_with(own));
            if scheme == "http" && !loopback {
                node.warn("is not encrypted: whoever is on the way reads what is told");
            }
            Some(())
        }
    }
}

/// Where a secret stands. What is wrong is told without repeating it: somebody may have written the secret itself.
pub(super) fn secret(node: &Node) -> Option<()> {
    if node.value.is_string() {
        return node.fail("must be {file: PATH} or {env: NAME}: a secret never stands in an object");
    }
    let mut fields = node.fields()?;
    fields.read("file", |node| {
        let path = word(node)?;
        let right = path.starts_with('/') && !path.chars().any(char::is_control);
        right.then_some(()).or_else(|| node.fail("must be an absolute path of the operator's host"))
    });
    fields.read("env", |node| {
        let name = word(node)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let right = name.chars().all(letter) && !name.starts_with(|c: char| c.is_ascii_digit());
        right.then_some(()).or_else(|| node.fail("is no name of a variable: letters, digits and _, no digit first"))
    });
    let named = [fields.has("file"), fields.has("env")];
    fields.finish();
    match named {
        [true, true] => node.fail("takes only one of file and env"),
        [false, false] => node.fail("needs file or env: where the secret stands"),
        _ => Some(()),
    }
}

fn host(node: &Node) -> Option<()> {
    let name = line(node)?;
    let right = name.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_".contains(c));
    right.then_some(()).or_else(|| node.fail(format!("{name:?} is no host: write a name or an address, the port beside it")))
}

/// Text that is there and has one line.
fn line(node: &Node) -> Option<String> {
    match text(node)? {
        text if text.trim().is_empty() => node.fail("must not be empty"),
        text if text.chars().any(char::is_control) => node.fail("has line breaks or control characters in it"),
        text => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::crd::{Admitted, Kind, admit};

    fn channel(spec: &Value) -> Value {
        json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Channel", "metadata": {"name": "ops"}, "spec": spec})
    }

    fn errors(spec: &Value) -> String {
        let errors = admit(Kind::Channel, channel(spec), None, false).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_way_is_admitted_and_reads_back() {
        let file = json!({"file": "/etc/evenkeel/secret"});
        for spec in [
            json!({"email": {"host": "mail.example", "username": "u", "passwordFrom": file, "from": "a@b.c", "to": ["Ada <ada@b.c>"]}}),
            json!({"webhook": {"url": "https://h.example/x", "secretFrom": {"env": "HOOK_SECRET"}}}),
            json!({"slack": {"urlFrom": file}}),
            json!({"discord": {"urlFrom": file}}),
            json!({"telegram": {"tokenFrom": file, "chatId": "-100123"}}),
            json!({"ntfy": {"topicFrom": file, "server": "http://127.0.0.1:2586"}}),
            json!({"resend": {"tokenFrom": file, "from": "a@b.c", "to": ["ada@b.c"]}, "perMinute": 5}),
        ] {
            let Admitted { object, warnings } = admit(Kind::Channel, channel(&spec), None, false).unwrap();
            assert_eq!(warnings, Vec::<String>::new(), "{spec}");
            assert_eq!(object["spec"]["suspend"], false);
            assert_eq!(admit(Kind::Channel, object.clone(), None, false).unwrap().object, object);
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_secret_with_it() {
        let told = errors(&json!({
            "email": {"host": "smtp://mail", "port": 0, "security": "None", "username": "u", "passwordFrom": "hunter2",
                "from": "nobody", "to": []},
            "webhook": {"url": "https://u:hunter2@h/a", "urlFrom": {"file": "rel", "env": "A"}, "secretFrom": {}},
            "slack": {"urlFrom": "https://hooks.slack.example/services/hunter2"},
            "telegram": {"chatId": "ops"}, "perMinute": 0, "suspended": true,
        }));
        for part in [
            "spec.email.host: ",
            "spec.email.port: must be 1 to 65535",
            "spec.email.passwordFrom: must be {file: PATH} or {env: NAME}",
            "spec.email: security: None would send the password in the clear",
            "spec.email.from: \"nobody\" is no mail address",
            "spec.email.to: needs a receiver",
            "spec.webhook.url: has credentials in it",
            "spec.webhook.urlFrom.file: ",
            "spec.webhook.urlFrom: takes only one of file and env",
            "spec.webhook.secretFrom: needs file or env",
            "spec.webhook: takes only one of url and urlFrom",
            "spec.slack.urlFrom: must be {file: PATH}",
            "spec.telegram.tokenFrom: is required",
            "spec.telegram.chatId: \"ops\" is no chat",
            "spec: takes only one way",
            "spec.perMinute: must be 1 to 1000",
            "spec.suspended: unknown field \"suspended\": did you mean \"suspend\"?",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
        assert!(errors(&json!({})).contains("needs one of email, webhook"));
    }
}
