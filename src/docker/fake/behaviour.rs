//! What the processes in fake containers do, and how fast the fake engine is.

use std::ops::Range;
use std::time::Duration;

use crate::model::{FailureKind, HealthStatus};

/// What a container's main process does. Looked up at each start: by the container's name, else by its image, else the default
/// (runs for ever, exits with 143 when told to end).
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub(super) start_failure: Option<(FailureKind, String)>,
    pub(super) lives: Vec<Life>,
    pub(super) on_stop_signal: OnSignal,
    pub(super) health: Vec<(Duration, HealthStatus)>,
}

/// One run of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs until it is told to end.
    Forever,
    /// It ends of its own accord.
    Exits {
        /// So long after its start.
        after: Duration,
        /// With this code.
        code: i64,
    },
}

/// What a process does on its stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnSignal {
    Exits { after: Duration, code: i64 },
    Ignores,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::forever()
    }
}

impl Behaviour {
    /// Runs for ever; exits with 143 30 ms after its stop signal.
    pub fn forever() -> Self {
        Self::lives(vec![Life::Forever])
    }

    /// Ends each run of its own accord.
    pub fn exits(after: Duration, code: i64) -> Self {
        Self::lives(vec![Life::Exits { after, code }])
    }

    /// A life for each run, by the container's own count; the last one is also that of all later runs.
    pub fn lives(lives: Vec<Life>) -> Self {
        let on_stop_signal = OnSignal::Exits { after: Duration::from_millis(30), code: 143 };
        Self { start_failure: None, lives, on_stop_signal, health: vec![] }
    }

    /// Cannot be started: fails with this kind and the engine's words.
    pub fn cannot_start(kind: FailureKind, says: &str) -> Self {
        Self { start_failure: Some((kind, says.to_owned())), ..Self::forever() }
    }

    /// Does not react to its stop signal: only KILL ends it.
    #[must_use]
    pub fn ignoring_stop(self) -> Self {
        Self { on_stop_signal: OnSignal::Ignores, ..self }
    }

    /// Ends so long after its stop signal, with this code.
    #[must_use]
    pub fn stopping(self, after: Duration, code: i64) -> Self {
        Self { on_stop_signal: OnSignal::Exits { after, code }, ..self }
    }

    /// Has a probe: its verdicts, each so long after the start. `starting` before the first.
    #[must_use]
    pub fn with_health(self, verdicts: &[(Duration, HealthStatus)]) -> Self {
        Self { health: verdicts.to_vec(), ..self }
    }

    /// The life of the `run`-th run, from 1.
    pub(super) fn life(&self, run: u32) -> Life {
        let index = usize::try_from(run).unwrap_or(usize::MAX).saturating_sub(1);
        self.lives.get(index).or(self.lives.last()).copied().unwrap_or(Life::Forever)
    }
}

/// How long the fake engine takes.
#[derive(Debug, Clone)]
pub struct Pace {
    /// A list or an inspect.
    pub look: Duration,
    /// A create.
    pub create: Duration,
    /// A start.
    pub start: Duration,
    /// A removal.
    pub remove: Duration,
    /// Any small change.
    pub change: Duration,
    /// A pull.
    pub pull: Duration,
    /// A build.
    pub build: Duration,
    /// From a KILL to `die`.
    pub kill: Duration,
    /// From `die` to `stop`, within this range.
    pub settle: Range<Duration>,
}

impl Pace {
    /// As measured on an idle Docker 20.10.
    pub fn measured() -> Self {
        let ms = Duration::from_millis;
        Self {
            look: ms(2),
            create: ms(15),
            start: ms(300),
            remove: ms(60),
            change: ms(20),
            pull: ms(1000),
            build: ms(3000),
            kill: ms(35),
            settle: ms(48)..ms(108),
        }
    }

    /// As fast as it goes: for benches of what is above the engine.
    pub fn instant() -> Self {
        let zero = Duration::ZERO;
        Self {
            look: zero,
            create: zero,
            start: zero,
            remove: zero,
            change: zero,
            pull: zero,
            build: zero,
            kill: zero,
            settle: zero..zero,
        }
    }
}

/// A small deterministic source of chance (SplitMix64).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 64 hexadecimal digits, as the engine's ids.
    pub(super) fn id(&mut self) -> String {
        (0..4).map(|_| format!("{:016x}", self.next())).collect()
    }

    /// A time within the range, in whole milliseconds.
    pub(super) fn within(&mut self, range: &Range<Duration>) -> Duration {
        let width = u64::try_from(range.end.saturating_sub(range.start).as_millis()).unwrap_or(0);
        if width == 0 { range.start } else { range.start + Duration::from_millis(self.next() % width) }
    }
}
