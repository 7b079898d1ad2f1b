//! stop, start, suspend, resume, release, restart, retry.

use super::*;

#[tokio::test]
async fn a_stopped_deployment_may_not_be_started_and_a_started_one_may() {
    let door = door_with_web().await;
    assert_eq!(door.startable().await, ["app-1", "app-2", "db-1"]);
    let laid = door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
    assert_eq!((laid.len(), state_of(&laid[0])), (1, HoldState::Stopped));
    assert_eq!((&laid[0]["spec"]["by"], &laid[0]["spec"]["reason"]), (&json!("cli:root"), &json!("Stopped")));
    assert!(door.startable().await.is_empty());
    let why = door.may_start(&web(), &replica("db-1")).await.unwrap_err();
    let name = laid[0]["metadata"]["name"].as_str().unwrap();
    assert!(why.contains(name) && why.contains("db-1"), "{why}");
    let lifted = door.start(&web(), &Scope::default(), "cli:root").await.unwrap();
    assert_eq!(lifted[0]["metadata"]["name"], name);
    assert_eq!(door.startable().await, ["app-1", "app-2", "db-1"]);
    assert_eq!(door.held(), [""; 0]);
}

#[tokio::test]
async fn a_hold_is_named_after_what_it_holds() {
    let door = door_with_web().await;
    let mut names = Vec::new();
    for scope in [Scope::default(), services(&["app"]), replicas(&["app-2"])] {
        let laid = door.stop(&web(), &scope, None, "cli:root").await.unwrap();
        names.push(laid[0]["metadata"]["name"].as_str().unwrap().to_owned());
    }
    for (name, start) in names.iter().zip(["web-", "web-app-", "web-app-2-"]) {
        let random = name.strip_prefix(start).unwrap();
        assert!(random.len() == 5 && random.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
    }
}

#[tokio::test]
async fn stopping_again_returns_the_hold_that_is_there() {
    let door = door_with_web().await;
    let first = door.stop(&web(), &services(&["app"]), Some("disk".into()), "cli:root").await.unwrap();
    let again = door.stop(&web(), &services(&["app"]), None, "cli:other").await.unwrap();
    assert_eq!(first, again);
    let until = now() + jiff::SignedDuration::from_hours(1);
    let suspended = door.suspend(&web(), &services(&["app"]), Some(until), None, "cli:root").await.unwrap();
    let longer = door.suspend(&web(), &services(&["app"]), None, None, "cli:root").await.unwrap();
    assert_ne!(suspended, longer);
    assert_eq!(door.held(), ["Stopped app disk", "Suspended app Suspended"]);
}

#[tokio::test]
async fn starting_a_service_clears_its_holds_and_leaves_the_others() {
    let door = door_with_web().await;
    door.stop(&web(), &services(&["app", "db"]), None, "cli:root").await.unwrap();
    door.suspend(&web(), &replicas(&["app-2"]), None, None, "cli:root").await.unwrap();
    door.start(&web(), &services(&["app"]), "cli:root").await.unwrap();
    assert_eq!(door.held(), ["Stopped db Stopped"]);
    assert_eq!(door.startable().await, ["app-1", "app-2"]);
}

#[tokio::test]
async fn starting_a_part_of_a_held_whole_cuts_the_hold() {
    let door = door_with_web().await;
    door.stop(&web(), &Scope::default(), Some("maintenance".into()), "cli:ann").await.unwrap();
    let since = door.holds_of(&web()).unwrap()[0].since;
    door.start(&web(), &replicas(&["app-2"]), "cli:bob").await.unwrap();
    assert_eq!(door.startable().await, ["app-2"]);
    assert_eq!(door.held(), ["Stopped app-1 maintenance", "Stopped db maintenance"]);
    let views = door.holds_of(&web()).unwrap();
    assert!(views.iter().all(|view| view.since == since));
    let holds = door.store().list(Kind::Hold, None).unwrap().items;
    assert!(holds.iter().all(|hold| hold["spec"]["by"] == "cli:ann"));
    door.start(&web(), &services(&["db"]), "cli:bob").await.unwrap();
    assert_eq!(door.startable().await, ["app-2", "db-1"]);
    door.start(&web(), &Scope::default(), "cli:bob").await.unwrap();
    assert_eq!(door.held(), [""; 0]);
}

#[tokio::test]
async fn what_a_cut_leaves_behind_does_not_beat_what_was_more_specific_before() {
    let door = door_with_web().await;
    door.suspend(&web(), &services(&["db"]), None, Some("backup".into()), "cli:root").await.unwrap();
    door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
    door.start(&web(), &services(&["app"]), "cli:root").await.unwrap();
    let views = door.holds_of(&web()).unwrap();
    let newest = views.iter().filter(|view| view.service.as_deref() == Some("db")).max_by_key(|view| view.since).unwrap();
    assert_eq!((newest.state, newest.reason.as_str()), (HoldState::Suspended, "backup"));
}

#[tokio::test]
async fn a_start_against_the_manifest_is_refused_and_names_its_line() {
    let door = door();
    let mut object = deployment("web");
    object["spec"]["state"] = "Stopped".into();
    object["metadata"]["annotations"] = json!({"evenkeel.dev/source": "shop/web.yaml:12"});
    door.create(Kind::Deployment, object, &by("folder")).await.unwrap();
    for scope in [Scope::default(), services(&["app"])] {
        let refusal = door.start(&web(), &scope, "cli:root").await.unwrap_err().to_string();
        assert!(refusal.contains("shop/web.yaml:12") && refusal.contains("spec.state"), "{refusal}");
    }
    assert!(door.startable().await.is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_refused_with_what_does() {
    let door = door_with_web().await;
    let missing = door.stop(&key("wbe"), &Scope::default(), None, "cli:root").await.unwrap_err();
    assert!(matches!(missing, RegistryError::Store(StoreError::NotFound { .. })), "{missing}");
    let service = door.stop(&web(), &services(&["ap"]), None, "cli:root").await.unwrap_err().to_string();
    assert!(service.contains("app, db"), "{service}");
    let replica = door.start(&web(), &replicas(&["app-3"]), "cli:root").await.unwrap_err().to_string();
    assert!(replica.contains("it has 2"), "{replica}");
    assert_eq!(door.held(), [""; 0]);
}

#[tokio::test]
async fn resume_lifts_suspensions_and_no_stops() {
    let door = door_with_web().await;
    door.stop(&web(), &services(&["db"]), None, "cli:root").await.unwrap();
    door.suspend(&web(), &Scope::default(), None, None, "cli:root").await.unwrap();
    let lifted = door.resume(&web(), &services(&["app"]), "cli:root").await.unwrap();
    assert_eq!((lifted.len(), state_of(&lifted[0])), (1, HoldState::Suspended));
    assert_eq!(door.held(), ["Stopped db Stopped", "Suspended db Suspended"]);
    door.resume(&web(), &Scope::default(), "cli:root").await.unwrap();
    assert_eq!(door.held(), ["Stopped db Stopped"]);
}

#[tokio::test]
async fn a_hold_ends_at_its_time_and_is_then_removed_and_told() {
    let door = door_with_web().await;
    let past = door.suspend(&web(), &Scope::default(), Some(now()), None, "cli:root").await.unwrap_err().to_string();
    assert!(past.contains("that is over"), "{past}");
    let until = now() + jiff::SignedDuration::from_millis(300);
    door.suspend(&web(), &Scope::default(), Some(until), None, "cli:root").await.unwrap();
    assert!(door.startable().await.is_empty());
    assert!(door.lift_ended(&web()).await.unwrap().is_empty());
    while now() <= until {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(door.startable().await, ["app-1", "app-2", "db-1"]);
    assert_eq!(door.lift_ended(&web()).await.unwrap().len(), 1);
    assert_eq!(door.held(), [""; 0]);
    assert!(door.told().last().unwrap().contains("has ended"), "{:?}", door.told());
}

#[tokio::test]
async fn a_release_suspends_all_with_its_own_reason_once() {
    let door = door_with_web().await;
    door.suspend(&web(), &Scope::default(), None, None, "cli:root").await.unwrap();
    let released = door.release(&web(), "cli:root").await.unwrap();
    assert_eq!(released["spec"]["reason"], "Released");
    assert_eq!(door.release(&web(), "cli:root").await.unwrap(), released);
    assert_eq!(door.held(), ["Suspended * Released"]);
}

#[tokio::test]
async fn restart_and_retry_annotate_and_leave_the_generation() {
    let door = door_with_web().await;
    let before = now();
    let restarted = door.restart(&web(), &services(&["app"])).await.unwrap();
    let annotations = &restarted["metadata"]["annotations"];
    let at: jiff::Timestamp = annotations["evenkeel.dev/restartedAt.app"].as_str().unwrap().parse().unwrap();
    assert!(at >= before && at <= now());
    let retried = door.retry(&web(), &Scope::default()).await.unwrap();
    assert!(retried["metadata"]["annotations"]["evenkeel.dev/retriedAt"].is_string());
    assert_eq!(retried["metadata"]["generation"], 1);
    let refused = door.restart(&web(), &replicas(&["app-1"])).await.unwrap_err().to_string();
    assert!(refused.contains("name its service, app"), "{refused}");
}

#[tokio::test]
async fn holds_laid_and_lifted_are_told() {
    let door = door_with_web().await;
    door.stop(&web(), &services(&["app"]), Some("new disk".into()), "cli:ann").await.unwrap();
    door.start(&web(), &Scope::default(), "cli:bob").await.unwrap();
    let told = door.told();
    assert!(told[0].starts_with("Held: service app: kept stopped by Hold web-app-"), "{told:?}");
    assert!(told[0].ends_with("(new disk), laid by cli:ann"), "{told:?}");
    assert!(told[1].starts_with("HoldLifted: ") && told[1].ends_with("was lifted by cli:bob"), "{told:?}");
}

#[tokio::test]
async fn a_stop_is_answered_within_a_second_though_a_start_hangs_and_no_start_is_let_in_afterwards() {
    let door = door_with_web().await;
    let hung = door.may_start(&web(), &replica("app-1")).await.unwrap();
    let began = std::time::Instant::now();
    door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
    assert!(began.elapsed().as_millis() < 1000, "{:?}", began.elapsed());
    assert!(began.elapsed().as_millis() >= 800, "it did not wait for the start");
    assert!(door.startable().await.is_empty());
    drop(hung);
    assert!(door.startable().await.is_empty());
}

#[tokio::test]
async fn between_a_stop_and_many_starts_no_start_is_let_in_after_the_answer() {
    let door = door_with_web().await;
    for _ in 0..20 {
        let registry = door.registry.clone();
        let starting = tokio::spawn(async move {
            let mut last_permit = None;
            for _ in 0..200 {
                match registry.may_start(&web(), &replica("app-1")).await {
                    Ok(permit) => last_permit = Some(std::time::Instant::now()).inspect(|_| drop(permit)),
                    Err(_) => break,
                }
            }
            last_permit
        });
        tokio::task::yield_now().await;
        door.stop(&web(), &Scope::default(), None, "cli:root").await.unwrap();
        let answered = std::time::Instant::now();
        let last = starting.await.unwrap();
        assert!(last.is_none_or(|last| last <= answered));
        door.start(&web(), &Scope::default(), "cli:root").await.unwrap();
    }
}
