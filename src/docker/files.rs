//! Configs and secrets that are no files of the host, as an archive that the engine unpacks into a container.

use tar::{EntryType, Header};

use super::convert::Refusal;
use crate::model::{FileSource, FileSpec};

/// The archive; nothing where there are no files.
///
/// # Errors
/// A variable is not set, or a path is none.
pub(super) fn archive(files: &[FileSpec]) -> Result<Option<Vec<u8>>, Refusal> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let content = content(file)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_size(content.len() as u64);
        let name = file.target.trim_start_matches('/');
        let written = tar.append_data(&mut header, name, content.as_bytes());
        written.map_err(|error| format!("{} cannot be written into the container: {error}", file.target))?;
    }
    tar.into_inner().map(Some).map_err(|error| error.to_string())
}

fn content(file: &FileSpec) -> Result<String, Refusal> {
    match &file.source {
        FileSource::Content(text) => Ok(text.clone()),
        FileSource::Environment(name) => std::env::var(name).map_err(|_| {
            let target = &file.target;
            format!(
                "{target} is made of the variable {name}, which the operator's environment has not: set it there, or give a file"
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn file(target: &str, source: FileSource) -> FileSpec {
        FileSpec { target: target.to_owned(), source, uid: 7, gid: 8, mode: 0o440 }
    }

    #[test]
    fn files_have_their_owner_and_permissions_and_a_missing_variable_is_named() {
        assert_eq!(archive(&[]), Ok(None));
        let bytes = archive(&[file("/etc/app/app.conf", FileSource::Content("a=1".to_owned()))]).unwrap().unwrap();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header().clone();
        assert_eq!(entry.path().unwrap().to_str(), Some("etc/app/app.conf"));
        assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o440, 7, 8));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a=1");
        let missing = archive(&[file("/run/secrets/key", FileSource::Environment("EVENKEEL_NO_SUCH".to_owned()))]);
        assert!(missing.unwrap_err().contains("EVENKEEL_NO_SUCH, which the operator's environment has not"));
    }
}
