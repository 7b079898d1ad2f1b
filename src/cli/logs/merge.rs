//! What several logs hold already, in the order of time.

use std::collections::BTreeMap;

use super::line::{Line, Lines, Mark};
use crate::cli::failure::Failure;
use crate::model::ReplicaId;

/// Logs that are read to their ends, the oldest line first. One line of each is held, never a whole log.
pub struct Merge {
    sources: Vec<Source>,
    silent: bool,
}

struct Source {
    id: ReplicaId,
    lines: Option<Lines>,
    head: Option<Line>,
    mark: Mark,
}

impl Merge {
    /// `silent`: only how far they go is of interest.
    pub fn new(sources: Vec<(ReplicaId, Option<Lines>)>, silent: bool) -> Self {
        let source = |(id, lines)| Source { id, lines, head: None, mark: Mark::default() };
        Self { sources: sources.into_iter().map(source).collect(), silent }
    }

    /// The oldest line that is left, and whose it is.
    pub async fn next(&mut self) -> Result<Option<(ReplicaId, Line)>, Failure> {
        loop {
            for source in &mut self.sources {
                source.fill().await?;
            }
            let ready = self.sources.iter_mut().filter(|source| source.head.is_some());
            // What bears no time belongs to the line before it, so it goes first.
            let Some(oldest) = ready.min_by_key(|source| source.head.as_ref().and_then(|line| line.at)) else { return Ok(None) };
            let Some(line) = oldest.head.take() else { return Ok(None) };
            oldest.mark.passes(&line);
            if !self.silent {
                return Ok(Some((oldest.id.clone(), line)));
            }
        }
    }

    /// How far each log was read.
    pub fn marks(&self) -> BTreeMap<ReplicaId, Mark> {
        self.sources.iter().map(|source| (source.id.clone(), source.mark)).collect()
    }
}

impl Source {
    async fn fill(&mut self) -> Result<(), Failure> {
        let Some(lines) = self.lines.as_mut().filter(|_| self.head.is_none()) else { return Ok(()) };
        self.head = lines.next().await?;
        if self.head.is_none() {
            self.lines = None;
        }
        Ok(())
    }
}
