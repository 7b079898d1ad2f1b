//! Networks, always by id, since names need not be unique.

use std::collections::BTreeMap;

use evenkeel::docker::Engine;
use evenkeel::model::{ContainerSpec, FailureKind, IpamPool, IpamSpec, NetworkAttachment, NetworkMode, NetworkSpec};

use super::{client, failure, kind, network, sleeper};
use crate::support::Sandbox;

fn attachment(network: &str, aliases: &[&str]) -> NetworkAttachment {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    NetworkAttachment { network: network.to_owned(), aliases, ..Default::default() }
}

fn attached(spec: ContainerSpec, networks: Vec<NetworkAttachment>) -> ContainerSpec {
    ContainerSpec { network: NetworkMode::Networks, networks, ..spec }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_joins_all_its_networks_with_its_aliases_from_the_first_start_on() {
    let sandbox = Sandbox::new();
    let (client, docker) = (client(sandbox.docker()), sandbox.docker());
    let front = client.create_network(&network(&sandbox, "front")).await.unwrap();
    let back = client.create_network(&network(&sandbox, "back")).await.unwrap();
    let ids = BTreeMap::from([("front".to_owned(), front.clone()), ("back".to_owned(), back.clone())]);
    let both = vec![attachment("front", &["web", "www"]), attachment("back", &["web"])];
    let web = client.create_container(&attached(sleeper(&sandbox, "web"), both), &ids).await.unwrap();
    client.start_container(&web).await.unwrap();
    let seen = client.inspect_container(&web).await.unwrap().unwrap();
    let at = |name: &str| seen.networks[&format!("{}_{name}", sandbox.prefix())].clone();
    assert_eq!((at("front").network_id, at("back").network_id), (front.clone(), back.clone()));
    assert!(at("front").aliases.contains(&"www".to_owned()) && !at("back").aliases.contains(&"www".to_owned()));
    assert_eq!(seen.network_mode, front);

    let other = attached(sleeper(&sandbox, "other"), vec![attachment("back", &[])]);
    let other = client.create_container(&other, &ids).await.unwrap();
    client.start_container(&other).await.unwrap();
    assert!(docker.exec(&other, &["nslookup", "web"]).contains(&at("back").address));

    client.connect_network(&back, &web, &attachment("back", &["web"])).await.unwrap();
    assert_eq!(kind(client.remove_network(&back).await), FailureKind::Conflict);
    let name = format!("{}_back", sandbox.prefix());
    client.disconnect_network(&name, &web).await.unwrap();
    client.disconnect_network(&name, &web).await.unwrap();
    client.connect_network(&back, &web, &attachment("back", &["again"])).await.unwrap();
    assert!(!docker.exec(&other, &["nslookup", "again"]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_networks_of_one_name_stand_in_the_way_until_one_is_gone_and_the_one_that_is_meant_is_used() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let spec = network(&sandbox, "twin");
    let first = client.create_network(&spec).await.unwrap();
    let second = match client.create_network(&spec).await {
        Ok(second) => second,
        // Engines from 25 on let no second one come about.
        Err(refused) => return assert_eq!(refused.kind, FailureKind::Conflict, "{refused}"),
    };
    let ids = BTreeMap::from([("twin".to_owned(), second.clone())]);
    let container = attached(sleeper(&sandbox, "a"), vec![attachment("twin", &[])]);
    let id = client.create_container(&container, &ids).await.unwrap();
    let ambiguous = failure(client.start_container(&id).await);
    assert_eq!(ambiguous.kind, FailureKind::Conflict, "{ambiguous}");
    client.remove_network(&first).await.unwrap();
    client.remove_network(&first).await.unwrap();
    client.start_container(&id).await.unwrap();
    let seen = client.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!(seen.networks[&spec.name].network_id, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_went_away_fails_the_start_and_nothing_else() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let id = client.create_network(&network(&sandbox, "gone")).await.unwrap();
    let ids = BTreeMap::from([("gone".to_owned(), id.clone())]);
    let container = attached(sleeper(&sandbox, "a"), vec![attachment("gone", &[])]);
    let container = client.create_container(&container, &ids).await.unwrap();
    client.remove_network(&id).await.unwrap();
    assert_eq!(kind(client.start_container(&container).await), FailureKind::NetworkMissing);
    assert_eq!(
        kind(
            client.connect_network(&id, &container, &attachment("gone", &[])).await.and(client.start_container(&container).await)
        ),
        FailureKind::NetworkMissing
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fixed_addresses_come_from_the_declared_pool() {
    let sandbox = Sandbox::new();
    let client = client(sandbox.docker());
    let octet = std::process::id() % 250;
    let pool = IpamPool { subnet: Some(format!("10.213.{octet}.0/24")), ..Default::default() };
    let spec =
        NetworkSpec { internal: true, ipam: IpamSpec { config: vec![pool], ..Default::default() }, ..network(&sandbox, "pool") };
    let ids = BTreeMap::from([("pool".to_owned(), client.create_network(&spec).await.unwrap())]);
    let at = NetworkAttachment { ipv4: Some(format!("10.213.{octet}.77")), ..attachment("pool", &[]) };
    let id = client.create_container(&attached(sleeper(&sandbox, "a"), vec![at.clone()]), &ids).await.unwrap();
    client.start_container(&id).await.unwrap();
    let seen = client.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!(seen.networks[&spec.name].address, format!("10.213.{octet}.77"));
    let second = client.create_container(&attached(sleeper(&sandbox, "b"), vec![at]), &ids).await.unwrap();
    assert_eq!(kind(client.start_container(&second).await), FailureKind::Conflict, "the address is taken");
}
