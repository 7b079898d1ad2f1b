//! Asks whether the daemon that sent an event lives on.

use std::time::Duration;

use crate::docker::Alive;

use super::{State, World, WorldChange};

/// The engine promises an answer within a second.
const LIMIT: Duration = Duration::from_secs(2);

/// What the engine said, about the stops of these containers.
pub(super) struct Answer {
    containers: Vec<String>,
    alive: Alive,
    /// The stream of events that was open when it was asked.
    stream: u64,
}

impl World {
    /// Asks for all that wait, one question at a time: each is asked on a connection made after the stop it is about.
    pub(super) fn ask_alive(&self, state: &mut State) {
        let Some(stream) = state.stream else { return };
        let Some(me) = self.me.upgrade().filter(|_| !state.asked && !state.asking.is_empty()) else { return };
        let containers = std::mem::take(&mut state.asking);
        state.asked = true;
        tokio::spawn(async move {
            let alive = tokio::time::timeout(LIMIT, me.engine.alive()).await.unwrap_or(Alive::Unknown);
            // Nobody listens any more: the operator is ending.
            let _ = me.answers.send(Answer { containers, alive, stream });
        });
    }

    /// An answer came, and all events that came before it have been read.
    pub(super) fn answered(&self, answer: Answer) {
        let state = &mut *self.state();
        state.asked = false;
        let open = state.stream == Some(answer.stream);
        if open && answer.alive == Alive::No {
            let why = "the Docker daemon is going down: it does not answer new connections any more".to_owned();
            state.contact.bad(why.clone(), self.clock.now(), self.steady_now());
            state.contact.void();
            state.going_down = true;
            self.tell(WorldChange::Lost { why });
        }
        for id in answer.containers {
            let effects = state.intent.alive(&id, answer.alive, open, self.steady_now());
            self.carry_out(state, effects);
        }
        self.ask_alive(state);
    }
}
