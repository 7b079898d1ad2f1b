//! Whose turn it is in a folder of ours.
//!
//! Who stops waiting for a turn ends it at its next `await`; what it handed to a thread goes on, and would write beside the next
//! turn. So both hold the folder: the next turn begins when the last of them has ended, and the thread is told to end soon.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Gate, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

/// The folders of all Sources; clones share it.
#[derive(Clone, Default)]
pub struct Folders(Arc<Mutex<HashMap<PathBuf, Weak<Gate<()>>>>>);

/// The right to write into one folder, until it and all its work are done.
pub struct Turn {
    held: Arc<OwnedMutexGuard<()>>,
    over: CancellationToken,
}

/// Holds a folder for as long as something goes on for it.
pub struct Held(#[expect(dead_code, reason = "that it lives is all it is for")] Arc<OwnedMutexGuard<()>>);

/// Tells work on a thread whether anybody still waits for it.
pub struct Over(CancellationToken);

impl Folders {
    /// Waits until nobody writes there any more.
    pub async fn turn(&self, folder: &Path) -> Turn {
        let held = Arc::new(self.gate(folder).lock_owned().await);
        Turn { held, over: CancellationToken::new() }
    }

    fn gate(&self, folder: &Path) -> Arc<Gate<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        let known = gates.get(folder).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let gate = Arc::default();
            gates.insert(folder.to_owned(), Arc::downgrade(&gate));
            gate
        })
    }
}

impl Turn {
    /// Does work that blocks on a thread, which holds the folder until it has ended, whoever waits.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Over) -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let (held, over) = (Arc::clone(&self.held), Over(self.over.clone()));
        let done = tokio::task::spawn_blocking(move || {
            let _held = held;
            work(&over)
        });
        done.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// For work that is not ended with the turn: the next one begins when it is over.
    pub fn hold(&self) -> Held {
        Held(Arc::clone(&self.held))
    }

    /// Removes a folder with all that is in it; that it is not there is fine.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn remove(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.to_owned();
        self.work(move |_| match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Over {
    /// Ends work that nobody waits for.
    ///
    /// # Errors
    /// Nobody does.
    pub fn check(&self) -> io::Result<()> {
        if self.0.is_cancelled() { Err(io::Error::other("the Source was changed meanwhile")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_next_turn_waits_for_work_that_nobody_waits_for_any_more_which_is_told_to_end() {
        let folders = Folders::default();
        let folder = Path::new("/somewhere");
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let (told, tells) = std::sync::mpsc::channel();
        let first = folders.turn(folder).await;
        let work = async {
            let done = first.work(move |over| {
                let _ = begun.send(());
                let _ = ends.recv();
                let _ = told.send(over.check().is_err());
                Ok(())
            });
            done.await
        };
        tokio::select! {
            _ = work => panic!("it cannot end yet"),
            begun = begins => begun.unwrap(),
        }
        drop(first);
        let mut second = Box::pin(folders.turn(folder));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut second).await.is_err(), "the thread still holds it");
        assert!(tokio::time::timeout(Duration::from_secs(5), folders.turn(Path::new("/elsewhere"))).await.is_ok());
        end.send(()).unwrap();
        let _second = tokio::time::timeout(Duration::from_secs(5), second).await.unwrap();
        assert!(tells.recv().unwrap());
    }
}
