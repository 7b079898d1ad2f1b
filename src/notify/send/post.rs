//! What is posted to whom: addresses, headers and bodies. Pure, but for secrets that are read.

use std::path::PathBuf;

use ring::hmac;
use serde_json::{Value, json};

use super::Failure;
use crate::crd::{AlertSeverity, ChannelSpec};
use crate::notify::notice::{News, Notice, cut};
use crate::notify::secrets::Secrets;

/// What Discord takes of a message.
const DISCORD: usize = 1900;
/// What Telegram takes.
const TELEGRAM: usize = 4000;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Where it goes.
    pub url: String,
    /// Headers beside `Content-Type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    /// The body: JSON.
    pub body: Vec<u8>,
    /// Certificates the server is checked with.
    pub ca_file: Option<PathBuf>,
}

/// The request that brings a notice to a Channel that is no mail over SMTP.
pub fn post(channel: &ChannelSpec, notice: &Notice, secrets: &mut Secrets) -> Result<Post, Failure> {
    let url = address(channel, secrets)?;
    let mut headers = vec![("Idempotency-Key", notice.id.clone()), ("X-Evenkeel-Id", notice.id.clone())];
    let mut ca_file = None;
    let body = if let Some(webhook) = &channel.webhook {
        let body =
            serde_json::to_vec(notice).map_err(|error| Failure::refused(format!("the notice cannot be written: {error}")))?;
        if let Some(from) = &webhook.secret_from {
            let key = hmac::Key::new(hmac::HMAC_SHA256, read(secrets, from)?.as_bytes());
            headers.push(("X-Signature", format!("sha256={}", hex(hmac::sign(&key, &body).as_ref()))));
        }
        if let Some(from) = &webhook.token_from {
            headers.push(("Authorization", format!("Bearer {}", read(secrets, from)?)));
        }
        ca_file.clone_from(&webhook.ca_file);
        body
    } else if channel.slack.is_some() {
        json!({"text": format!("*{}*\n{}", slack(&notice.title), slack(&notice.text))}).to_string().into_bytes()
    } else if channel.discord.is_some() {
        let content = cut(&format!("**{}**\n{}", notice.title, notice.text), DISCORD);
        // Nobody is called by a container's log line that has @everyone in it.
        json!({"content": content, "allowed_mentions": {"parse": []}}).to_string().into_bytes()
    } else if let Some(telegram) = &channel.telegram {
        let text = cut(&format!("{}\n{}", notice.title, notice.text), TELEGRAM);
        json!({"chat_id": telegram.chat_id, "text": text, "disable_web_page_preview": true}).to_string().into_bytes()
    } else if let Some(ntfy) = &channel.ntfy {
        if let Some(from) = &ntfy.token_from {
            headers.push(("Authorization", format!("Bearer {}", read(secrets, from)?)));
        }
        let topic = read(secrets, &ntfy.topic_from)?;
        ntfy_body(notice, &topic).to_string().into_bytes()
    } else if let Some(resend) = &channel.resend {
        headers.push(("Authorization", format!("Bearer {}", read(secrets, &resend.token_from)?)));
        let body = json!({
            "from": resend.from, "to": resend.to, "subject": notice.title, "text": notice.text,
            "headers": {"X-Entity-Ref-ID": notice.id, "Auto-Submitted": "auto-generated"},
        });
        body.to_string().into_bytes()
    } else {
        return Err(Failure::refused("the Channel says no way to reach people"));
    };
    Ok(Post { url, headers, body, ca_file })
}

/// The address of a Channel that is posted to.
pub fn address(channel: &ChannelSpec, secrets: &mut Secrets) -> Result<String, Failure> {
    let server = |own: &Option<String>, default: &str| own.as_deref().unwrap_or(default).trim_end_matches('/').to_owned();
    match channel {
        ChannelSpec { webhook: Some(webhook), .. } => match (&webhook.url, &webhook.url_from) {
            (_, Some(from)) => read(secrets, from),
            (Some(url), None) => Ok(url.clone()),
            (None, None) => Err(Failure::refused("the webhook has no address")),
        },
        ChannelSpec { slack: Some(slack), .. } => read(secrets, &slack.url_from),
        ChannelSpec { discord: Some(discord), .. } => read(secrets, &discord.url_from),
        ChannelSpec { telegram: Some(telegram), .. } => {
            let token = read(secrets, &telegram.token_from)?;
            Ok(format!("{}/bot{token}/sendMessage", server(&telegram.server, "https://api.telegram.org")))
        }
        ChannelSpec { ntfy: Some(ntfy), .. } => Ok(server(&ntfy.server, "https://ntfy.sh")),
        ChannelSpec { resend: Some(resend), .. } => Ok(format!("{}/emails", server(&resend.server, "https://api.resend.com"))),
        _ => Err(Failure::refused("the Channel says no way to reach people")),
    }
}

fn read(secrets: &mut Secrets, from: &crate::crd::SecretFrom) -> Result<String, Failure> {
    secrets.read(from).map_err(Failure::secret)
}

/// Slack's three characters that mean something.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn ntfy_body(notice: &Notice, topic: &str) -> Value {
    let over = matches!(notice.kind, News::Resolved);
    let (priority, tag) = match notice.severity {
        _ if over => (3, "white_check_mark"),
        AlertSeverity::Info => (3, "information_source"),
        AlertSeverity::Warning => (4, "warning"),
        AlertSeverity::Critical => (5, "rotating_light"),
    };
    json!({"topic": topic, "title": notice.title, "message": notice.text, "priority": priority, "tags": [tag]})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(spec: Value) -> ChannelSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn notice() -> Notice {
        Notice {
            id: "abc123".into(),
            title: "[warning] default/web: Crashed".into(),
            text: "exit <1> & @everyone".into(),
            ..Notice::default()
        }
    }

    /// A folder with a file `url`, `token` and `topic`.
    fn files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("url", "https://hooks.example/T00000/B00000\n"), ("token", "s3cret-token"), ("topic", "s3cret-topic")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn body(post: &Post) -> Value {
        serde_json::from_slice(&post.body).unwrap()
    }

    #[test]
    fn each_receiver_gets_what_it_understands() {
        let folder = files();
        let file = |name: &str| json!({"file": folder.path().join(name)});
        let made = |spec: Value| post(&channel(spec), &notice(), &mut Secrets::default()).unwrap();

        let slack = made(json!({"slack": {"urlFrom": file("url")}}));
        assert_eq!(slack.url, "https://hooks.example/T00000/B00000");
        assert_eq!(body(&slack)["text"], "*[warning] default/web: Crashed*\nexit &lt;1&gt; &amp; @everyone");

        let discord = made(json!({"discord": {"urlFrom": file("url")}}));
        assert_eq!(body(&discord)["allowed_mentions"], json!({"parse": []}));

        let telegram = made(json!({"telegram": {"tokenFrom": file("token"), "chatId": "-7"}}));
        assert_eq!(telegram.url, "https://api.telegram.org/bots3cret-token/sendMessage");
        assert_eq!(body(&telegram)["chat_id"], "-7");

        let ntfy =
            made(json!({"ntfy": {"topicFrom": file("topic"), "tokenFrom": file("token"), "server": "http://127.0.0.1:1/"}}));
        assert_eq!((ntfy.url.as_str(), &body(&ntfy)["topic"]), ("http://127.0.0.1:1", &json!("s3cret-topic")));
        assert!(ntfy.headers.contains(&("Authorization", "Bearer s3cret-token".into())));

        let resend = made(json!({"resend": {"tokenFrom": file("token"), "from": "a@b.c", "to": ["d@e.f"]}}));
        assert_eq!(resend.url, "https://api.resend.com/emails");
        assert!(resend.headers.contains(&("Idempotency-Key", "abc123".into())));
    }

    #[test]
    fn a_webhook_is_signed_over_its_body() {
        let folder = files();
        let spec = json!({"webhook": {"url": "https://h.example/x", "secretFrom": {"file": folder.path().join("token")}}});
        let post = post(&channel(spec), &notice(), &mut Secrets::default()).unwrap();
        let (_, signature) = post.headers.iter().find(|(name, _)| *name == "X-Signature").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret-token");
        assert_eq!(*signature, format!("sha256={}", hex(hmac::sign(&key, &post.body).as_ref())));
        assert_eq!(body(&post)["id"], "abc123");
    }

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        let folder = files();
        let slack = channel(json!({"slack": {"urlFrom": {"file": folder.path().join("url")}}}));
        assert_eq!(super::super::server(&slack), "hooks.example");
        let webhook = channel(json!({"webhook": {"url": "http://127.0.0.1:8080/a?b"}}));
        assert_eq!(super::super::server(&webhook), "127.0.0.1:8080");
        let mail = channel(json!({"email": {"host": "mail.example", "from": "a@b.c", "to": []}}));
        assert_eq!(super::super::server(&mail), "mail.example:587");
    }
}
