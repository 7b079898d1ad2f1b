//! The way out.
//!
//! | file | what it is |
//! |---|---|
//! | `post` | what is posted to whom. Pure |
//! | `http` | posting it |
//! | `mail` | SMTP |

mod http;
mod mail;
mod post;

use std::time::Duration;

use async_trait::async_trait;

use super::notice::Notice;
use super::secrets::Secrets;
use crate::crd::ChannelSpec;
use crate::model::Reason;

/// Why a message was not taken, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub why: String,
    /// What kind of trouble it is.
    pub reason: Reason,
    /// Whether it is of no use to try again.
    pub permanent: bool,
    /// When the receiver wants to be asked again.
    pub after: Option<Duration>,
}

impl Failure {
    /// One that may be over at the next try.
    pub fn later(why: impl Into<String>) -> Self {
        Self { why: why.into(), reason: Reason::Undeliverable, permanent: false, after: None }
    }

    /// One that stays.
    pub fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), reason: Reason::Refused, permanent: true, after: None }
    }

    /// A secret that cannot be read: it may be there at the next try.
    pub fn secret(why: impl Into<String>) -> Self {
        Self { why: why.into(), reason: Reason::SecretUnreadable, permanent: false, after: None }
    }
}

/// Brings a message to its receiver.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt, which ends within a minute.
    async fn send(&self, channel: &ChannelSpec, notice: &Notice) -> Result<(), Failure>;
}

/// The network.
#[derive(Debug, Default, Clone, Copy)]
pub struct Wire;

#[async_trait]
impl Transport for Wire {
    async fn send(&self, channel: &ChannelSpec, notice: &Notice) -> Result<(), Failure> {
        let mut secrets = Secrets::default();
        let sent = match &channel.email {
            Some(email) => mail::send(email, notice, &mut secrets).await,
            None => match post::post(channel, notice, &mut secrets) {
                Ok(post) => http::send(&post, &secrets).await,
                Err(failure) => Err(failure),
            },
        };
        sent.map_err(|failure| Failure { why: secrets.mask(&failure.why), ..failure })
    }
}

/// The server of a Channel, as it may be shown: never what stands behind the host.
pub fn server(channel: &ChannelSpec) -> String {
    if let Some(email) = &channel.email {
        return format!("{}:{}", email.host, email.port());
    }
    // An address that is a secret is read for its host alone.
    post::address(channel, &mut Secrets::default()).map(|url| host_of(&url)).unwrap_or_default()
}

/// The host of an address, with its port where one is named.
fn host_of(url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}
