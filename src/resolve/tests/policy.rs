use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::model::{
    Deletion, DependencyCondition, DockerRestart, HoldState, HoldView, Key, PullRule, RestartRule, RunState, annotations, labels,
};

#[test]
fn names_and_labels_are_composes_and_ours() {
    let desired =
        desired("{services: {web: {image: i, labels: {a: b, evenkeel.dev/instance: forged}, depends_on: [db]}, db: {image: i}}}");
    assert_eq!((desired.project.as_str(), desired.generation, desired.uid.as_str()), ("shop", 3, "u-1"));
    let labels: String =
        desired.services["web"].template.labels.iter().map(|(label, value)| format!("{label}={value}\n")).collect();
    insta::assert_snapshot!(labels, @r"
    a=b
    com.docker.compose.config-hash=22df17ac87d4cf302dec2a694d7ca9c87d0a3599540202c58bd63a945bfdcc47
    com.docker.compose.depends_on=db:service_started:false
    com.docker.compose.oneoff=False
    com.docker.compose.project=shop
    com.docker.compose.project.config_files=/etc/evenkeel/manifests/shop.yaml
    com.docker.compose.project.working_dir=/etc/evenkeel/manifests
    com.docker.compose.service=web
    com.docker.compose.version=2.40.3
    evenkeel.dev/deployment=shop
    evenkeel.dev/instance=default
    evenkeel.dev/namespace=default
    evenkeel.dev/service=web
    evenkeel.dev/spec-hash=edb4f96c29b09883
    ");
    let network = &desired.networks["default"];
    assert_eq!(network.name, "shop_default");
    assert_eq!(network.labels[labels::COMPOSE_NETWORK], "default");
    assert_eq!(network.labels[labels::SPEC_HASH], network.hash);
    assert!(network.labels[labels::COMPOSE_CONFIG_HASH].starts_with(&network.hash));
}

#[test]
fn a_project_outside_the_default_namespace_bears_the_namespace() {
    let mut object = deployment("services: {web: {image: i}}");
    object.metadata.namespace = Some("team".to_owned());
    let desired = desired_of(&object).unwrap();
    assert_eq!((desired.project.as_str(), desired.key), ("team-shop", Key::new("team", "shop")));
    assert_eq!(desired.networks["default"].name, "team-shop_default");
}

#[test]
fn without_a_manifest_file_there_is_no_label_that_names_one() {
    let desired = resolve(&deployment("services: {web: {image: i}}"), vec![], "x", RecoveryMode::Auto, None, None).unwrap();
    let labels = &desired.services["web"].template.labels;
    assert!(!labels.contains_key(labels::COMPOSE_CONFIG_FILES) && !labels.contains_key(labels::COMPOSE_WORKING_DIR));
    assert_eq!(labels[labels::INSTANCE], "x");
}

#[test]
fn restart_is_read_as_our_rule_and_deploy_wins() {
    use RestartRule::{Always, OnFailure, Once, UntilCompleted};
    for (lines, rule, docker) in [
        ("", UntilCompleted, DockerRestart::No),
        ("restart: 'no'", Once, DockerRestart::No),
        ("restart: always", Always, DockerRestart::Always),
        ("restart: unless-stopped", Always, DockerRestart::UnlessStopped),
        ("restart: on-failure", OnFailure { max: None }, DockerRestart::OnFailure(0)),
        ("restart: on-failure:4", OnFailure { max: Some(4) }, DockerRestart::OnFailure(4)),
        ("restart: always\ndeploy: {restart_policy: {condition: none}}", Once, DockerRestart::No),
        ("restart: 'no'\ndeploy: {restart_policy: {condition: any}}", Always, DockerRestart::Always),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
            OnFailure { max: Some(2) },
            DockerRestart::OnFailure(2),
        ),
        ("restart: always\ndeploy: {replicas: 2}", Always, DockerRestart::Always),
    ] {
        let service = app(lines);
        assert_eq!((service.restart, service.declared_restart), (rule, docker), "{lines}");
        assert_eq!(service.template.restart, DockerRestart::No, "Docker's own policies stay out of it");
    }
}

#[test]
fn a_service_awaited_to_complete_is_a_job() {
    let desired = desired(
        "
services:
  migrate: {image: i}
  web: {image: i, depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_healthy, restart: true}}}
  db: {image: i}
",
    );
    let jobs: Vec<_> = desired.services.values().map(|service| (service.name.as_str(), service.job)).collect();
    assert_eq!(jobs, [("db", false), ("migrate", true), ("web", false)]);
    let db = desired.services["web"].depends_on["db"];
    assert_eq!((db.condition, db.restart, db.required), (DependencyCondition::ServiceHealthy, true, true));
}

#[test]
fn what_a_service_shares_with_another_makes_it_a_dependency() {
    let desired = desired(
        "
services:
  base: {image: i}
  linked: {image: i, links: ['base:b']}
  joined: {image: i, network_mode: 'service:base'}
  inside: {image: i, pid: 'service:base', ipc: 'service:base'}
  mounts: {image: i, volumes_from: ['base:ro']}
",
    );
    for (name, restart) in [("linked", true), ("joined", true), ("inside", true), ("mounts", false)] {
        let dependency = desired.services[name].depends_on["base"];
        assert_eq!(
            (dependency.condition, dependency.restart, dependency.required),
            (DependencyCondition::ServiceStarted, restart, true),
            "{name}"
        );
    }
}

#[test]
fn services_of_inactive_profiles_are_absent_with_all_that_only_they_use() {
    let spec = "
services:
  web: {image: i, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: i, profiles: [dev], networks: [back], volumes: ['data:/d']}
networks: {back: {}, unused: {}}
volumes: {data: {}, unused: {}}
";
    let without = desired(spec);
    assert_eq!(without.services.keys().collect::<Vec<_>>(), ["web"]);
    assert!(without.services["web"].depends_on.is_empty());
    assert_eq!(without.networks.keys().collect::<Vec<_>>(), ["default"]);
    assert!(without.volumes.is_empty());
    let with = desired(&format!("{spec}profiles: [dev]"));
    assert_eq!(with.services.len(), 2);
    assert_eq!(with.networks.keys().collect::<Vec<_>>(), ["back", "default"]);
    assert_eq!(with.volumes.keys().collect::<Vec<_>>(), ["data"]);
}

#[test]
fn replicas_grace_and_pull_rule_have_composes_defaults() {
    let plain = app("");
    assert_eq!((plain.replicas, plain.stop_grace, plain.pull), (1, Duration::from_secs(10), PullRule::Missing));
    assert_eq!(plain.template.stop_timeout, None);
    let set = app("scale: 3\nstop_grace_period: 1m\npull_policy: never");
    assert_eq!((set.replicas, set.stop_grace, set.pull), (3, Duration::from_secs(60), PullRule::Never));
    assert_eq!(set.template.stop_timeout, Some(60));
    assert_eq!(app("pull_policy: always").pull, PullRule::Always);
    assert_eq!(app("pull_policy: weekly").pull, PullRule::Every(Duration::from_secs(7 * 24 * 3600)));
    assert_eq!(app("deploy: {replicas: 0}").replicas, 0);
    assert_eq!(app("stop_grace_period: 500ms").template.stop_timeout, Some(1));
}

#[test]
fn the_later_of_two_restart_requests_counts_and_one_that_is_no_time_asks_for_nothing() {
    let at = |annotations: &[(&str, &str)]| {
        let mut object = deployment("services: {web: {image: i}, db: {image: i}}");
        object.metadata.annotations = Some(annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let desired = desired_of(&object).unwrap();
        let time = |name: &str| desired.services[name].restarted_at.map(|at| at.to_string()).unwrap_or_default();
        (time("web"), time("db"))
    };
    let (early, late) = ("2026-01-01T10:00:00Z", "2026-01-01T12:00:00Z");
    let of_web = &format!("{}.web", annotations::RESTARTED_AT);
    assert_eq!(at(&[]), (String::new(), String::new()));
    assert_eq!(at(&[(annotations::RESTARTED_AT, early)]), (early.to_owned(), early.to_owned()));
    assert_eq!(at(&[(annotations::RESTARTED_AT, early), (of_web, late)]), (late.to_owned(), early.to_owned()));
    assert_eq!(at(&[(annotations::RESTARTED_AT, late), (of_web, early)]), (late.to_owned(), late.to_owned()));
    assert_eq!(at(&[(annotations::RESTARTED_AT, "soon")]), (String::new(), String::new()));
}

#[test]
fn the_operators_mode_bounds_the_deployments() {
    let modes = |spec: &str, bound| {
        let policy = resolve(&deployment(spec), vec![], "default", bound, None, None).unwrap().recovery;
        (policy.mode, policy.bound)
    };
    use RecoveryMode::{Auto, Observe, Suggest};
    assert_eq!(modes("services: {}", Auto), (Auto, Auto));
    assert_eq!(modes("services: {}", Observe), (Observe, Observe));
    assert_eq!(modes("{services: {}, recovery: {mode: Suggest}}", Auto), (Suggest, Auto));
    assert_eq!(modes("{services: {}, recovery: {mode: Suggest}}", Observe), (Observe, Observe));
}

#[test]
fn a_deletion_says_what_is_to_stay() {
    let mut object = deployment("{services: {}, state: Stopped}");
    assert_eq!(desired_of(&object).unwrap().deletion, None);
    assert_eq!(desired_of(&object).unwrap().state, RunState::Stopped);
    object.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(desired_of(&object).unwrap().deletion, Some(Deletion { orphan: false, volumes: false }));
    object.metadata.finalizers = Some(vec!["orphan".to_owned()]);
    object.metadata.annotations = Some([(annotations::DELETE_VOLUMES.to_owned(), "true".to_owned())].into());
    assert_eq!(desired_of(&object).unwrap().deletion, Some(Deletion { orphan: true, volumes: true }));
}

#[test]
fn holds_come_oldest_first() {
    let hold = |name: &str, since: &str| HoldView {
        name: name.to_owned(),
        service: None,
        replica: None,
        state: HoldState::Stopped,
        reason: String::new(),
        until: None,
        since: since.parse().unwrap(),
    };
    let holds = vec![hold("new", "2026-01-02T00:00:00Z"), hold("old", "2026-01-01T00:00:00Z")];
    let claimed_by = Some(Key::new("default", "first"));
    let desired = resolve(&deployment("services: {}"), holds, "default", RecoveryMode::Auto, claimed_by.clone(), None).unwrap();
    assert_eq!(desired.holds.iter().map(|hold| hold.name.as_str()).collect::<Vec<_>>(), ["old", "new"]);
    assert_eq!(desired.claimed_by, claimed_by);
}
