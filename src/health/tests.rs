//! Many probes beside each other, on a paused clock.

use std::collections::HashMap;

use super::*;
use crate::clock::{Clock, TokioClock};
use crate::model::{Probes, RunId, Secrets, Unreachable};

/// Answers as it is told, by container; counts what was asked, and when.
#[derive(Default)]
struct Script {
    /// What a container does: the last one stays.
    answers: Mutex<HashMap<String, Vec<Say>>>,
    asked: Mutex<Vec<(String, &'static str, Instant)>>,
    open: Mutex<HashMap<String, u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Say {
    Good,
    Bad,
    Hangs,
    /// The engine hangs before the container is asked.
    EngineHangs,
    After(u64),
}

#[async_trait]
impl Ask for Script {
    async fn ask(&self, target: &ProbeTarget, check: &Check, begun: &Begun) -> Answer {
        let id = target.run.container.clone();
        let word = match check {
            Check::Exec { .. } => "exec",
            Check::HttpGet(_) => "http",
            _ => "tcp",
        };
        self.asked.lock().unwrap().push((id.clone(), word, Instant::now()));
        let say = {
            let mut answers = self.answers.lock().unwrap();
            let said = answers.entry(id.clone()).or_insert_with(|| vec![Say::Good]);
            if said.len() > 1 { said.remove(0) } else { said[0] }
        };
        if say != Say::EngineHangs {
            begun.now();
        }
        *self.open.lock().unwrap().entry(id.clone()).or_default() += 1;
        let outcome = match say {
            Say::Good => Outcome::Good,
            Say::Bad => Outcome::Bad,
            Say::Hangs | Say::EngineHangs => std::future::pending().await,
            Say::After(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Outcome::Good
            }
        };
        *self.open.lock().unwrap().get_mut(&id).unwrap() -= 1;
        Answer { outcome, output: format!("{say:?}") }
    }
}

struct Scene {
    script: Arc<Script>,
    wishes: mpsc::UnboundedSender<ProbeWish>,
    news: mpsc::UnboundedReceiver<ProbeNews>,
    clock: Arc<TokioClock>,
    _worker: AbortOnDropHandle<()>,
}

fn probe(check: Check) -> Probe {
    Probe {
        check,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        flap_window: Duration::from_secs(60),
    }
}

fn tcp() -> Check {
    Check::TcpSocket { host: None, port: 80 }
}

fn exec() -> Check {
    Check::Exec { command: vec!["check".into()] }
}

fn liveness(check: Check) -> Probes {
    Probes { liveness: Some(probe(check)), ..Probes::default() }
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let ((wishes, wished), (told, news)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let script = Arc::new(Script::default());
        let worker = Health::new(wished, told, script.clone(), clock.clone());
        let _worker = AbortOnDropHandle::new(tokio::spawn(worker.run(CancellationToken::new())));
        Self { script, wishes, news, clock, _worker }
    }

    fn says(&self, container: &str, says: &[Say]) {
        self.script.answers.lock().unwrap().insert(container.to_owned(), says.to_vec());
    }

    fn wish(&self, probes: &Probes, containers: impl IntoIterator<Item = String>) {
        let target = |(number, container): (u32, String)| {
            let run = RunId { container, started_at: Some(self.clock.now()) };
            let target =
                ProbeTarget { run, address: Err(Unreachable::NoAddress), probes: probes.clone(), secrets: Secrets::default() };
            (ReplicaId::new("app", number), target)
        };
        let targets = (1..).zip(containers).map(target).collect();
        self.wishes.send(ProbeWish { key: Key::new("default", "web"), targets }).unwrap();
    }

    fn asked(&self, container: &str) -> Vec<(&'static str, Instant)> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().filter(|(id, ..)| id == container).map(|(_, word, at)| (*word, *at)).collect()
    }

    /// Verdicts told so far, by container.
    fn told(&mut self) -> HashMap<String, BTreeMap<ProbeKind, ProbeVerdict>> {
        let mut told = HashMap::new();
        while let Ok(news) = self.news.try_recv() {
            told.insert(news.run.container, news.verdicts);
        }
        told
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn five_hundred_are_probed_on_time_though_a_hundred_of_them_hang() {
    let mut scene = Scene::new();
    let began = Instant::now();
    let name = |number: u32| format!("c{number}");
    (0..500).filter(|number| number % 5 == 0).for_each(|number| scene.says(&name(number), &[Say::Hangs]));
    scene.wish(&liveness(exec()), (0..500).map(name));
    seconds(35).await;
    let told = scene.told();
    assert_eq!(told.len(), 500);
    for number in 0..500 {
        let (asked, verdict) = (scene.asked(&name(number)), &told[&name(number)][&ProbeKind::Liveness]);
        let late = |(times, (_, at)): (u64, &(&str, Instant))| {
            *at - began > Duration::from_secs(10 * times + 1) + Duration::from_millis(10)
        };
        let hangs = number % 5 == 0;
        assert_eq!(verdict.standing, if hangs { ProbeStanding::Bad } else { ProbeStanding::Good }, "{number}");
        assert!((0..).zip(&asked).all(|found| !late(found)), "{number}: {asked:?}");
        // A command that hangs is not started again and again.
        assert_eq!(asked.len(), if hangs { 1 } else { 4 }, "{number}");
    }
    let firsts: std::collections::BTreeSet<u128> = (0..500).map(|n| (scene.asked(&name(n))[0].1 - began).as_millis()).collect();
    assert!(firsts.len() > 200, "the first probes are spread: {}", firsts.len());
}

#[tokio::test(start_paused = true)]
async fn the_startup_probe_holds_the_others_back() {
    let mut scene = Scene::new();
    let startup = Probe { period: Duration::from_secs(1), ..probe(tcp()) };
    let probes = Probes { startup: Some(startup), readiness: Some(probe(exec())), ..Probes::default() };
    scene.says("c", &[Say::Bad, Say::Bad, Say::Bad, Say::Bad, Say::Good]);
    scene.wish(&probes, ["c".to_owned()]);
    seconds(4).await;
    assert!(scene.asked("c").iter().all(|(word, _)| *word == "tcp"));
    assert_eq!(scene.told()["c"][&ProbeKind::Startup].standing, ProbeStanding::Bad);
    seconds(20).await;
    let told = scene.told();
    assert_eq!(told["c"][&ProbeKind::Startup].standing, ProbeStanding::Good);
    assert_eq!(told["c"][&ProbeKind::Readiness].standing, ProbeStanding::Good);
    assert_eq!(scene.asked("c").iter().filter(|(word, _)| *word == "tcp").count(), 5, "it is not made any more");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_and_nothing_of_what_is_not_wished_any_more() {
    let mut scene = Scene::new();
    scene.says("c", &[Say::Good, Say::Good, Say::Bad]);
    scene.wish(&liveness(tcp()), ["c".to_owned()]);
    seconds(15).await;
    assert_eq!(scene.told().len(), 1);
    seconds(10).await;
    assert_eq!(scene.told().len(), 0, "two of three failures are nothing to tell");
    seconds(60).await;
    assert_eq!(scene.told()["c"][&ProbeKind::Liveness].standing, ProbeStanding::Bad);
    scene.wish(&liveness(tcp()), []);
    seconds(1).await;
    let asked = scene.asked("c").len();
    seconds(60).await;
    assert_eq!(scene.asked("c").len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_ends_late_has_failed_and_the_next_one_is_taken_for_itself() {
    let mut scene = Scene::new();
    let mut probes = liveness(exec());
    probes.liveness.as_mut().unwrap().failure_threshold = 1;
    scene.says("c", &[Say::Good, Say::After(4), Say::Good]);
    scene.wish(&probes, ["c".to_owned()]);
    seconds(5).await;
    assert_eq!(scene.told()["c"][&ProbeKind::Liveness].standing, ProbeStanding::Good);
    seconds(10).await;
    assert_eq!(scene.told()["c"][&ProbeKind::Liveness].output, "no answer within 1 s");
    seconds(20).await;
    assert_eq!(scene.told()["c"][&ProbeKind::Liveness].standing, ProbeStanding::Good);
    assert_eq!(scene.script.open.lock().unwrap()["c"], 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_waits_for_its_delay_counted_from_the_start() {
    let scene = Scene::new();
    let mut probes = liveness(tcp());
    probes.liveness.as_mut().unwrap().initial_delay = Duration::from_secs(30);
    let began = Instant::now();
    scene.wish(&probes, ["c".to_owned()]);
    seconds(60).await;
    let first = scene.asked("c")[0].1 - began;
    assert!((Duration::from_secs(30)..Duration::from_secs(32)).contains(&first), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_takes_before_the_container_is_asked_is_not_the_container_s() {
    let mut scene = Scene::new();
    let mut probes = liveness(exec());
    probes.liveness.as_mut().unwrap().failure_threshold = 1;
    scene.says("c", &[Say::Good, Say::EngineHangs]);
    scene.wish(&probes, ["c".to_owned()]);
    seconds(120).await;
    assert_eq!(scene.told()["c"][&ProbeKind::Liveness].standing, ProbeStanding::Good);
    assert_eq!(scene.asked("c").len(), 2, "it is not asked beside itself");
}
