use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::crd::yaml::parse_manifests;
use crate::crd::{Admitted, FieldError, Kind, admit};

/// An object of a kind from the YAML of its spec.
fn object(kind: &str, name: &str, spec: &str) -> Value {
    let spec: Value = serde_yaml::from_str(spec).expect("the test's YAML is sound");
    json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn deployment(spec: &str) -> Value {
    object("Deployment", "app", spec)
}

fn admitted(object: Value) -> Admitted {
    admit(Kind::Deployment, object, None, false).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn told(errors: Vec<FieldError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The errors of a Deployment's spec.
fn errors(spec: &str) -> Vec<String> {
    admit(Kind::Deployment, deployment(spec), None, false).err().map(told).unwrap_or_default()
}

#[test]
fn an_invalid_manifest_is_told_all_at_once_with_places() {
    let text = include_str!("tests/invalid.yaml");
    let document = parse_manifests("stacks/shop.yaml", text).remove(0);
    let errors = admit(Kind::Deployment, document.value.clone(), None, false).expect_err("it is invalid");
    let mut told = told(document.place(errors)).join("\n") + "\n";
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/crd/validate/tests/invalid.txt");
        std::fs::write(path, &told).expect("the golden file can be written");
    } else {
        let golden = include_str!("tests/invalid.txt");
        told = told.replace("\r\n", "\n");
        assert_eq!(told, golden, "EVENKEEL_BLESS=1 writes it anew");
    }
}

#[test]
fn defaults_are_filled_in_and_read_back() {
    let Admitted { object, warnings } = admitted(deployment("{services: {web: {image: a}}, recovery: {maxAttempts: 3}}"));
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(object["spec"]["state"], "Running");
    assert_eq!(object["metadata"], json!({"name": "app", "namespace": "default"}));
    assert_eq!(
        object["spec"]["recovery"],
        json!({
            "mode": "Auto",
            "backoff": {"initial": "5s", "factor": 2.0, "max": "5m"},
            "maxAttempts": 3,
            "alertAfter": 3,
            "stableWindow": "10m",
            "verifyWindow": "1m",
            "externalStop": "Respect",
            "actions": ["Restart", "Recreate", "Pull", "Rebuild", "Rollback"],
        })
    );
    assert_eq!(object["spec"]["services"], json!({"web": {"image": "a"}}));
    assert_eq!(admitted(object.clone()).object, object);
}

#[test]
fn a_status_is_dropped_and_services_stay_as_they_were_written() {
    let mut manifest = deployment("{services: {web: {image: a, ports: ['80:80'], x-note: b}}, x-more: 1}");
    manifest["status"] = json!({"phase": "Running"});
    let object = admitted(manifest).object;
    assert_eq!(object.get("status"), None);
    assert_eq!(object["spec"]["services"]["web"], json!({"image": "a", "ports": ["80:80"], "x-note": "b"}));
    assert_eq!(object["spec"]["x-more"], 1);
}

#[test]
fn unknown_fields_are_errors_or_warnings() {
    let mut manifest = deployment("{services: {web: {image: a, prots: []}}, replicas: 1, recovery: {maxAttempt: 1}}");
    manifest["metadata"]["labls"] = json!({});
    manifest["extra"] = json!(1);
    let errors = told(admit(Kind::Deployment, manifest.clone(), None, false).expect_err("they are errors"));
    assert_eq!(
        errors,
        [
            "metadata.labls: unknown field \"labls\": did you mean \"labels\"?",
            "spec.recovery.maxAttempt: unknown field \"maxAttempt\": did you mean \"maxAttempts\"?",
            "spec.replicas: unknown field \"replicas\"",
            "spec.services.web.prots: unknown field \"prots\": did you mean \"ports\"?",
            "extra: unknown field \"extra\": known here are apiVersion, kind, metadata, status, spec",
        ]
    );
    let lenient = admit(Kind::Deployment, manifest, None, true).expect("they are warnings");
    assert_eq!(lenient.warnings, errors);
    assert_eq!(lenient.object["spec"]["services"]["web"], json!({"image": "a"}));
    assert_eq!((lenient.object.get("extra"), lenient.object["spec"].get("replicas")), (None, None));
    assert_eq!(lenient.object["spec"]["recovery"]["maxAttempts"], 10);
}

#[test]
fn what_is_not_supported_stays_an_error_when_lenient() {
    let manifest = deployment("{services: {web: {env_file: .env, image: a}}}");
    let errors = told(admit(Kind::Deployment, manifest, None, true).expect_err("it is refused"));
    assert_eq!(
        errors,
        ["spec.services.web.env_file: env_file is not supported yet by evenkeel: write the variables in environment"]
    );
}

#[test]
fn the_envelope_must_be_right() {
    let check = |object: Value, expected: &[&str]| {
        let errors = admit(Kind::Deployment, object, None, false).err().map(told).unwrap_or_default();
        assert_eq!(errors, expected);
    };
    check(json!([]), &["must be a map, found a list"]);
    check(json!({}), &["apiVersion: is required", "kind: is required", "metadata: is required", "spec: is required"]);
    let mut wrong = deployment("{services: {web: {image: a}}}");
    wrong["apiVersion"] = json!("apps/v1");
    wrong["metadata"] = json!({"name": "Shop_1", "namespace": "a.b", "labels": {"a": 1}});
    check(
        wrong,
        &[
            "apiVersion: must be evenkeel.dev/v1alpha1",
            "metadata.name: \"Shop_1\" is no name: at most 253 lower-case letters, digits, \"-\" and \".\", with a letter or digit at both ends",
            "metadata.namespace: \"a.b\" is no name: at most 63 lower-case letters, digits and \"-\", with a letter or digit at both ends",
            "metadata.labels.a: must be text: write it in quotes, found a number",
        ],
    );
}

#[test]
fn project_names_are_checked_and_cannot_be_changed() {
    let dotted = object("Deployment", "my.app", "{services: {web: {image: a}}}");
    let errors = told(admit(Kind::Deployment, dotted, None, false).expect_err("it is no project name"));
    assert!(errors[0].starts_with("metadata.name: \"my.app\" would be the Compose project"), "{errors:?}");

    let old = deployment("{services: {web: {image: a}}}");
    let same = deployment("{project: app, services: {web: {image: b}}}");
    assert!(admit(Kind::Deployment, same, Some(&old), false).is_ok(), "the default written out is no change");
    let other = deployment("{project: shop, services: {web: {image: a}}}");
    let errors = told(admit(Kind::Deployment, other, Some(&old), false).expect_err("it is a change"));
    assert_eq!(
        errors,
        ["spec.project: cannot be changed: it is \"app\" and would become \"shop\"; delete the Deployment and make a new one"]
    );
}

/// The spec of a Deployment, and all that is said of it.
fn check(table: &[(&str, &[&str])]) {
    for (spec, expected) in table {
        assert_eq!(errors(spec), *expected, "{spec}");
    }
}

#[test]
fn references_must_be_there() {
    check(&[
        (
            "{services: {web: {tty: true}}}",
            &["spec.services.web.image: is required: what the containers are made from; or build it"],
        ),
        (
            "{services: {web: {image: a, networks: [front, bakc]}}, networks: {front: , back: }}",
            &["spec.services.web.networks[1]: there is no network \"bakc\" under spec.networks: did you mean \"back\"?"],
        ),
        (
            "{services: {web: {image: a, volumes: ['/x:/y', 'data:/d']}}}",
            &["spec.services.web.volumes[1]: there is no volume \"data\" under spec.volumes"],
        ),
        (
            "{services: {web: {image: a, secrets: [{source: key}]}}}",
            &["spec.services.web.secrets[0]: there is no secret \"key\" under spec.secrets"],
        ),
        (
            "{services: {web: {image: a, depends_on: [db], links: ['cache:c'], ipc: 'service:x', volumes_from: [y]}}}",
            &[
                "spec.services.web.links[0]: there is no service \"cache\": known here are web",
                "spec.services.web.depends_on[0]: there is no service \"db\": known here are web",
                "spec.services.web.ipc: there is no service \"x\": known here are web",
                "spec.services.web.volumes_from[0]: there is no service \"y\": known here are web",
            ],
        ),
        (
            "{services: {web: {image: a, network_mode: front, pid: nobody}}}",
            &[
                "spec.services.web.network_mode: must be bridge, default, host, none, service:NAME, container:NAME, not \"front\"; to join a network list it under networks",
                "spec.services.web.pid: must be host, service:NAME, container:NAME, not \"nobody\"",
            ],
        ),
    ]);
}

#[test]
fn dependencies_must_be_able_to_come_true() {
    check(&[
        (
            "{services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: {c: {condition: service_started}}}, c: {image: x, links: [a]}, d: {image: x, depends_on: [d]}}}",
            &[
                "spec.services.c.links[0]: waits for itself: a -> b -> c -> a",
                "spec.services.d.depends_on[0]: waits for itself: d -> d",
            ],
        ),
        (
            "{services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [extra]}}}",
            &[
                "spec.services.a.depends_on[0]: service \"b\" runs only with profile extra: name it in spec.profiles, or write required: false",
            ],
        ),
        ("{profiles: [extra], services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [extra]}}}", &[]),
        (
            "{services: {a: {image: x, depends_on: {b: {condition: service_started, required: false}}}, b: {image: x, profiles: [extra]}}}",
            &[],
        ),
        (
            "{services: {a: {image: x, depends_on: {b: {condition: service_healthy}}}, b: {image: x, healthcheck: {disable: true}}}}",
            &["spec.services.a.depends_on.b: service \"b\" can never be healthy: its health check is disabled"],
        ),
    ]);
}

#[test]
fn host_ports_are_had_once() {
    check(&[
        (
            "{services: {a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['81:81', {target: 1, published: 80}]}}}",
            &["spec.services.b.ports[1]: host port 80/tcp is published by service \"a\" too"],
        ),
        (
            "{services: {a: {image: x, ports: ['80:80', '127.0.0.1:80:81']}}}",
            &["spec.services.a.ports[1]: host port 80/tcp is published twice by this service"],
        ),
        ("{services: {a: {image: x, ports: ['127.0.0.1:80:80', '127.0.0.2:80:80', '80:80/udp']}}}", &[]),
        ("{services: {a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['80:80'], profiles: [off]}}}", &[]),
        (
            "{services: {a: {image: x, ports: ['80'], scale: 3}, b: {image: x, ports: ['81:81'], scale: 3}}}",
            &["spec.services.b.ports[0]: host port 81 cannot be had by 3 replicas: leave it to Docker to choose"],
        ),
        (
            "{services: {a: {image: x, ports: ['3000-3010:80']}}}",
            &[
                "spec.services.a.ports[0]: a range of host ports (3000-3010) for one container port is not supported yet by evenkeel: name one port",
            ],
        ),
    ]);
}

#[test]
fn names_are_right_and_had_once() {
    let long = "a".repeat(60);
    assert_eq!(
        errors(&format!("{{services: {{{long}: {{image: x}}}}}}")),
        [format!("spec.services.{long}: its container \"app-{long}-1\" has 66 characters: names over 63 do not resolve")]
    );
    check(&[
        (
            "{services: {a: {image: x, container_name: app-b-1}, b: {image: x}}}",
            &["spec.services.b: its container \"app-b-1\" is named like one of service \"a\""],
        ),
        (
            "{services: {a: {image: x, container_name: cc, scale: 2}, b: {image: x, container_name: '-'}}}",
            &[
                "spec.services.a.container_name: one name cannot be had by 2 replicas: leave it out",
                "spec.services.b.container_name: \"-\" is no container name: letters, digits, \"_\", \".\" and \"-\", two at least",
            ],
        ),
        ("{services: {'a b': {image: x}}}", &["spec.services[a b]: \"a b\" is no name: letters, digits, \".\", \"_\" and \"-\""]),
        (
            "{services: {a: {image: x}}, volumes: {b: {name: data}, c: {name: data}, d: {name: data, external: true}}, networks: {n: {name: '/'}}}",
            &[
                "spec.networks.n: its name \"/\" is none for Docker: letters, digits, \"_\", \".\" and \"-\", two at least",
                "spec.volumes.c: is named \"data\" on the engine, like \"b\"",
            ],
        ),
    ]);
}

#[test]
fn replicas_are_bounded() {
    check(&[
        (
            "{services: {a: {image: x, scale: 4000000000}}}",
            &["spec.services.a.scale: asks for 4000000000 replicas: 1000 are the most"],
        ),
        (
            "{services: {a: {image: x, deploy: {replicas: 1001}}}}",
            &["spec.services.a.deploy: asks for 1001 replicas: 1000 are the most"],
        ),
        ("{services: {a: {image: x, scale: 1000}}}", &[]),
    ]);
}

#[test]
fn what_cannot_be_together_is_told() {
    check(&[
        (
            "{services: {a: {image: x, tmpfs: /d, volumes: ['v:/d/', 'w:/e', '/f:/e']}}, volumes: {v: , w: }}",
            &["spec.services.a.volumes[0]: /d is mounted by tmpfs too", "spec.services.a.volumes[2]: /e is mounted twice"],
        ),
        (
            "{services: {a: {image: x, network_mode: 'service:b', ports: ['80:80'], hostname: h}, b: {image: x}}}",
            &[
                "spec.services.a.ports: cannot be given beside network_mode: service:b",
                "spec.services.a.hostname: cannot be given beside network_mode: service:b",
            ],
        ),
        (
            "{services: {a: {image: x, network_mode: host, networks: [n]}}, networks: {n: }}",
            &["spec.services.a.networks: cannot be given beside network_mode: host"],
        ),
        (
            "{services: {a: {image: x, mem_limit: 1g, scale: 2, deploy: {replicas: 3, resources: {limits: {memory: 2g}}}}}}",
            &[
                "spec.services.a.scale: is 2, and deploy.replicas is 3: keep one",
                "spec.services.a.mem_limit: is 1073741824, and deploy.resources.limits.memory is 2147483648: keep one",
            ],
        ),
        (
            "{services: {a: {image: x, scale: 2, networks: {n: {ipv4_address: 10.0.0.2}}}}, networks: {n: }}",
            &["spec.services.a.networks.n: one address cannot be had by 2 replicas: leave it out"],
        ),
    ]);
}

#[test]
fn recovery_and_state_are_checked() {
    check(&[
        ("{services: {}}", &["spec.services: needs at least one service"]),
        ("{state: Halted, services: {a: {image: x}}}", &["spec.state: must be one of Running, Stopped, not \"Halted\""]),
        (
            "{services: {a: {image: x}}, recovery: {mode: On, backoff: {initial: 10m, factor: 0.5, max: 0s}, maxAttempts: 0, alertAfter: 0, stableWindow: 5, actions: [Restart, Restart]}}",
            &[
                "spec.recovery.mode: must be one of Auto, Suggest, Observe, not \"On\"",
                "spec.recovery.backoff.factor: must be at least 1",
                "spec.recovery.backoff.max: must be longer than nothing",
                "spec.recovery.backoff: initial (10m) is above max (5m)",
                "spec.recovery.maxAttempts: must be at least 1",
                "spec.recovery.alertAfter: must be at least 1",
                "spec.recovery.stableWindow: must be text: write it in quotes, found a number",
                "spec.recovery.actions: names an action twice",
            ],
        ),
        (
            "{services: {a: {image: x}}, recovery: {actions: []}}",
            &["spec.recovery.actions: needs at least one; to do nothing write mode: Observe"],
        ),
    ]);
}

#[test]
fn holds_are_checked() {
    let hold = |spec: &str| admit(Kind::Hold, object("Hold", "h", spec), None, false);
    let object = hold("{deployment: web, service: app, replica: 1, state: Stopped, until: 2027-01-31T08:00:00Z}")
        .expect("it is right")
        .object;
    assert_eq!((&object["spec"]["reason"], &object["spec"]["by"]), (&json!("Stopped"), &json!("")));
    for (spec, expected) in [
        ("{}", &["spec.deployment: is required", "spec.state: is required"][..]),
        (
            "{deployment: '', state: Paused}",
            &["spec.deployment: must name a Deployment", "spec.state: must be one of Stopped, Suspended, not \"Paused\""],
        ),
        (
            "{deployment: a, state: Stopped, replica: 1}",
            &["spec.replica: needs service beside it: replicas are numbered within a service"],
        ),
        ("{deployment: a, state: Stopped, service: b, replica: 0}", &["spec.replica: replicas are numbered from 1"]),
        (
            "{deployment: a, state: Stopped, until: tomorrow, scope: b}",
            &[
                "spec.until: \"tomorrow\" is no time: write it as RFC 3339 has it, such as 2027-01-31T08:00:00Z",
                "spec.scope: unknown field \"scope\": known here are deployment, service, state, reason, by, until, since, replica",
            ],
        ),
    ] {
        assert_eq!(hold(spec).err().map(told).unwrap_or_default(), expected, "{spec}");
    }
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let spec = "{services: {a: {image: x, command: a && b, secrets: [{source: k, mode: '0440'}]}}, secrets: {k: {file: /k}}}";
    let warnings = admitted(deployment(spec)).warnings;
    assert_eq!(
        warnings,
        [
            "spec.services.a.command: no shell reads this line: Compose drops everything from '&' on; write [sh, -c, \"..\"]",
            "spec.services.a.secrets[0]: uid, gid and mode have no effect, as with Compose: the file keeps what it has on the host",
        ]
    );
}

/// Any JSON, with keys that mean something here.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = [
        "spec",
        "metadata",
        "name",
        "services",
        "recovery",
        "backoff",
        "scale",
        "ports",
        "volumes",
        "depends_on",
        "image",
        "a",
        "b",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-b0-9:/.\\-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        let entry = (proptest::sample::select(keys.to_vec()), inner.clone()).prop_map(|(key, value)| (key.to_owned(), value));
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::from),
            proptest::collection::vec(entry, 0..5).prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_object_makes_admission_panic(part in any_json(), whole in any_json(), lenient in any::<bool>()) {
        for kind in Kind::ALL {
            drop(admit(kind, whole.clone(), Some(&part), lenient));
            for key in ["metadata", "spec"] {
                let mut object = object(kind.name(), "app", "{services: {web: {image: a}}}");
                object[key] = part.clone();
                drop(admit(kind, object, Some(&whole), lenient));
            }
            let mut object = object(kind.name(), "app", "{services: {web: {image: a}}}");
            object["spec"]["services"] = part.clone();
            drop(admit(kind, object, None, lenient));
        }
    }
}
