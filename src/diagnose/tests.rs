use super::rules::{Ended, Facts, diagnose};
use super::*;
use crate::clock::Clock;
use crate::docker::Engine;
use crate::docker::fake::{Behaviour, FakeEngine, FakeImage};
use crate::model::{FailureCause, FailureKind, Key, ReplicaId, Subject, WaitReason};

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn ended(exit_code: i64, log: &str) -> FailureCause {
    let log = lines_of(log);
    diagnose(&Facts::Ended(Ended { exit_code, failures: 1, log: &log, ..Ended::default() })).unwrap().cause
}

#[test]
fn an_end_is_explained_by_what_was_written_last() {
    use FailureCause::*;
    let table = [
        (1, "", ApplicationError),
        (1, "starting\nsomething odd happened", ApplicationError),
        (0, "done", ApplicationError),
        (139, "", ApplicationError),
        (137, "", Killed),
        (143, "", Killed),
        (1, "panic: open /data/x: no space left on device", DiskFull),
        (1, "java.lang.OutOfMemoryError: Java heap space", OutOfMemory),
        (1, "listen tcp :80: bind: address already in use", PortHeld),
        (1, "open /etc/shop/key: permission denied", PermissionDenied),
        (1, "FATAL: password authentication failed for user \"app\"", PermissionDenied),
        (1, "dial tcp 10.0.0.2:5432: connect: connection refused", DependencyDown),
        (1, "could not translate host name \"db\" to address: Name or service not known", DependencyDown),
        (127, "sh: frobnicate: command not found", MissingCommand),
        (127, "sh: frobnicate: not found", MissingCommand),
        (127, "", ApplicationError),
        (1, "exec /app: exec format error", ExecFormat),
        (1, "DATABASE_URL is not set", ConfigError),
        (2, "unknown flag: --prot\nUsage: shop [flags]", ConfigError),
        (1, "nginx: [emerg] unknown directive \"sever\" in /etc/nginx/nginx.conf:3", ConfigError),
        // What stands last counts, and what stands far up does not.
        (1, "connection refused, trying again\nno space left on device", DiskFull),
    ];
    for (code, log, cause) in table {
        assert_eq!(ended(code, log), cause, "{code} {log}");
    }
    let early = format!("connection refused\n{}", "working\n".repeat(50));
    assert_eq!(ended(1, &early), ApplicationError);
}

#[test]
fn flags_and_signals_go_before_words() {
    let of = |ended: Ended<'_>| diagnose(&Facts::Ended(ended)).unwrap();
    let log = lines_of("connection refused");
    let oom = of(Ended { exit_code: 137, oom_killed: true, log: &log, ..Ended::default() });
    assert_eq!(oom.cause, FailureCause::OutOfMemory);
    assert!(oom.message.contains("probably"), "{oom:?}");
    assert_eq!(of(Ended { exit_code: 137, killed: true, log: &log, ..Ended::default() }).cause, FailureCause::Killed);
    let unflagged = Ended { exit_code: 137, limited: true, ..Ended::default() };
    assert_eq!(of(unflagged.clone()).cause, FailureCause::OutOfMemory, "Docker does not see every kill for lack of memory");
    assert_eq!(of(Ended { killed: true, ..unflagged.clone() }).cause, FailureCause::Killed);
    assert_eq!(of(Ended { limited: false, ..unflagged }).cause, FailureCause::Killed);
    let soon = Ended { exit_code: 1, failures: 3, ran_for: Some(Duration::from_secs(2)), ..Ended::default() };
    assert_eq!(of(soon.clone()).cause, FailureCause::CrashLoop);
    assert_eq!(of(Ended { ran_for: Some(Duration::from_secs(600)), ..soon.clone() }).cause, FailureCause::ApplicationError);
    assert_eq!(of(Ended { log: &log, ..soon }).cause, FailureCause::DependencyDown, "a known cause goes before the pattern");
}

#[test]
fn the_engines_refusals_are_told_apart() {
    use FailureCause::*;
    let table = [
        ("exec: \"frobnicate\": executable file not found in $PATH: unknown", MissingCommand),
        ("exec: \"/no/such\": stat /no/such: no such file or directory: unknown", MissingCommand),
        ("exec: \"/www/index.html\": permission denied: unknown", PermissionDenied),
        ("exec /app: exec format error", ExecFormat),
        ("unable to find user nobody: no matching entries in passwd file", ConfigError),
        (
            "error mounting \"/etc/hosts\" to rootfs at \"/data\": not a directory: Are you trying to mount a directory onto a file",
            ConfigError,
        ),
        ("write /var/lib/docker/tmp: no space left on device", DiskFull),
        ("something entirely new", Unknown),
    ];
    for (message, cause) in table {
        assert_eq!(diagnose(&Facts::Refused { message }).unwrap().cause, cause, "{message}");
    }
}

#[test]
fn what_is_in_the_way_is_named_and_what_is_merely_waited_for_is_no_fault() {
    let replica = Subject::Replica(ReplicaId::new("app", 1));
    let kind = FailureKind::PortHeld { port: Some(80), protocol: "tcp".into() };
    let message = "host port 80/tcp is held by container other; free it or declare another";
    let held = diagnose(&Facts::InTheWay { subject: &replica, kind: &kind, message }).unwrap();
    assert_eq!((held.cause, held.evidence), (FailureCause::PortHeld, vec![message.to_owned()]));
    let failed = "cannot build image web: RUN make: exit code: 2\n    make: no rule";
    let waits = WaitReason::Building { input: String::new(), failed: Some(failed.to_owned()) };
    let built = diagnose(&Facts::Waits(&waits)).unwrap();
    assert_eq!(built.message, "cannot build image web: RUN make: exit code: 2; mend the Dockerfile or its context");
    for reason in [WaitReason::Pulling, WaitReason::HealthStarting, WaitReason::Paused, WaitReason::Stopping] {
        assert_eq!(diagnose(&Facts::Waits(&reason)), None);
    }
}

#[test]
fn an_unhealthy_one_that_has_never_answered_starts_slowly() {
    let of = |failure: &str, never_well| diagnose(&Facts::Unhealthy { failure, never_well, log: &[] }).unwrap().cause;
    assert_eq!(
        of("its health check fails: wget: can't connect to remote host: Connection refused", true),
        FailureCause::SlowStart
    );
    assert_eq!(
        of("its health check fails: wget: can't connect to remote host: Connection refused", false),
        FailureCause::Unhealthy
    );
    assert_eq!(of("its liveness probe fails: HTTP 500", true), FailureCause::Unhealthy);
}

#[test]
fn the_same_failure_has_the_same_signature() {
    let of = |line: &str| {
        let log = [line.to_owned()];
        diagnose(&Facts::Ended(Ended { exit_code: 1, log: &log, ..Ended::default() })).unwrap().signature
    };
    assert_eq!(of("12:00:01 dial 10.0.0.7:5432: connection refused"), of("23:59:59 dial 10.1.2.3:6000: connection refused"));
    assert_ne!(of("dial 10.0.0.7:5432: connection refused"), of("open /data/7: permission denied"));
}

#[test]
fn only_lines_of_the_run_count_and_secrets_are_hidden_before_they_are_cut() {
    let text = "2026-01-01T12:00:00Z using postgres://app:hunter2@db\n2026-01-01T12:00:01Z \x1b[31mfailed\x1b[0m\n\
                2026-01-01T12:00:09Z of the next run\nno timestamp\n";
    let read = lines(text, "2026-01-01T12:00:01Z".parse().unwrap(), &Secrets::default());
    assert_eq!(read, ["using postgres://***@db", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_is_read_and_one_that_cannot_be_read_is_answered_too() {
    let clock = Arc::new(crate::clock::TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let engine = FakeEngine::new(clock.clone(), 1);
    engine.add_image(FakeImage::new("a:1", 1));
    engine.behave("a:1", Behaviour::forever());
    let spec = crate::model::ContainerSpec { name: "a".into(), image: "a:1".into(), ..Default::default() };
    let id = engine.create_container(&spec, &Default::default()).await.unwrap();
    engine.start_container(&id).await.unwrap();
    engine.write_log("a", "no space left on device");
    let ((wishes, wished), (told, mut news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    tokio::spawn(Logs::new(Arc::new(engine), wished, told).run(CancellationToken::new()));
    let wish = |container: &str| LogWish {
        key: Key::new("default", "web"),
        replica: ReplicaId::new("app", 1),
        failed_at: clock.now(),
        container: container.into(),
        started_at: None,
        failed_before: None,
        secrets: Secrets::default(),
    };
    wishes.send(wish(&id)).unwrap();
    assert_eq!(news.recv().await.unwrap().lines, ["no space left on device"]);
    wishes.send(wish("gone")).unwrap();
    assert_eq!(news.recv().await.unwrap().lines, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn of_a_log_that_is_longer_than_is_read_the_end_is_kept() {
    let clock = Arc::new(crate::clock::TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let engine = FakeEngine::new(clock.clone(), 1);
    engine.add_image(FakeImage::new("a:1", 1));
    engine.behave("a:1", Behaviour::forever());
    let spec = crate::model::ContainerSpec { name: "a".into(), image: "a:1".into(), ..Default::default() };
    let id = engine.create_container(&spec, &Default::default()).await.unwrap();
    engine.start_container(&id).await.unwrap();
    let line = "x".repeat(3000);
    (0..ASKED).for_each(|_| engine.write_log("a", &line));
    engine.write_log("a", "no space left on device");
    let wish = LogWish {
        key: Key::new("default", "web"),
        replica: ReplicaId::new("app", 1),
        failed_at: clock.now(),
        container: id,
        started_at: None,
        failed_before: None,
        secrets: Secrets::default(),
    };
    let read = read(&engine, &wish).await;
    assert_eq!((read.len(), read.last().map(String::as_str)), (KEPT, Some("no space left on device")));
}
