//! One operator per data folder, one per engine and instance.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Result, StoreError};

/// Held as long as it lives; the kernel lets go of it when the process dies, however that happens.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Locks a data folder.
pub(super) fn lock_folder(folder: &Path) -> Result<Lock> {
    let path = folder.join("lock");
    take(&path, 0o600, |holder| {
        format!(
            "data folder {} is in use by {holder}; stop that one, or give this one a folder of its own (--data-dir)",
            folder.display()
        )
    })
}

/// Locks an engine for one instance: two operators with the same instance name on one engine would fight over its containers.
///
/// The lock is a file on this machine, in `/run/lock`, else in `$XDG_RUNTIME_DIR`, else in the folder for temporary files: it
/// does not reach operators on other machines or in containers that have none of these folders in common.
pub fn lock_engine(engine_id: &str, instance: &str) -> Result<Lock> {
    lock_engine_in(&lock_folders(), engine_id, instance)
}

fn lock_engine_in(folders: &[PathBuf], engine_id: &str, instance: &str) -> Result<Lock> {
    let name = format!("evenkeel-{}-{}.lock", file_name(engine_id), file_name(instance));
    let mut last = None;
    for folder in folders {
        let taken = take(&folder.join(&name), 0o644, |holder| {
            format!(
                "this Docker Engine is kept by {holder} for instance {instance:?} already; stop that one, or give this one \
                 a name of its own (--instance)"
            )
        });
        match taken {
            Err(error @ StoreError::Io { .. }) => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| StoreError::Locked("there is no folder to lock the engine in".into())))
}

fn lock_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    [Some("/run/lock".into()), runtime, Some(std::env::temp_dir())]
        .into_iter()
        .flatten()
        .filter(|folder| folder.is_dir())
        .collect()
}

fn take(path: &Path, mode: u32, message: impl Fn(&str) -> String) -> Result<Lock> {
    let failed = |source| StoreError::Io { attempt: format!("lock {}", path.display()), source };
    // One that exists is opened as it is: another user's file in a shared folder may not be opened to create.
    let existing = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
    let create = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(mode).open(path);
    let mut file = existing.or_else(|_| create()).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            // The holder's name is for people; a full disk does not keep it from being the holder.
            let _ = write_holder(&mut file);
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            Err(StoreError::Locked(message(if holder.is_empty() { "another process" } else { holder })))
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}", std::process::id())
}

fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock_folder(folder.path()).unwrap();
        let message = lock_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        assert!(message.contains("--data-dir"), "{message}");
        drop(first);
        lock_folder(folder.path()).unwrap();
    }

    #[test]
    fn an_engine_has_one_operator_per_instance() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("missing"), folder.path().to_owned()];
        let _first = lock_engine_in(&folders, "ABCD:EFGH", "default").unwrap();
        let message = lock_engine_in(&folders, "ABCD:EFGH", "default").unwrap_err().to_string();
        assert!(message.contains("\"default\"") && message.contains(&std::process::id().to_string()), "{message}");
        let _other = lock_engine_in(&folders, "ABCD:EFGH", "other").unwrap();
        let _elsewhere = lock_engine_in(&folders, "IJKL", "default").unwrap();
    }
}
