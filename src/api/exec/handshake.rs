//! The WebSocket handshake of RFC 6455, with Kubernetes' subprotocols.

use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::api::errors::{ApiError, Result};
use crate::model::remote::PROTOCOLS;

/// What was agreed on.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// One of [`PROTOCOLS`].
    pub protocol: &'static str,
    key: String,
}

/// Agrees with a client that asks for a WebSocket.
///
/// # Errors
/// When it asks for something else, or for no protocol that is spoken here.
pub fn accept(headers: &HeaderMap) -> Result<Accepted> {
    let text =
        |name: HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    let has = |list: &str, word: &str| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word));
    if !has(&text(UPGRADE), "websocket") || !has(&text(CONNECTION), "upgrade") {
        return Err(ApiError::bad_request(
            "a command is run over a WebSocket: send Upgrade: websocket (SPDY is not spoken here)",
        ));
    }
    if text(SEC_WEBSOCKET_VERSION) != "13" {
        return Err(ApiError::bad_request("only version 13 of WebSocket is spoken"));
    }
    let (key, offered) = (text(SEC_WEBSOCKET_KEY), text(SEC_WEBSOCKET_PROTOCOL));
    if key.is_empty() {
        return Err(ApiError::bad_request("the header Sec-WebSocket-Key is missing"));
    }
    let protocol = PROTOCOLS.into_iter().find(|protocol| has(&offered, protocol));
    let protocol = protocol.ok_or_else(|| {
        ApiError::bad_request(format!("none of the subprotocols is spoken here; offer one of: {}", PROTOCOLS.join(", ")))
    })?;
    Ok(Accepted { protocol, key })
}

impl Accepted {
    /// The answer after which the connection is a WebSocket.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let accept = derive_accept_key(self.key.as_bytes());
        let pairs = [
            (UPGRADE, "websocket"),
            (CONNECTION, "Upgrade"),
            (SEC_WEBSOCKET_ACCEPT, accept.as_str()),
            (SEC_WEBSOCKET_PROTOCOL, self.protocol),
        ];
        for (name, value) in pairs {
            // Both are ASCII: base64, and our own words.
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    const USUAL: [(&str, &str); 5] = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "v1.other, v4.channel.k8s.io, v5.channel.k8s.io"),
    ];

    #[test]
    fn the_best_protocol_that_both_speak_is_agreed_on() {
        let accepted = accept(&headers(&USUAL)).unwrap();
        assert_eq!(accepted.protocol, "v5.channel.k8s.io");
        let response = accepted.response();
        // The sample of RFC 6455, section 1.3.
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.status(), 101);
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for index in 0..USUAL.len() {
            let mut pairs = USUAL.to_vec();
            pairs[index].1 = "x";
            assert_eq!(accept(&headers(&pairs)).is_err(), index != 3, "{pairs:?}");
        }
        assert!(accept(&HeaderMap::new()).is_err());
    }
}
