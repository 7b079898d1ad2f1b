//! Kind `Channel`: a way to reach people.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

mod status;

use std::path::PathBuf;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{ChannelStatus, DeliveryFailure, TestResult};

/// A way to reach people. Exactly one of the seven.
///
/// Secrets are named by file or variable and never stand in an object. An address that carries one, such as that of a Slack
/// webhook, is a secret.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Channel",
    plural = "channels",
    singular = "channel",
    shortname = "chan",
    namespaced,
    status = "ChannelStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A way to reach people.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Type", type_ = "string", json_path = ".status.type"),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queued"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.delivered"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastDeliveredAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelSpec {
    /// Mail over SMTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// A JSON body, posted to an address of yours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookPost>,
    /// A Slack incoming webhook; Mattermost and Rocket.Chat take the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// A Discord webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discord: Option<Discord>,
    /// A Telegram bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telegram: Option<Telegram>,
    /// A topic of ntfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntfy: Option<Ntfy>,
    /// Mail over Resend's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend: Option<Resend>,
    /// Most messages in a minute; what is more waits. Default 30.
    #[schemars(range(min = 1, max = 1000))]
    pub per_minute: u32,
    /// Send nothing; messages wait. Default false.
    pub suspend: bool,
}

/// Where a secret stands: one of the two. It is read anew for each message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretFrom {
    /// An absolute path of the host: the file's text, without line breaks at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// A variable of the operator's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// Mail over SMTP.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Email {
    /// The mail server.
    pub host: String,
    /// Default: 587 with `StartTLS`, 465 with `TLS`, 25 with `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// `StartTLS` (default) and `TLS` encrypt and check the server's certificate, or nothing is sent. `None` does not; credentials are
    /// refused with it.
    #[serde(default)]
    pub security: EmailSecurity,
    /// User name, if the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<SecretFrom>,
    /// Sender: `evenkeel@example.org`, or `evenkeel <evenkeel@example.org>`.
    pub from: String,
    /// Receivers.
    pub to: Vec<String>,
    /// Certificates the server is checked with (PEM). Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmailSecurity {
    /// Begins plain and must become TLS.
    #[default]
    StartTLS,
    /// TLS from the start.
    TLS,
    /// Not at all.
    None,
}

/// A JSON body, posted to an address of yours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookPost {
    /// The address, if there is no secret in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The address, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretFrom>,
    /// Signs the body: `X-Signature: sha256=<HMAC-SHA256 of the body in hex>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_from: Option<SecretFrom>,
    /// Sent as `Authorization: Bearer ..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_from: Option<SecretFrom>,
    /// Certificates the server is checked with (PEM). Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A Slack incoming webhook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slack {
    /// The webhook's address.
    pub url_from: SecretFrom,
}

/// A Discord webhook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Discord {
    /// The webhook's address.
    pub url_from: SecretFrom,
}

/// A Telegram bot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Telegram {
    /// The bot's token.
    pub token_from: SecretFrom,
    /// The chat: a number, or `@channel`.
    pub chat_id: String,
    /// Another server of the Bot API. Default `https://api.telegram.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// A topic of ntfy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ntfy {
    /// The topic. On a server that everybody may read its name is a secret.
    pub topic_from: SecretFrom,
    /// Token, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_from: Option<SecretFrom>,
    /// Another server. Default `https://ntfy.sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// Mail over Resend's API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resend {
    /// The API key.
    pub token_from: SecretFrom,
    /// Sender: `evenkeel@example.org`, or `evenkeel <evenkeel@example.org>`.
    pub from: String,
    /// Receivers.
    pub to: Vec<String>,
    /// Another server of the API. Default `https://api.resend.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

impl Default for ChannelSpec {
    fn default() -> Self {
        Self {
            email: None,
            webhook: None,
            slack: None,
            discord: None,
            telegram: None,
            ntfy: None,
            resend: None,
            per_minute: 30,
            suspend: false,
        }
    }
}

impl ChannelSpec {
    /// Which of the seven it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self { email: Some(_), .. } => "email",
            Self { webhook: Some(_), .. } => "webhook",
            Self { slack: Some(_), .. } => "slack",
            Self { discord: Some(_), .. } => "discord",
            Self { telegram: Some(_), .. } => "telegram",
            Self { ntfy: Some(_), .. } => "ntfy",
            _ => "resend",
        }
    }
}

impl Email {
    /// The port to use.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            EmailSecurity::StartTLS => 587,
            EmailSecurity::TLS => 465,
            EmailSecurity::None => 25,
        })
    }
}
