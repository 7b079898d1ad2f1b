use super::*;

fn around(config_dir: Option<&Path>) -> Surroundings {
    Surroundings { config_dir: config_dir.map(Path::to_owned), ..Default::default() }
}

fn where_to(explicit: Option<&str>, around: &Surroundings) -> Result<String, ConnectError> {
    endpoint(&resolve(explicit, around)?).map(|endpoint| endpoint.to_string())
}

/// Docker's folder with a context `far`, chosen or not.
fn docker_folder(chosen: bool, endpoints: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // The docker CLI names the folder by the SHA-256 of the context's name.
    let digest = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";
    let meta = folder.path().join("contexts/meta").join(digest);
    std::fs::create_dir_all(&meta).unwrap();
    std::fs::write(meta.join("meta.json"), format!(r#"{{"Name":"far","Metadata":{{}},"Endpoints":{endpoints}}}"#)).unwrap();
    let config = if chosen { r#"{"auths":{},"currentContext":"far"}"# } else { r#"{"auths":{}}"# };
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}

const FAR: &str = r#"{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}"#;

#[test]
fn what_is_said_explicitly_goes_before_the_environment_before_the_context_before_the_default() {
    let folder = docker_folder(true, FAR);
    let mut here = around(Some(folder.path()));
    assert_eq!(where_to(None, &here).unwrap(), "tcp://far:2375");
    here.docker_context = Some("default".to_owned());
    assert_eq!(where_to(None, &here).unwrap(), DEFAULT_SOCKET);
    here.docker_host = Some("unix:///tmp/env.sock".to_owned());
    assert_eq!(where_to(None, &here).unwrap(), "unix:///tmp/env.sock");
    assert_eq!(where_to(Some("unix:///tmp/flag.sock"), &here).unwrap(), "unix:///tmp/flag.sock");
    assert_eq!(where_to(None, &around(None)).unwrap(), DEFAULT_SOCKET);
}

#[test]
fn a_context_is_taken_only_when_it_is_chosen_and_one_that_is_missing_is_told() {
    let folder = docker_folder(false, FAR);
    let mut here = around(Some(folder.path()));
    assert_eq!(where_to(None, &here).unwrap(), DEFAULT_SOCKET);
    here.docker_context = Some("far".to_owned());
    assert_eq!(where_to(None, &here).unwrap(), "tcp://far:2375");
    here.docker_context = Some("nowhere".to_owned());
    let told = where_to(None, &here).unwrap_err().to_string();
    assert!(told.contains(r#""nowhere""#) && told.contains("meta.json") && told.contains("DOCKER_CONTEXT"), "{told}");
}

#[test]
fn addresses_are_read_as_the_docker_command_reads_them() {
    let to = |host: &str| where_to(Some(host), &around(None)).unwrap();
    assert_eq!(to("tcp://10.0.0.5"), "tcp://10.0.0.5:2375");
    assert_eq!(to("http://10.0.0.5:80/"), "tcp://10.0.0.5:80");
    assert_eq!(to("10.0.0.5:4243"), "tcp://10.0.0.5:4243");
    assert_eq!(to("tcp://[::1]:2375"), "tcp://[::1]:2375");
    assert_eq!(to("unix:///a/b.sock"), "unix:///a/b.sock");
}

#[test]
fn ssh_and_unknown_schemes_are_refused_with_what_to_do_instead() {
    let told = |host: &str| where_to(Some(host), &around(None)).unwrap_err().to_string();
    assert!(told("ssh://me@host").contains("ssh -L"), "{}", told("ssh://me@host"));
    assert!(told("npipe:////./pipe/docker_engine").contains("unix://"));
    assert!(told("tcp://user@host:1").contains("HOST:PORT"));
    assert!(told("unix://").contains("names no socket"));
}

#[test]
fn a_context_that_skips_verification_is_refused() {
    let folder = docker_folder(true, r#"{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}"#);
    assert!(where_to(None, &around(Some(folder.path()))).unwrap_err().to_string().contains("skips TLS verification"));
}

#[test]
fn tls_is_asked_for_by_the_environment_and_its_files_are_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let here = Surroundings { tls_verify: true, cert_path: Some(folder.path().to_owned()), ..Default::default() };
    let error = where_to(Some("tcp://far"), &here).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("tcp://far") && cause.contains("ca.pem"), "{error}: {cause}");

    let made = rcgen::generate_simple_self_signed(["far".to_owned()]).unwrap();
    std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    assert_eq!(where_to(Some("tcp://far"), &here).unwrap(), "tcp://far:2376");
    assert_eq!(where_to(Some("unix:///a.sock"), &here).unwrap(), "unix:///a.sock", "a socket needs none");
    assert!(where_to(Some("https://far"), &around(None)).is_err(), "TLS without certificates");
}
