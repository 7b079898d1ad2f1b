//! A large Deployment beside a small one: neither does the small one wait behind it, nor is the large one silent meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::registry::WriteOptions;
use crate::store::{Kind, Part};

use super::rig::{Rig, play};
use super::steps::key;
use super::story::{App, Service, Work};

/// Eight starts at once take 0.3 s: this many go on for longer than two turns may.
const REPLICAS: u32 = 60;
const SERVICES: usize = 4;

fn app(services: usize, replicas: u32) -> App {
    let service = || Service {
        work: Work::Plain,
        replicas,
        restart: None,
        needs: vec![],
        named_volume: false,
        second_network: false,
        version: 1,
    };
    App { services: (0..services).map(|_| service()).collect(), stopped: false, revert: false }
}

async fn declare(rig: &Rig, number: usize, app: &App) {
    let (key, options) = (key(number), WriteOptions::default());
    let registry = &rig.operator().unwrap().registry;
    registry.replace(Kind::Deployment, &key, app.manifest(&key.name), Part::Main, true, &options).await.unwrap();
}

fn up(rig: &Rig, number: usize) -> usize {
    let prefix = format!("a{number}-");
    rig.engine.containers().iter().filter(|container| container.is_up() && container.name.starts_with(&prefix)).count()
}

#[test]
fn what_breaks_is_healed_beside_a_bring_up_of_hundreds_whose_status_is_told_meanwhile() {
    let story = async {
        let mut rig = Rig::new(1);
        rig.start_operator();
        declare(&rig, 0, &app(1, 1)).await;
        rig.engine.until(|_| up(&rig, 0) == 1).await;
        declare(&rig, 1, &app(SERVICES, REPLICAS)).await;
        rig.engine.until(|_| up(&rig, 1) > 0).await;

        rig.engine.person().crash("a0-s0-1", 1).unwrap();
        let crashed = Instant::now();
        rig.engine.until(|_| up(&rig, 0) == 1).await;
        let took = crashed.elapsed();
        assert!(took < Duration::from_secs(1), "it was back after {took:?}");

        // Two turns' worth of time, of which the first has told how far it is.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let all = SERVICES * REPLICAS as usize;
        assert!(up(&rig, 1) < all, "the bring-up is over too early for this test");
        let big = rig.operator().unwrap().registry.store().get(Kind::Deployment, &key(1)).unwrap().unwrap();
        assert_eq!(big["status"]["phase"], "Progressing", "{}", big["status"]);
        rig.engine.until(|_| up(&rig, 1) == all).await;
    };
    play(story).unwrap();
}
