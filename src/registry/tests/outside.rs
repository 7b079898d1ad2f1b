//! Stops and starts that were seen on the engine.

use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn an_outside_stop_is_held_once_and_a_start_by_hand_lifts_it() {
    let door = door_with_web().await;
    let at = now();
    door.hold_external_stop(&web(), &replica("app-1"), at).await.unwrap();
    door.hold_external_stop(&web(), &replica("app-1"), at).await.unwrap();
    assert_eq!(door.held(), ["Stopped app-1 ExternalStop"]);
    let hold = &door.store().list(Kind::Hold, None).unwrap().items[0];
    assert_eq!((&hold["spec"]["by"], &hold["spec"]["since"]), (&json!("docker"), &json!(at.to_string())));
    assert_eq!(door.startable().await, ["app-2", "db-1"]);
    assert!(!door.lift_external_stop(&web(), &replica("app-2"), now()).await.unwrap());
    assert!(!door.lift_external_stop(&web(), &replica("app-1"), at - SignedDuration::from_secs(1)).await.unwrap());
    assert!(door.lift_external_stop(&web(), &replica("app-1"), now()).await.unwrap());
    assert_eq!(door.held(), [""; 0]);
    let told = door.told();
    assert!(told[0].starts_with("ExternalStop: replica app-1"), "{told:?}");
    assert!(told[1].starts_with("HoldLifted: ") && told[1].contains("started by hand"), "{told:?}");
}

#[tokio::test]
async fn a_stop_through_evenkeel_takes_the_place_of_outside_stops_it_covers() {
    let door = door_with_web().await;
    for name in ["app-1", "db-1"] {
        door.hold_external_stop(&web(), &replica(name), now()).await.unwrap();
    }
    door.stop(&web(), &services(&["app"]), None, "cli:root").await.unwrap();
    assert_eq!(door.held(), ["Stopped app Stopped", "Stopped db-1 ExternalStop"]);
    door.stop(&web(), &replicas(&["db-1"]), None, "cli:root").await.unwrap();
    assert_eq!(door.held(), ["Stopped app Stopped", "Stopped db-1 Stopped"]);
    assert!(!door.lift_external_stop(&web(), &replica("db-1"), now()).await.unwrap());
}

#[tokio::test]
async fn nothing_is_read_into_a_stop_while_suspended() {
    let door = door_with_web().await;
    let before = now();
    door.suspend(&web(), &Scope::default(), None, None, "cli:root").await.unwrap();
    door.hold_external_stop(&web(), &replica("app-1"), now()).await.unwrap();
    assert_eq!(door.held(), ["Suspended * Suspended"]);
    door.hold_external_stop(&web(), &replica("app-1"), before).await.unwrap();
    assert_eq!(door.held(), ["Stopped app-1 ExternalStop", "Suspended * Suspended"]);
}

#[tokio::test]
async fn an_outside_stop_is_not_held_where_it_is_to_be_reverted_or_nothing_is_declared_or_stopped_anyway() {
    let door = door();
    let mut object = deployment("web");
    object["spec"]["recovery"] = json!({"externalStop": "Revert"});
    door.create(Kind::Deployment, object, &by("cli:root")).await.unwrap();
    door.hold_external_stop(&web(), &replica("app-1"), now()).await.unwrap();
    door.hold_external_stop(&key("none"), &replica("app-1"), now()).await.unwrap();
    assert!(door.store().list(Kind::Hold, None).unwrap().items.is_empty());
    let door = door_with_web().await;
    door.stop(&web(), &services(&["app"]), None, "cli:root").await.unwrap();
    door.hold_external_stop(&web(), &replica("app-1"), now()).await.unwrap();
    assert_eq!(door.held(), ["Stopped app Stopped"]);
}
