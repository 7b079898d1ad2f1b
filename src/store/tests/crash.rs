//! SIGKILL at any instant: what was acknowledged is there, versions never go back.
//!
//! The test binary runs itself as a child that writes and says on its standard output what was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::model::{End, History, Memory, ReplicaHistory, Verdict};

const FOLDER: &str = "EVENKEEL_TEST_CRASH_FOLDER";
const WRITERS: u32 = 4;
const ROUNDS: usize = 20;

/// What writer `w` does as its step `n`: everything it writes carries `n`, and each fifth step deletes the object.
async fn step(store: &Store, w: u32, n: u32) -> Result<u64> {
    let name = format!("w{w}");
    let object = match (n % 5, store.get(Kind::Deployment, &key(&name))?) {
        (4, Some(_)) => store.delete(Kind::Deployment, &key(&name), None).await?.0,
        (_, None) => {
            let mut object = deployment(&name);
            object["spec"]["n"] = n.into();
            store.create(Kind::Deployment, object).await?
        }
        (_, Some(_)) => {
            let change = move |object: &mut Value| {
                object["spec"]["n"] = n.into();
                Ok::<_, StoreError>(())
            };
            store.modify(Kind::Deployment, &key(&name), Part::Main, None, change).await?
        }
    };
    let replica = ReplicaHistory { attempts: n, ..ReplicaHistory::default() };
    let replicas = BTreeMap::from([("app-1".to_owned(), replica)]);
    store.put_history(&key(&name), History { replicas, ..History::default() }).await?;
    let volumes = BTreeMap::from([("app-1".to_owned(), BTreeMap::from([("/n".to_owned(), n.to_string())]))]);
    store.put_memory(&key(&name), Memory { volumes, ..Memory::default() }).await?;
    let at = jiff::Timestamp::from_second(n.into()).unwrap();
    store.put_end(&name, Some(End { started_at: None, verdict: Verdict::OwnAccord, at, exit_code: None })).await?;
    let status = move |object: &mut Value| {
        object["status"] = json!({"n": n});
        Ok::<_, StoreError>(())
    };
    match store.modify(Kind::Deployment, &key(&name), Part::Status, None, status).await {
        Ok(object) => Ok(version(&object)),
        Err(StoreError::NotFound { .. }) => Ok(version(&object)),
        Err(error) => Err(error),
    }
}

/// The step of each part that is stored for a writer: object (`None`: deleted), history, memory, end.
fn stored(store: &Store, w: u32) -> (Option<u32>, u32, u32, u32) {
    let name = format!("w{w}");
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let object = store.get(Kind::Deployment, &key(&name)).unwrap().map(|object| number(&object["spec"]["n"]));
    let history = store.history(&key(&name)).unwrap().replicas.get("app-1").map_or(0, |replica| replica.attempts);
    let memory = store.memory(&key(&name)).unwrap();
    let memory = memory.volumes.get("app-1").map_or(0, |volumes| volumes["/n"].parse().unwrap());
    let ends = store.ends().unwrap();
    let end = ends.iter().find(|(id, _)| *id == name).map_or(0, |(_, end)| u32::try_from(end.at.as_second()).unwrap());
    (object, history, memory, end)
}

#[test]
#[ignore = "it is the child of the test below and writes until it is killed"]
fn child_that_writes() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, opened) = reopen(Path::new(&folder));
        println!("\nopened {opened:?}");
        let writers = (0..WRITERS).map(|w| {
            let store = store.clone();
            tokio::spawn(async move {
                let (_, history, memory, end) = stored(&store, w);
                // A step that was cut off is made again, so that no part stays behind.
                for n in history.min(memory).min(end) + 1.. {
                    println!("begun {w} {n}");
                    let revision = step(&store, w, n).await.unwrap();
                    println!("acked {w} {n} {revision}");
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}

#[test]
fn what_was_acknowledged_survives_sigkill_and_versions_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut revision = 0;
    // By writer, over all rounds: the last step that was acknowledged, and the last that was begun.
    let (mut acked, mut begun) = (BTreeMap::<u32, u32>::new(), BTreeMap::<u32, u32>::new());
    for round in 0..ROUNDS {
        let delay = 30 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
        for line in &run_and_kill(folder.path(), Duration::from_millis(delay)) {
            let words: Vec<_> = line.split(' ').collect();
            let raise = |steps: &mut BTreeMap<u32, u32>| {
                let step = steps.entry(words[1].parse().unwrap()).or_default();
                *step = (*step).max(words[2].parse().unwrap());
            };
            match words[0] {
                "opened" => assert!(line.contains("rebuilt: None, repaired: None"), "round {round}: {line}"),
                "begun" => raise(&mut begun),
                // The line itself may have been cut off.
                "acked" if words.len() == 4 => {
                    raise(&mut acked);
                    revision = revision.max(words[3].parse().unwrap());
                }
                _ => {}
            }
        }
        let (store, opened) = reopen(folder.path());
        assert_eq!(opened, Opened::default(), "round {round}");
        for (w, begun) in &begun {
            assert_state(&store, *w, acked.get(w).copied().unwrap_or(0), *begun, round);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let next = runtime.block_on(store.create(Kind::Deployment, deployment(&format!("round-{round}")))).unwrap();
        assert!(version(&next) > revision, "round {round}");
        revision = version(&next);
    }
}

/// No part is older than the last acknowledged step, or newer than the last that was begun.
fn assert_state(store: &Store, w: u32, acked: u32, begun: u32, round: usize) {
    let (object, history, memory, end) = stored(store, w);
    let seen = format!("round {round}, writer {w}: acked {acked}, begun {begun}, object {object:?}");
    let allowed = acked..=begun;
    match object {
        Some(n) => assert!(allowed.contains(&n), "{seen}"),
        None => assert!(allowed.clone().any(|n| n % 5 == 4 || n == 0), "{seen}"),
    }
    for (part, n) in [("history", history), ("memory", memory), ("end", end)] {
        assert!(allowed.contains(&n), "{seen}, {part} {n}");
    }
}

fn run_and_kill(folder: &Path, delay: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::child_that_writes", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || output.lines().map_while(std::result::Result::ok).collect::<Vec<_>>());
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}
