//! What is remembered of Deployments, containers and the engine.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::row::{self, END, MESSAGE, SEEN};
use super::{Result, Store, StoreError};
use crate::model::{End, EngineRun, EventCursor, History, Key, Memory};

impl Store {
    /// The record of a Deployment; an empty one if there is none, or none that can be read.
    pub fn history(&self, key: &Key) -> Result<History> {
        let history = self.read_text(&row::history(key)).unwrap_or_else(|error| {
            // Back-off counters start over; a Deployment that nobody looks after would be worse.
            tracing::warn!(%error, deployment = %key, "its history cannot be read and starts over");
            None
        });
        Ok(history.unwrap_or_default())
    }

    /// Writes it, unless it is what is stored already.
    ///
    /// Survives a SIGKILL from then on. Where sled cannot be written this says so with [`StoreError::Io`]; the history is
    /// then known to this process all the same, and written when sled is back.
    pub async fn put_history(&self, key: &Key, history: History) -> Result<()> {
        self.write_text(row::history(key), Some(&history), true).await
    }

    /// What must never be lost of a Deployment (journaled).
    pub fn memory(&self, key: &Key) -> Result<Memory> {
        self.read_text(&row::memory(key)).map(Option::unwrap_or_default)
    }

    /// Writes it to the journal, unless it is what is stored already.
    pub async fn put_memory(&self, key: &Key, memory: Memory) -> Result<()> {
        self.write_text(row::memory(key), Some(&memory), false).await
    }

    /// Forgets history and memory of a Deployment that is gone.
    pub async fn forget(&self, key: &Key) -> Result<()> {
        let (history, memory) = (row::history(key), row::memory(key));
        self.write(move |batch| {
            batch.set_text(history, None, true);
            batch.set_text(memory, None, false);
            Ok(())
        })
        .await
    }

    /// All recorded ends of containers, by container id.
    pub fn ends(&self) -> Result<Vec<(String, End)>> {
        let state = super::read(&self.inner.state);
        let ends = state.texts(END).map(|(name, text)| Ok((name[END.len()..].to_owned(), parse(name, text)?)));
        ends.collect()
    }

    /// Writes (`Some`) or forgets (`None`) the end of a container's run. Survives a SIGKILL from then on, or fails as
    /// [`Store::put_history`] does.
    pub async fn put_end(&self, container_id: &str, end: Option<End>) -> Result<()> {
        self.write_text(row::end(container_id), end.as_ref(), true).await
    }

    /// The last engine event that needs no second look, and the engine run it was seen on.
    pub fn engine_seen(&self) -> Result<(Option<EventCursor>, Option<EngineRun>)> {
        Ok(self.read_text::<(Option<EventCursor>, EngineRun)>(SEEN)?.map_or((None, None), |(cursor, run)| (cursor, Some(run))))
    }

    /// Writes it. Not flushed: losing the last ones costs a replay.
    pub async fn put_engine_seen(&self, cursor: Option<EventCursor>, run: EngineRun) -> Result<()> {
        self.write_text(SEEN.into(), Some(&(cursor, run)), false).await
    }

    /// A text that names what is stored under a small key of its own (journaled), e.g. the boot episode.
    pub fn note(&self, name: &str) -> Result<Option<Value>> {
        self.read_text(&row::note(name))
    }

    /// Writes (`Some`) or forgets (`None`) it.
    pub async fn put_note(&self, name: &str, value: Option<Value>) -> Result<()> {
        self.write_text(row::note(name), value.as_ref(), false).await
    }

    /// All messages that wait for their delivery, by id.
    pub fn messages<T: DeserializeOwned>(&self) -> Vec<(String, Result<T>)> {
        let state = super::read(&self.inner.state);
        state.texts(MESSAGE).map(|(name, text)| (name[MESSAGE.len()..].to_owned(), parse(name, text))).collect()
    }

    /// Writes (`Some`) or forgets (`None`) a message that waits for its delivery (journaled).
    pub async fn put_message<T: Serialize>(&self, id: &str, message: Option<&T>) -> Result<()> {
        self.write_text(row::message(id), message, false).await
    }

    fn read_text<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let text = super::read(&self.inner.state).text(name).cloned();
        text.map(|text| parse(name, &text)).transpose()
    }

    async fn write_text<T: Serialize>(&self, name: String, value: Option<&T>, durable: bool) -> Result<()> {
        let text = value.map(serde_json::to_string).transpose();
        let text = text.map_err(|error| StoreError::Corrupt(format!("row {name} cannot be written: {error}")))?;
        self.write(move |batch| {
            batch.set_text(name, text.map(Into::into), durable);
            Ok(())
        })
        .await
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("row {name} cannot be read: {error}")))
}
