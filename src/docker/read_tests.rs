use super::*;

fn container(json: &str) -> Container {
    serde_json::from_str::<ContainerReply>(json).unwrap().into()
}

#[test]
fn an_inspect_is_read_with_the_fields_that_matter() {
    let read = container(
        r#"{
        "Id": "f39c", "Name": "/web-1", "Created": "2026-08-21T10:00:00.123456789Z", "Image": "sha256:aa", "RestartCount": 2,
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "", "StartedAt": "2026-08-21T10:00:01Z",
            "FinishedAt": "2026-08-21T10:00:02Z", "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [
                {"Start": "2026-08-21T12:00:00+02:00", "End": "2026-08-21T12:00:01.5+02:00", "ExitCode": 1, "Output": "no"}]}},
        "Config": {"Image": "web:1", "Labels": {"a": "b"}, "StopSignal": "SIGINT"},
        "HostConfig": {"NetworkMode": "net", "IpcMode": "container:p1", "PidMode": "",
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": [{"HostIp": "", "HostPort": ""}], "9/tcp": null}},
        "NetworkSettings": {"Networks": {"net": {"NetworkID": "n1", "Aliases": ["web"], "IPAddress": "10.0.0.2"}, "odd": null}},
        "Mounts": [{"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/data"},
            {"Type": "bind", "Source": "/host", "Destination": "/bound"}]}"#,
    );
    assert_eq!((read.name.as_str(), read.state, read.exit_code, read.oom_killed), ("web-1", ContainerState::Exited, 137, true));
    assert_eq!((read.image_id.as_str(), read.image.as_str()), ("sha256:aa", "web:1"));
    assert_eq!((read.restart_policy, read.restart_count), (DockerRestart::OnFailure(5), 2));
    assert_eq!(read.created_at.unwrap().to_string(), "2026-08-21T10:00:00.123456789Z");
    assert_eq!(read.stop_signal.as_deref(), Some("SIGINT"));
    let health = read.health.unwrap();
    assert_eq!((health.status, health.failing_streak, health.last_exit_code), (HealthStatus::Unhealthy, 3, Some(1)));
    assert_eq!(health.last_probe_at.unwrap().to_string(), "2026-08-21T10:00:01.5Z");
    assert_eq!(read.namespace_parents, ["p1"]);
    let port = |ip: &str, port, protocol: &str| HostPort { ip: ip.to_owned(), port, protocol: protocol.to_owned() };
    assert_eq!(read.ports, [port("", 0, "udp"), port("127.0.0.1", 8080, "tcp")]);
    assert_eq!(read.networks["net"].aliases, ["web"]);
    let sources: Vec<&str> = read.mounts.iter().map(|mount| mount.source.as_str()).collect();
    assert_eq!(sources, ["v", "/host"]);
}

#[test]
fn never_is_no_time_and_no_probe_is_no_health() {
    let state = r#""Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z""#;
    let read = container(&format!(r#"{{"Id": "x", "State": {{{state}, "Health": {{"Status": "none"}}}}, "Mounts": null}}"#));
    assert_eq!((read.state, read.started_at, read.finished_at, read.health), (ContainerState::Created, None, None, None));
    assert_eq!((read.stop_signal, read.restart_policy), (None, DockerRestart::No));
}

#[test]
fn words_of_a_later_engine_do_not_fail_the_whole_answer() {
    let lines: Vec<LineReply> = serde_json::from_str(
        r#"[{"Id": "a", "Names": ["/other/alias", "/a"], "State": "stopping", "Status": "Up 2 hours", "Labels": null, "New": {}},
            {"Id": "b", "Names": null, "State": "hibernating", "Status": "Hibernating (deep) since noon"}]"#,
    )
    .unwrap();
    let lines: Vec<ContainerLine> = lines.into_iter().map(Into::into).collect();
    assert_eq!((lines[0].name.as_str(), lines[0].state, lines[0].status.as_str()), ("a", ContainerState::Running, "Up"));
    assert_eq!((lines[1].state, lines[1].status.as_str()), (ContainerState::Removing, "Hibernating (deep)"), "hands off");
    let volumes: VolumesReply = serde_json::from_str(
        r#"{"Volumes": [{"Name": "v", "Driver": "x", "Status": {"hello": {"world": 1}}, "Scope": "galaxy"}]}"#,
    )
    .unwrap();
    assert_eq!(volumes.volumes.len(), 1);
    let none: VolumesReply = serde_json::from_str(r#"{"Volumes": null, "Warnings": null}"#).unwrap();
    assert!(none.volumes.is_empty());
}

#[test]
fn the_status_text_loses_only_what_changes_by_itself() {
    for (text, wanted) in [
        ("Up 3 minutes", "Up"),
        ("Up Less than a second (health: starting)", "Up (health: starting)"),
        ("Up 2 hours (healthy)", "Up (healthy)"),
        ("Up 2 hours (Paused)", "Up (Paused)"),
        ("Exited (137) 5 seconds ago", "Exited (137)"),
        ("Restarting (1) 2 seconds ago", "Restarting (1)"),
        ("Created", "Created"),
        ("", ""),
    ] {
        assert_eq!(settled(text), wanted);
    }
}

#[test]
fn dangling_images_have_no_references() {
    let image: ImageReply = serde_json::from_str(
        r#"{"Id": "sha256:a", "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>", "web@sha256:b"]}"#,
    )
    .unwrap();
    let image = Image::from(image);
    assert_eq!((image.tags.len(), image.digests), (0, vec!["web@sha256:b".to_owned()]));
}

#[test]
fn a_health_check_is_read_with_the_engines_defaults() {
    let health = |check: &str| {
        let state = r#""State": {"Status": "running", "Health": {"Status": "healthy", "Log": null}}"#;
        container(&format!(r#"{{"Id": "x", {state}, "Config": {{"Healthcheck": {check}}}}}"#)).health.unwrap()
    };
    let declared = health(r#"{"Test": ["CMD", "true"], "Interval": 1000000000, "Timeout": 500000000, "Retries": 5}"#);
    assert_eq!((declared.period, declared.retries), (Duration::from_millis(1500), 5));
    let bare = health("null");
    assert_eq!((bare.period, bare.retries), (Duration::from_secs(60), 3));
}
