//! Who may talk to the API: root through the unix socket, the holder of the token through TLS.
//!
//! # Guarantees
//! - A web page cannot talk to it: any `Origin` header is refused, and a `Host` that does not name this server (DNS
//!   rebinding) too.
//! - Tokens are compared in constant time and kept hashed.
//! - A wrong token is refused everywhere, also where none is needed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::errors::{ApiError, Result};
use super::hooks::PREFIX;

/// Who makes a request. It stands in the request's extensions once the caller is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For `by` of a Hold: `unix:uid=0`, `token:admin`.
    pub by: String,
    /// False for anybody on the loopback of a server that was told to trust it.
    pub authenticated: bool,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::unauthorized(
                "send the token as \"Authorization: Bearer ..\" over TLS; `evenkeel kubeconfig` writes what kubectl needs",
            )
        })
    }
}

/// Through which door a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The unix socket, and the uid at its other end.
    Unix {
        /// From the kernel.
        uid: u32,
    },
    /// TLS.
    Tls,
    /// Plain TCP.
    Plain {
        /// Whether the other end is this host.
        loopback: bool,
    },
}

/// What is checked of every request.
pub struct Access {
    token_hash: [u8; 32],
    hosts: BTreeSet<String>,
    any_address: bool,
    insecure_loopback: bool,
}

impl Access {
    /// `hosts`: names and addresses of this server beside the loopback's; `any_address`: it listens on all of them.
    pub fn new(token: &str, hosts: impl IntoIterator<Item = String>, any_address: bool, insecure_loopback: bool) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { token_hash: Sha256::digest(token).into(), hosts, any_address, insecure_loopback }
    }

    /// Who calls. `None`: nobody known, who may ask for health only.
    fn admit(&self, peer: Peer, request: &Request) -> Result<Option<Caller>> {
        let headers = request.headers();
        // The second is what browsers add where they leave the first out.
        if headers.contains_key(header::ORIGIN) || headers.get("sec-fetch-site").is_some_and(|site| site != "none") {
            return Err(ApiError::forbidden(
                "requests that a web page makes are refused (Origin header): this API is not for them",
            ));
        }
        if !matches!(peer, Peer::Unix { .. }) {
            self.check_host(request)?;
        }
        match (peer, headers.get(header::AUTHORIZATION)) {
            (Peer::Unix { uid }, _) => Ok(Some(Caller { by: format!("unix:uid={uid}"), authenticated: true })),
            (Peer::Tls, Some(_)) => self.check_token(headers).map(Some),
            (Peer::Tls, None) => Ok(None),
            (Peer::Plain { loopback: true }, _) if self.insecure_loopback => {
                Ok(Some(Caller { by: "loopback:anonymous".into(), authenticated: false }))
            }
            (Peer::Plain { .. }, Some(_)) => Err(ApiError::unauthorized("a token is taken over TLS only: use https://")),
            (Peer::Plain { .. }, None) => Ok(None),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<Caller> {
        let bearer = |value: &str| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        };
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer).unwrap_or_default();
        let hash: [u8; 32] = Sha256::digest(token).into();
        if bool::from(hash.ct_eq(&self.token_hash)) {
            Ok(Caller { by: "token:admin".into(), authenticated: true })
        } else {
            Err(ApiError::unauthorized("the token is not this server's; `evenkeel kubeconfig` writes the right one"))
        }
    }

    fn check_host(&self, request: &Request) -> Result<()> {
        let named = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().ok());
        let authority = request.uri().authority().map(|authority| Some(authority.as_str()));
        let mut all = named.chain(authority).peekable();
        if all.peek().is_some() && all.all(|host| host.is_some_and(|host| self.is_ours(host))) {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "the Host header does not name this server: use localhost, its listen address or a name of its certificate",
        ))
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = without_port(host).to_ascii_lowercase();
        match bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // An address cannot be rebound; only a name can.
            Ok(address) => address.is_loopback() || self.any_address || self.hosts.contains(&address.to_string()),
            Err(_) => bare == "localhost" || self.hosts.contains(&bare),
        }
    }
}

/// `[::1]:6440` and `localhost:6440` without their port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.chars().all(|c| c.is_ascii_digit()) && (!bare.contains(':') || bare.ends_with(']')) => bare,
        _ => host,
    }
}

/// Puts the [`Caller`] into the request, or refuses it. The server puts the [`Peer`] there; without one nobody is known.
pub async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    // A webhook knows a secret of its own, and comes under whatever name it was let in by.
    if request.uri().path().starts_with(PREFIX) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Plain { loopback: false });
    match access.admit(peer, &request) {
        Ok(Some(caller)) => {
            tracing::Span::current().record("enduser.id", caller.by.as_str());
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(error) => return error.into_response(),
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn access(insecure: bool) -> Access {
        Access::new("s3cret", ["box.lan".into(), "10.0.0.5".into()], false, insecure)
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = headers.iter().fold(Request::builder().uri("/x"), |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::empty()).unwrap()
    }

    fn code(result: &Result<Option<Caller>>) -> u64 {
        result.as_ref().unwrap_err().status()["code"].as_u64().unwrap()
    }

    #[test]
    fn the_token_opens_over_tls_and_nothing_else_does() {
        let with = |value: &str| access(false).admit(Peer::Tls, &request(&[("host", "localhost"), ("authorization", value)]));
        assert_eq!(with("Bearer s3cret").unwrap().unwrap().by, "token:admin");
        assert_eq!(with("bearer s3cret").unwrap().unwrap().by, "token:admin");
        for wrong in ["Bearer s3cre", "Bearer ", "Bearer", "Basic s3cret", "s3cret", "Bearer s3cret2"] {
            assert_eq!(code(&with(wrong)), 401, "{wrong}");
        }
        assert_eq!(access(false).admit(Peer::Tls, &request(&[("host", "localhost")])).unwrap(), None);
    }

    #[test]
    fn plain_tcp_knows_nobody_unless_told_to_and_then_only_this_host() {
        let plain =
            |loopback, insecure, headers: &[(&str, &str)]| access(insecure).admit(Peer::Plain { loopback }, &request(headers));
        let local = [("host", "localhost")];
        assert_eq!(plain(true, false, &local).unwrap(), None);
        assert_eq!(plain(false, true, &local).unwrap(), None);
        assert!(!plain(true, true, &local).unwrap().unwrap().authenticated);
        assert_eq!(code(&plain(true, false, &[("host", "localhost"), ("authorization", "Bearer s3cret")])), 401);
    }

    #[test]
    fn only_our_own_names_are_taken_as_host() {
        let host = |host: &str| access(false).admit(Peer::Tls, &request(&[("host", host)]));
        for ours in ["localhost", "LOCALHOST:6440", "127.0.0.1:6440", "127.9.9.9", "[::1]:6440", "::1", "box.lan", "10.0.0.5:1"] {
            assert!(host(ours).is_ok(), "{ours}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "10.0.0.6", "box.lan.", "", "[::2]:6440", "evil.example:6440"] {
            assert_eq!(code(&host(foreign)), 403, "{foreign}");
        }
        assert_eq!(code(&access(false).admit(Peer::Tls, &request(&[]))), 403);
        assert_eq!(code(&access(false).admit(Peer::Tls, &request(&[("host", "localhost"), ("host", "evil.example")]))), 403);
    }

    #[test]
    fn an_origin_is_refused_even_on_the_unix_socket_whose_host_does_not_matter() {
        let unix = Peer::Unix { uid: 0 };
        assert_eq!(access(false).admit(unix, &request(&[("host", "2f72756e")])).unwrap().unwrap().by, "unix:uid=0");
        assert_eq!(code(&access(false).admit(unix, &request(&[("origin", "http://localhost")]))), 403);
        assert_eq!(code(&access(true).admit(unix, &request(&[("sec-fetch-site", "cross-site")]))), 403);
    }
}
