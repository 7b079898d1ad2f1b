//! approve, reject.

use super::*;
use crate::model::Answer;
use crate::store::{Part, StoreError};

/// The door, with a Deployment that suggests something for two replicas.
async fn door_with_suggestions() -> Door {
    let door = door_with_web().await;
    let change = |object: &mut Value| {
        object["status"] = json!({"suggestions": [
            {"id": "app-1-3f9a", "replica": "app-1"}, {"id": "db-1-0b12", "replica": "db-1"},
        ]});
        Ok::<_, StoreError>(())
    };
    door.store().modify(Kind::Deployment, &web(), Part::Status, None, change).await.unwrap();
    door
}

fn answer(object: &Object, replica: &str) -> Option<Answer> {
    object["metadata"]["annotations"][format!("evenkeel.dev/answer.{replica}")].as_str()?.parse().ok()
}

#[tokio::test]
async fn what_is_suggested_is_answered_one_by_one_or_all_at_once() {
    let door = door_with_suggestions().await;
    let answered = door.answer(&web(), &["db-1-0b12".into()], false, "cli:root").await.unwrap();
    let rejected = answer(&answered, "db-1").unwrap();
    assert_eq!((rejected.id.as_str(), rejected.approved, rejected.by.as_str()), ("db-1-0b12", false, "cli:root"));
    assert_eq!(answer(&answered, "app-1"), None);
    assert_eq!(answered["metadata"]["generation"], json!(1), "it changes nothing that is declared");
    let answered = door.answer(&web(), &[], true, "token:admin").await.unwrap();
    assert!(["app-1", "db-1"].into_iter().all(|replica| answer(&answered, replica).unwrap().approved), "{answered:#}");
}

#[tokio::test]
async fn what_is_not_suggested_any_more_is_not_answered() {
    let door = door_with_suggestions().await;
    let stale = door.answer(&web(), &["app-1-3f9a".into(), "app-1-0000".into()], true, "cli:root").await.unwrap_err();
    assert!(stale.to_string().contains("does not suggest app-1-0000 any more") && stale.to_string().contains("app-1-3f9a"));
    let object = door.store().get(Kind::Deployment, &web()).unwrap().unwrap();
    assert_eq!(answer(&object, "app-1"), None, "all or nothing");
    let idle = door_with_web().await.answer(&web(), &[], true, "cli:root").await.unwrap_err();
    assert!(idle.to_string().contains("suggests nothing"), "{idle}");
}
