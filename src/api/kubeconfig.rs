//! What kubectl needs to reach this server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Credentials;

/// A kubeconfig, YAML, with one context `evenkeel` for the server at `url` (`https://127.0.0.1:6440`). It holds the token.
pub fn kubeconfig(url: &str, credentials: &Credentials) -> String {
    let name = "evenkeel";
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": {
            "server": url, "certificate-authority-data": STANDARD.encode(&credentials.ca_pem),
        }}],
        "users": [{"name": name, "user": {"token": credentials.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    });
    // JSON is YAML; strings, lists and maps always serialize.
    serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_server_and_holds_the_token() {
        let text = kubeconfig("https://127.0.0.1:6440", &Credentials { ca_pem: "PEM".into(), token: "t0ken".into() });
        assert!(text.contains("server: https://127.0.0.1:6440") && text.contains("token: t0ken"), "{text}");
        assert!(text.contains("certificate-authority-data: UEVN"), "{text}");
    }
}
