//! Containers of Compose held against their declaration.

use super::*;
use crate::model::{HostPort, MountSpec, NetworkAttachment, PortBinding};

/// A specification, and the inspect that Compose's container of it has on an engine.
fn scene() -> (ContainerSpec, BTreeMap<String, String>, Value, Value) {
    let spec = ContainerSpec {
        image: "web:1".into(),
        env: vec!["A=1".into(), "PATH".into()],
        user: Some("7".into()),
        ports: vec![PortBinding { target: 80, host: HostPort { ip: String::new(), port: 8080, protocol: "tcp".into() } }],
        mounts: vec![
            MountSpec {
                source: MountSource::Volume { name: "web_data".into(), nocopy: false, subpath: None },
                target: "/data".into(),
                read_only: false,
            },
            MountSpec { source: MountSource::Anonymous { carry_over: None }, target: "/scratch/".into(), read_only: false },
        ],
        networks: vec![NetworkAttachment { network: "default".into(), ..NetworkAttachment::default() }],
        labels: [("team", "sea"), ("com.docker.compose.project", "web")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        cap_add: vec!["NET_ADMIN".into()],
        ..ContainerSpec::default()
    };
    let image = json!({"Config": {"Cmd": ["run"], "Env": ["PATH=/bin", "B=2"], "WorkingDir": "/app", "Volumes": {"/var": {}}}});
    let inspect = json!({
        "Config": {"Image": "web:1", "Cmd": ["run"], "Entrypoint": null, "Env": ["A=1", "B=2"], "User": "7",
            "WorkingDir": "/app", "Labels": {"team": "sea", "com.docker.compose.oneoff": "False"}},
        "HostConfig": {"NetworkMode": "web_default", "CapAdd": ["CAP_NET_ADMIN"], "ShmSize": 67108864, "Runtime": "runc",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "RestartPolicy": {"Name": "always"},
            "Privileged": false, "LogConfig": {"Type": "json-file", "Config": {}}, "Memory": 0, "OomKillDisable": false},
        "Mounts": [
            {"Type": "volume", "Name": "web_data", "Destination": "/data", "RW": true},
            {"Type": "volume", "Name": "ab".repeat(32), "Destination": "/scratch", "RW": true},
            {"Type": "volume", "Name": "cd".repeat(32), "Destination": "/var", "RW": true},
        ],
        "NetworkSettings": {"Networks": {"web_default": {}}},
    });
    (spec, BTreeMap::from([("default".to_owned(), "web_default".to_owned())]), inspect, image)
}

#[test]
fn what_the_image_and_the_engine_bring_is_no_difference() {
    let (spec, networks, inspect, image) = scene();
    assert_eq!(differences(&spec, &networks, &inspect, &image), Vec::<String>::new());
}

#[test]
fn each_difference_is_named_and_no_value_that_may_be_a_secret() {
    let (spec, networks, mut inspect, image) = scene();
    let config = &mut inspect["Config"];
    config["Image"] = json!("web:2");
    config["Cmd"] = json!(["other", "--password=secret"]);
    config["Env"] = json!(["A=secret", "B=2", "C=secret"]);
    config["Labels"]["team"] = json!("secret");
    config["User"] = json!("");
    let host = &mut inspect["HostConfig"];
    host["PortBindings"] = json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]});
    host["Memory"] = json!(64 << 20);
    host["CapAdd"] = json!(null);
    host["Privileged"] = json!(true);
    inspect["Mounts"][0]["Name"] = json!("other");
    inspect["Mounts"][1]["RW"] = json!(false);
    inspect["NetworkSettings"]["Networks"] = json!({"web_default": {}, "extra": {}});
    let found = differences(&spec, &networks, &inspect, &image);
    assert_eq!(
        found,
        [
            "image is web:2, declared is web:1",
            "command is another one",
            "user is another one",
            "environment: A is another one",
            "environment: C is another one",
            "labels: team is another one",
            "volumes: /data is volume other, declared is volume web_data",
            "volumes: /scratch is anonymous volume (read-only), declared is anonymous volume",
            "ports are 127.0.0.1:8080->80/tcp, declared are 0.0.0.0:8080->80/tcp",
            "networks are extra, web_default, declared are web_default",
            "cap_add is another one",
            "mem_limit is another one",
            "privileged is another one",
        ]
    );
    assert!(!found.concat().contains("secret"));
}

#[test]
fn what_cannot_be_compared_is_a_difference() {
    let (mut spec, networks, inspect, image) = scene();
    spec.cgroupns = Some("nonsense".into());
    assert_eq!(differences(&spec, &networks, &inspect, &image), ["its limits and rights cannot be compared"]);
}

#[test]
fn an_entrypoint_of_ones_own_takes_the_images_command_away() {
    let (mut spec, networks, mut inspect, image) = scene();
    spec.entrypoint = Some(vec!["sh".into()]);
    inspect["Config"]["Entrypoint"] = json!(["sh"]);
    assert_eq!(differences(&spec, &networks, &inspect, &image), ["command is another one"]);
    inspect["Config"]["Cmd"] = json!(null);
    assert_eq!(differences(&spec, &networks, &inspect, &image), Vec::<String>::new());
}
