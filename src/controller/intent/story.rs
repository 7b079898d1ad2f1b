//! Plays a story of events against [`Intent`], as the worker would: answers what is asked, ticks when due, keeps a diary.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::docker::Alive;
use crate::model::{
    Container, ContainerState, DockerRestart, EngineEvent, EventKind, Key, ReloadSignal, ReplicaId, StopReason, Verdict,
};

use super::{Effect, Gap, Intent, Owner};

/// Milliseconds since the story began.
pub type Ms = i64;

/// What the story tells.
#[derive(Debug, Clone)]
pub enum Turn {
    Event {
        id: String,
        action: String,
        attribute: Option<(&'static str, String)>,
    },
    /// The daemon changed the container with no event to tell.
    Becomes {
        id: String,
        exit_code: i64,
        error: String,
    },
    /// It ends, and the `die` that tells of it comes later.
    Ends {
        id: String,
        exit_code: i64,
    },
    Mark {
        id: String,
        reason: StopReason,
    },
    /// A signal of our own is about to be sent.
    Signal {
        id: String,
        signal: ReloadSignal,
    },
    StreamEnds,
    Resumes(Gap),
    Look {
        id: String,
    },
    Answer {
        id: String,
        answer: Alive,
        stream: u32,
    },
    Held {
        id: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Verdict(String, Verdict),
    Hold(Owner),
    Lift(Owner),
    Forget(String),
}

pub struct Story {
    pub intent: Intent,
    pub diary: Vec<(Ms, Entry)>,
    pub asked: u32,
    turns: BTreeMap<(Ms, u32), Turn>,
    turn: u32,
    now: Ms,
    containers: BTreeMap<String, Container>,
    /// How the daemon answers, and after how long.
    pub alive: (Alive, Ms),
    stream: Option<u32>,
    streams: u32,
}

pub fn time(ms: Ms) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

pub fn owner(id: &str) -> Owner {
    // `web.old` and `web.new` stand for the same replica.
    let service = id.split('.').next().unwrap_or(id);
    Owner { key: Key::new("default", "shop"), replica: ReplicaId::new(service, 1) }
}

pub fn event(ms: Ms, id: &str, action: &str, attribute: Option<(&str, String)>) -> EngineEvent {
    EngineEvent {
        time_nanos: time(ms).as_nanosecond().try_into().unwrap(),
        kind: EventKind::Container,
        action: action.to_owned(),
        id: id.to_owned(),
        attributes: attribute.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

pub fn container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        name: id.to_owned(),
        labels: BTreeMap::new(),
        image_id: String::new(),
        image: String::new(),
        state: ContainerState::Running,
        exit_code: 0,
        oom_killed: false,
        error: String::new(),
        stop_signal: None,
        created_at: None,
        started_at: Some(time(-60_000)),
        finished_at: None,
        health: None,
        restart_policy: DockerRestart::No,
        restart_count: 0,
        networks: BTreeMap::new(),
        network_mode: String::new(),
        namespace_parents: vec![],
        mounts: vec![],
        ports: vec![],
    }
}

impl Story {
    /// Containers of ours, all running for a minute; the daemon lives on.
    pub fn of(ids: &[&str]) -> Self {
        Self::going_on(Intent::default(), ids.iter().map(|id| container(id)), Gap::UnknownRun)
    }

    pub fn going_on(intent: Intent, containers: impl IntoIterator<Item = Container>, gap: Gap) -> Self {
        let mut story = Self {
            intent,
            diary: vec![],
            asked: 0,
            turns: BTreeMap::new(),
            turn: 0,
            now: -1,
            containers: containers.into_iter().map(|container| (container.id.clone(), container)).collect(),
            alive: (Alive::Yes, 2),
            stream: Some(0),
            streams: 1,
        };
        let effects = story.intent.resumed(gap, time(-1), time(-1));
        story.carry_out(effects);
        for id in story.containers.keys().cloned().collect::<Vec<_>>() {
            story.take(Turn::Look { id });
        }
        story
    }

    pub fn tell(&mut self, at: Ms, turn: Turn) -> &mut Self {
        self.turn += 1;
        self.turns.insert((at, self.turn), turn);
        self
    }

    pub fn event(&mut self, at: Ms, id: &str, action: &str) -> &mut Self {
        self.tell(at, Turn::Event { id: id.into(), action: action.into(), attribute: None })
    }

    pub fn kill(&mut self, at: Ms, id: &str, signal: i32) -> &mut Self {
        self.tell(at, Turn::Event { id: id.into(), action: "kill".into(), attribute: Some(("signal", signal.to_string())) })
    }

    pub fn die(&mut self, at: Ms, id: &str, code: i64) -> &mut Self {
        self.tell(at, Turn::Event { id: id.into(), action: "die".into(), attribute: Some(("exitCode", code.to_string())) })
    }

    pub fn becomes(&mut self, at: Ms, id: &str, exit_code: i64, error: &str) -> &mut Self {
        self.tell(at, Turn::Becomes { id: id.into(), exit_code, error: error.into() })
    }

    /// Plays on until `end`, and returns the diary.
    pub fn until(&mut self, end: Ms) -> &[(Ms, Entry)] {
        loop {
            let next = self.turns.first_key_value().map(|((at, _), _)| *at);
            let due = self.intent.wake_at().map(|at| at.duration_since(time(0)).as_millis().try_into().unwrap_or(Ms::MAX));
            match (next, due) {
                (Some(at), due) if at <= end && due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    let (_, turn) = self.turns.pop_first().unwrap();
                    self.take(turn);
                }
                (_, Some(due)) if due <= end => {
                    self.now = self.now.max(due);
                    let effects = self.intent.tick(time(self.now));
                    self.carry_out(effects);
                }
                _ => break,
            }
        }
        self.now = end;
        &self.diary
    }

    fn take(&mut self, turn: Turn) {
        let now = time(self.now);
        let effects = match turn {
            Turn::Event { id, action, attribute } if self.stream.is_some() => {
                self.live_through(&id, &action, attribute.as_ref());
                let effects = self.intent.event(&event(self.now, &id, &action, attribute), Some(owner(&id)), now);
                if action == "start" {
                    self.tell(self.now + 3, Turn::Look { id });
                }
                effects
            }
            Turn::Event { id, action, attribute } => {
                self.live_through(&id, &action, attribute.as_ref());
                vec![]
            }
            Turn::Becomes { id, exit_code, error } => {
                let container = self.containers.get_mut(&id).unwrap();
                (container.exit_code, container.error) = (exit_code, error);
                vec![]
            }
            Turn::Ends { id, exit_code } => {
                self.end(&id, exit_code);
                vec![]
            }
            Turn::Mark { id, reason } => {
                self.intent.marked(&id, reason, now);
                vec![]
            }
            Turn::Signal { id, signal } => {
                self.intent.signalling(&id, signal, now);
                vec![]
            }
            Turn::StreamEnds => {
                self.stream = None;
                self.intent.stream_ended(now)
            }
            Turn::Resumes(gap) => {
                self.stream = Some(self.streams);
                self.streams += 1;
                self.intent.resumed(gap, now, now)
            }
            Turn::Look { id } => match self.containers.get(&id).cloned() {
                Some(container) => self.intent.looked(&container, owner(&id), now),
                None => self.intent.vanished(&id, now),
            },
            Turn::Answer { id, answer, stream } => self.intent.alive(&id, answer, self.stream == Some(stream), now),
            Turn::Held { id } => self.intent.held(&id),
        };
        self.carry_out(effects);
    }

    /// What the daemon does to the container as it sends this event.
    fn live_through(&mut self, id: &str, action: &str, attribute: Option<&(&'static str, String)>) {
        let now = time(self.now);
        match action {
            "start" => {
                let container = self.containers.entry(id.to_owned()).or_insert_with(|| container(id));
                (container.state, container.started_at) =
                    (ContainerState::Running, Some(now - jiff::SignedDuration::from_millis(1)));
                container.exit_code = 0;
                container.error.clear();
            }
            "die" if self.containers[id].state != ContainerState::Exited => {
                self.end(id, attribute.unwrap().1.parse().unwrap());
            }
            "destroy" => drop(self.containers.remove(id)),
            _ => {}
        }
    }

    fn end(&mut self, id: &str, exit_code: i64) {
        let container = self.containers.get_mut(id).unwrap();
        (container.state, container.finished_at) = (ContainerState::Exited, Some(time(self.now)));
        container.exit_code = exit_code;
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Decided { container_id, end } => {
                    let last = self.diary.iter().rev().find_map(|(_, entry)| match entry {
                        Entry::Verdict(id, verdict) if *id == container_id => Some(verdict.clone()),
                        Entry::Forget(id) if *id == container_id => Some(Verdict::Pending { until: Timestamp::MIN }),
                        _ => None,
                    });
                    if last.as_ref() != Some(&end.verdict) {
                        self.diary.push((self.now, Entry::Verdict(container_id, end.verdict)));
                    }
                }
                Effect::Forget { container_id } => self.diary.push((self.now, Entry::Forget(container_id))),
                Effect::AskAlive { container_id: id } => {
                    self.asked += 1;
                    let (answer, takes) = self.alive;
                    if let Some(stream) = self.stream {
                        self.tell(self.now + takes, Turn::Answer { id, answer, stream });
                    }
                }
                Effect::Inspect { container_id: id } => drop(self.tell(self.now + 4, Turn::Look { id })),
                Effect::Hold { container_id: id, owner, .. } => {
                    self.diary.push((self.now, Entry::Hold(owner)));
                    self.tell(self.now + 6, Turn::Held { id });
                }
                Effect::Lift { owner, .. } => self.diary.push((self.now, Entry::Lift(owner))),
                Effect::Signalled => {}
            }
        }
    }

    /// The final verdict on a container, and when it was said.
    pub fn verdict(&self, id: &str) -> Option<(Ms, Verdict)> {
        self.diary.iter().rev().find_map(|(at, entry)| match entry {
            Entry::Verdict(of, verdict) if of == id => Some(Some((*at, verdict.clone()))),
            Entry::Forget(of) if of == id => Some(None),
            _ => None,
        })?
    }

    pub fn holds(&self) -> Vec<(Ms, &Owner)> {
        let hold = |(at, entry): &'_ (Ms, Entry)| matches!(entry, Entry::Hold(_)).then_some(*at);
        self.diary
            .iter()
            .filter_map(|one| Some((hold(one)?, if let Entry::Hold(owner) = &one.1 { owner } else { return None })))
            .collect()
    }

    pub fn lifts(&self) -> usize {
        self.diary.iter().filter(|(_, entry)| matches!(entry, Entry::Lift(_))).count()
    }

    /// Whether nothing was said but that it waits.
    pub fn waits(&self, id: &str) -> bool {
        matches!(self.verdict(id), Some((_, Verdict::Pending { .. })))
    }
}
