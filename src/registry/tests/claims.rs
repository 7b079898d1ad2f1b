//! One project, one Deployment.

use super::*;

fn claiming(name: &str, project: &str) -> Value {
    let mut object = deployment(name);
    object["spec"]["project"] = project.into();
    object
}

#[tokio::test]
async fn a_second_claimant_is_refused_and_told_the_first_and_its_file() {
    let door = door();
    let mut first = claiming("web", "shop");
    first["metadata"]["annotations"] = json!({"evenkeel.dev/source": "web.yaml:1"});
    door.create(Kind::Deployment, first, &by("folder")).await.unwrap();
    let mut second = deployment("shop");
    second["metadata"]["namespace"] = "default".into();
    let refusal = door.create(Kind::Deployment, second.clone(), &by("cli:root")).await.unwrap_err().to_string();
    assert!(refusal.contains("default/web") && refusal.contains("web.yaml:1") && refusal.contains("\"shop\""), "{refusal}");
    let options = WriteOptions { allow_claimed: true, ..by("folder") };
    let stored = door.create(Kind::Deployment, second, &options).await.unwrap();
    assert!(stored.warnings[0].contains("default/web"), "{:?}", stored.warnings);
    assert_eq!(door.claimant(&key("shop"), "shop").unwrap(), Some(key("web")));
    assert_eq!(door.claimant(&key("web"), "shop").unwrap(), None);
}

#[tokio::test]
async fn a_project_is_free_again_when_its_claimant_is_gone_and_goes_to_the_next() {
    let door = door();
    let options = WriteOptions { allow_claimed: true, ..by("folder") };
    for name in ["c", "b", "a"] {
        door.create(Kind::Deployment, claiming(name, "shop"), &options).await.unwrap();
    }
    for (gone, next) in [("c", Some(key("b"))), ("b", None)] {
        door.delete(Kind::Deployment, &key(gone), &DeleteOptions::default()).await.unwrap();
        assert_eq!(door.claimant(&key("a"), "shop").unwrap(), Some(key(gone)), "it holds on while it is being deleted");
        door.gone(&key(gone)).await.unwrap();
        assert_eq!(door.claimant(&key("a"), "shop").unwrap(), next);
    }
}

#[tokio::test]
async fn of_many_who_claim_at_once_one_gets_it() {
    let door = door();
    let claims = (0..16).map(|number| {
        let registry = door.registry.clone();
        tokio::spawn(async move {
            registry.create(Kind::Deployment, claiming(&format!("web-{number}"), "shop"), &by("cli:root")).await.is_ok()
        })
    });
    let won = futures::future::join_all(claims).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!((won, door.store().list(Kind::Deployment, None).unwrap().items.len()), (1, 1));
}
