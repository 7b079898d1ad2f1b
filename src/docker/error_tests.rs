use super::*;

fn kind(call: Call, status: u16, message: &str) -> FailureKind {
    by_status(call, status, message)
}

fn held(port: Option<u16>, protocol: &str) -> FailureKind {
    FailureKind::PortHeld { port, protocol: protocol.to_owned() }
}

/// `driver failed programming ..` as each engine words it.
fn start_fails(tail: &str) -> FailureKind {
    let endpoint = "endpoint web (3cd6472386bdcc03d26add38a825f877b36e01d0bbe10ffd1b1c30d784b19bb2)";
    kind(Call::Start, 500, &format!("driver failed programming external connectivity on {endpoint}: {tail}"))
}

#[test]
fn a_held_port_is_read_from_the_words_of_all_engines() {
    let tcp = || held(Some(8080), "tcp");
    assert_eq!(start_fails("Bind for 0.0.0.0:8080 failed: port is already allocated"), tcp());
    assert_eq!(start_fails("Bind for :::8080 failed: port is already allocated"), tcp());
    let proxy = "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use";
    assert_eq!(start_fails(proxy), tcp());
    assert_eq!(start_fails("Error starting userland proxy: listen tcp6 [::]:8080: bind: address already in use"), tcp());
    let udp = "Error starting userland proxy: listen udp4 127.0.0.1:53: bind: address already in use";
    assert_eq!(start_fails(udp), held(Some(53), "udp"));
    assert_eq!(start_fails("failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use"), tcp());
    assert_eq!(start_fails("failed to bind host port 0.0.0.0:8080/tcp: address already in use"), tcp());
    assert_eq!(start_fails("failed to bind host port [::]:8080/tcp: address already in use"), tcp());
    assert_eq!(start_fails("failed to bind host port 127.0.0.1:53/udp: address already in use"), held(Some(53), "udp"));
    assert_eq!(start_fails("Bind for 0.0.0.0 failed: all ports are allocated"), held(None, "tcp"));
}

#[test]
fn trouble_of_the_engine_with_networks_is_not_the_containers_fault() {
    assert_eq!(start_fails("iptables failed: no chain/target/match by that name"), FailureKind::Transient);
    assert_eq!(kind(Call::Start, 500, "context deadline exceeded"), FailureKind::Transient);
    assert_eq!(kind(Call::Start, 503, ""), FailureKind::Transient);
}

#[test]
fn a_container_that_cannot_run_is_its_own_fault_whatever_the_status() {
    for (status, text) in [
        (400, "failed to create shim task: OCI runtime create failed: exec: \"/nope\": no such file or directory: unknown"),
        (400, "OCI runtime create failed: exec: \"x\": permission denied: unknown"),
        (500, "failed to create task for container: exec /run.sh: exec format error"),
        (500, "error while creating mount source path '/x': mkdir /x: read-only file system"),
        (500, "unable to find user nobody: no matching entries in passwd file"),
    ] {
        assert_eq!(kind(Call::Start, status, text), FailureKind::StartFailed, "{text}");
    }
}

#[test]
fn a_missing_network_is_told_from_a_missing_container_and_a_missing_image() {
    let missing = "network 4f0cafe not found";
    assert_eq!(kind(Call::Start, 404, missing), FailureKind::NetworkMissing);
    assert_eq!(kind(Call::Start, 500, &format!("failed to set up container networking: {missing}")), FailureKind::NetworkMissing);
    assert_eq!(kind(Call::Connect, 404, missing), FailureKind::NetworkMissing);
    assert_eq!(kind(Call::Connect, 404, "No such container: web"), FailureKind::NotFound);
    assert_eq!(kind(Call::Name, 404, "No such image: web:1"), FailureKind::ImageMissing);
    assert_eq!(kind(Call::Name, 404, "No such container: web"), FailureKind::NotFound);
    assert_eq!(kind(Call::Start, 500, "network net is ambiguous (2 matches found on name)"), FailureKind::Conflict);
}

#[test]
fn the_status_decides_where_it_can() {
    assert_eq!(kind(Call::Name, 409, "any text"), FailureKind::NameHeld);
    assert_eq!(kind(Call::Other, 409, "volume is in use"), FailureKind::Conflict);
    assert_eq!(kind(Call::Other, 403, "network net has active endpoints"), FailureKind::Conflict);
    assert_eq!(kind(Call::Name, 400, "invalid mount config"), FailureKind::Refused);
    assert_eq!(kind(Call::Other, 429, ""), FailureKind::Transient);
    assert_eq!(kind(Call::Other, 500, "database is locked"), FailureKind::Transient);
    assert_eq!(kind(Call::Other, 404, "no such volume"), FailureKind::NotFound);
}

#[test]
fn what_a_registry_says_is_told_apart() {
    for (text, wanted) in [
        ("toomanyrequests: You have reached your pull rate limit.", FailureKind::RateLimited { retry_after: None }),
        ("error parsing HTTP 429 response body: Too Many Requests", FailureKind::RateLimited { retry_after: None }),
        ("Head \"http://127.0.0.1:42947/v2/app/manifests/1\": no basic auth credentials", FailureKind::ImageDenied),
        ("unauthorized: incorrect username or password", FailureKind::ImageDenied),
        ("pull access denied for app, repository does not exist or may require 'docker login'", FailureKind::ImageDenied),
        ("manifest for 127.0.0.1:43215/ekt-4012/app:2 not found: manifest unknown: manifest unknown", FailureKind::ImageNotFound),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", FailureKind::WrongPlatform),
        ("Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", FailureKind::RegistryUnavailable),
        ("dial tcp: lookup registry.test on 10.0.0.1:53: no such host", FailureKind::RegistryUnavailable),
        ("net/http: TLS handshake timeout", FailureKind::RegistryUnavailable),
        ("received unexpected HTTP status: 502 Bad Gateway", FailureKind::RegistryUnavailable),
        ("write /var/lib/docker/tmp/x: no space left on device", FailureKind::Transient),
    ] {
        assert_eq!(kind(Call::Pull, 500, text), wanted, "{text}");
        assert_eq!(in_stream(Call::Pull, text), wanted, "{text}");
    }
    assert_eq!(kind(Call::Pull, 400, "invalid reference format"), FailureKind::Refused);
}

#[test]
fn how_long_a_registry_wants_to_be_left_alone_is_read_from_its_words() {
    for (text, seconds) in [
        ("toomanyrequests: retry-after: 1m2.5s, allowed: 44000/minute", Some(62.5)),
        ("toomanyrequests: slow down, Retry-After: 30", Some(30.0)),
        ("toomanyrequests: retry-after: 401.625\u{b5}s, allowed: 44000/minute", Some(0.000_401_625)),
        ("toomanyrequests: retry-after: soon", None),
        ("toomanyrequests: Rate exceeded", None),
    ] {
        let retry_after = seconds.map(Duration::from_secs_f64);
        assert_eq!(kind(Call::Pull, 500, text), FailureKind::RateLimited { retry_after }, "{text}");
    }
}

#[test]
fn an_image_for_other_machines_is_told_from_one_that_is_not_there() {
    let other =
        "image with reference app:1 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64";
    assert_eq!(kind(Call::Name, 404, other), FailureKind::WrongPlatform);
    assert_eq!(kind(Call::Pull, 404, other), FailureKind::WrongPlatform);
}

#[test]
fn a_message_says_what_was_attempted_on_what_and_what_the_engine_said() {
    let attempt = Attempt::new(Call::Start, "start container 3f2a1b0c4d5e");
    let error = Error::DockerResponseServerError { status_code: 409, message: "it is marked for removal\n".to_owned() };
    assert_eq!(attempt.failed("unix:///x", &error).message, "cannot start container 3f2a1b0c4d5e: it is marked for removal");
    let silent = Error::DockerResponseServerError { status_code: 500, message: String::new() };
    assert_eq!(attempt.failed("unix:///x", &silent).message, "cannot start container 3f2a1b0c4d5e: the engine gave no reason");
    let broken = Error::IOError { err: std::io::Error::from(std::io::ErrorKind::ConnectionRefused) };
    let failure = attempt.failed("unix:///x", &broken);
    assert_eq!(failure.message, "cannot start container 3f2a1b0c4d5e: no connection to unix:///x: connection refused");
    assert_eq!(failure.kind, FailureKind::Unavailable);
    let late = attempt.timed_out(Duration::from_secs(60));
    assert_eq!(late.message, "cannot start container 3f2a1b0c4d5e: the engine did not answer within 60 s");
}
