//! Sources that flags make.

use std::path::PathBuf;

use serde_json::json;

use super::{Rig, key, manifest};
use crate::model::annotations;
use crate::sources::made::{Asked, make};
use crate::store::Kind;

fn asked(rig: &Rig, prune: bool) -> Asked {
    let address = format!("{}#main:shop", rig.upstream.path.display());
    Asked {
        git: Some(address.parse().unwrap()),
        git_interval: Some(std::time::Duration::from_secs(90)),
        prune,
        ..Asked::default()
    }
}

#[tokio::test]
async fn a_flag_makes_a_source_and_takes_it_away_again_and_leaves_what_it_declared() {
    let rig = Rig::new();
    rig.upstream.write("shop/web.yaml", &manifest("web", "a"));
    rig.upstream.commit();
    make(&rig.registry, &asked(&rig, true)).await.unwrap();
    let source = rig.registry.store().get(Kind::Source, &key("git")).unwrap().unwrap();
    assert_eq!(source["metadata"]["annotations"][annotations::MADE_BY], "command-line");
    assert_eq!((&source["spec"]["interval"], &source["spec"]["path"]), (&json!("1m30s"), &json!("shop")));
    rig.keeper("git").sync().await;
    assert_eq!(rig.image("web").as_deref(), Some("a"));

    // At a start without flags, whatever they were before.
    make(&rig.registry, &Asked::default()).await.unwrap();
    rig.keeper("git").sync().await;
    assert!(rig.is_kept("web") && rig.is_orphaned("web"));
    assert_eq!(rig.registry.store().get(Kind::Source, &key("git")).unwrap(), None);

    // Where the run prunes, what the flag declared goes with it.
    make(&rig.registry, &asked(&rig, true)).await.unwrap();
    rig.keeper("git").sync().await;
    let elsewhere = Asked { manifests: Some(PathBuf::from("/nowhere")), prune: true, ..Asked::default() };
    make(&rig.registry, &elsewhere).await.unwrap();
    rig.keeper("git").sync().await;
    assert!(!rig.is_kept("web"));
}

#[tokio::test]
async fn credentials_are_named_in_the_source_and_what_is_missing_is_told() {
    let rig = Rig::new();
    let auth = crate::crd::GitAuth { key_file: Some("/k".into()), known_hosts_file: Some("/h".into()), ..Default::default() };
    let git = Some("git@git.example:a.git".parse().unwrap());
    make(&rig.registry, &Asked { git: git.clone(), git_auth: Some(auth), ..Asked::default() }).await.unwrap();
    let source = rig.registry.store().get(Kind::Source, &key("git")).unwrap().unwrap();
    assert_eq!(source["spec"]["git"]["auth"], json!({"keyFile": "/k", "knownHostsFile": "/h"}));
    let error = make(&rig.registry, &Asked { git, ..Asked::default() }).await.unwrap_err();
    assert!(format!("{error:#}").contains("ssh needs keyFile"), "{error:#}");
}

#[tokio::test]
async fn a_source_that_somebody_made_by_hand_is_not_overwritten() {
    let rig = Rig::new();
    rig.put("git", json!({"folder": {"path": "/srv"}})).await;
    let error = make(&rig.registry, &asked(&rig, false)).await.unwrap_err();
    assert!(format!("{error:#}").contains("made a Source default/git by hand"), "{error:#}");
    make(&rig.registry, &Asked::default()).await.unwrap();
    assert!(rig.registry.store().get(Kind::Source, &key("git")).unwrap().is_some());
}
