use super::*;

/// What is found in a `config.json`: user and password or token, and the origin in words.
async fn found(config: &str, registry: &str) -> (Option<(String, String)>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    let Access { credentials, origin } = Keyring::new(Some(dir.path().to_owned())).of(registry).await;
    let pair = credentials.map(|found| {
        let secret = found.password.or(found.identitytoken).or(found.registrytoken);
        (found.username.unwrap_or_default(), secret.unwrap_or_default())
    });
    (pair, origin.replace(&dir.path().display().to_string(), "DIR"))
}

fn auths(server: &str, auth: &str) -> String {
    serde_json::json!({"auths": {server: {"auth": STANDARD.encode(auth)}}}).to_string()
}

fn pair(user: &str, secret: &str) -> Option<(String, String)> {
    Some((user.to_owned(), secret.to_owned()))
}

#[tokio::test]
async fn an_entry_is_found_by_host_with_and_without_scheme_and_path() {
    for server in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v2/", "http://ghcr.io"] {
        let (credentials, origin) = found(&auths(server, "ada:p:w"), "ghcr.io").await;
        assert_eq!(credentials, pair("ada", "p:w"), "{server}");
        assert_eq!(origin, "with the credentials for ghcr.io from DIR/config.json");
    }
    assert_eq!(found(&auths(HUB_SERVER, "ada:pw"), "docker.io").await.0, pair("ada", "pw"));
    assert_eq!(found(&auths("127.0.0.1:5000", "ada:pw"), "127.0.0.1:5001").await.0, None);
}

#[tokio::test]
async fn the_registries_that_somebody_is_logged_in_to_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let all = || async { Keyring::new(Some(dir.path().to_owned())).registries().await.into_iter().collect::<Vec<_>>() };
    assert!(all().await.is_empty());
    let config = serde_json::json!({"auths": {HUB_SERVER: {}, "https://ghcr.io/v2/": {}}, "credHelpers": {"a.io:5000": "x"}});
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    assert_eq!(all().await, ["a.io:5000", "docker.io", "ghcr.io"]);
}

#[tokio::test]
async fn tokens_and_plain_fields_are_read_too() {
    let token =
        r#"{"auths": {"a.io": {"auth": "YWRhOg==", "identitytoken": "tok"}, "b.io": {"username": "u", "password": "p"}}}"#;
    assert_eq!(found(token, "a.io").await.0, pair("ada", "tok"));
    assert_eq!(found(token, "b.io").await.0, pair("u", "p"));
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do_and_an_empty_entry_is_nothing() {
    let (none, origin) = found(r#"{"auths": {"a.io": {}}}"#, "a.io").await;
    assert_eq!(none, None);
    assert_eq!(origin, "there are no credentials for a.io in DIR/config.json; `docker login a.io` writes them");
    let Access { credentials, origin } = Keyring::new(Some("/nowhere".into())).of("a.io").await;
    assert!(credentials.is_none() && origin.contains("no credentials for a.io"), "{origin}");
    assert!(Keyring::new(None).of("a.io").await.origin.contains("--docker-config"));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_without_a_word_of_its_content() {
    for broken in [r#"{"auths": {"a.io": {"auth": "hunter2!"}}}"#, r#"{"auths": {"a.io": "hunter2"}}"#, "hunter2"] {
        let (none, origin) = found(broken, "a.io").await;
        assert_eq!(none, None, "{broken}");
        assert!(origin.contains("DIR/config.json") && !origin.contains("hunter2"), "{origin}");
    }
}

#[tokio::test]
async fn a_helper_that_is_not_there_or_no_name_is_told() {
    let (none, origin) = found(r#"{"credsStore": "nonesuch-of-a-test"}"#, "a.io").await;
    assert!(none.is_none() && origin.contains("docker-credential-nonesuch-of-a-test cannot be run"), "{origin}");
    let (none, origin) = found(r#"{"credHelpers": {"a.io": "../evil"}}"#, "a.io").await;
    assert!(none.is_none() && origin.contains("is no name"), "{origin}");
    let other = r#"{"credHelpers": {"b.io": "nonesuch-of-a-test"}, "auths": {"a.io": {"auth": "YWRhOnB3"}}}"#;
    assert_eq!(found(other, "a.io").await.0, pair("ada", "pw"));
}
