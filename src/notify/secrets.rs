//! Secrets: read when they are used, and masked in all that is said of what they were used for.

use crate::crd::SecretFrom;

/// Longest that a secret may be.
const LONGEST: u64 = 64 << 10;
/// Parts of an address that are shorter than this are no secret: `api`, `v1`, `hook`.
const SHORTEST_PART: usize = 6;
/// What stands in the place of a secret.
const MASK: &str = "***";

/// The secrets that one attempt used.
#[derive(Default)]
pub struct Secrets {
    known: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.known.len())
    }
}

impl Secrets {
    /// Reads one.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is empty: where it was looked for, and why.
    pub fn read(&mut self, from: &SecretFrom) -> Result<String, String> {
        let (text, place) = match (&from.file, &from.env) {
            (Some(file), _) => {
                let place = format!("the file {}", file.display());
                let metadata = std::fs::metadata(file).map_err(|error| format!("cannot read {place}: {error}"))?;
                if !metadata.is_file() || metadata.len() > LONGEST {
                    return Err(format!("cannot use {place}: it is no file, or longer than {} KiB", LONGEST >> 10));
                }
                let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {place}: {error}"))?;
                (text, place)
            }
            (None, Some(name)) => {
                let text = std::env::var(name).map_err(|_| format!("the operator's environment has no {name}"))?;
                (text, format!("the variable {name}"))
            }
            (None, None) => return Err("neither a file nor a variable is named".to_owned()),
        };
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if text.is_empty() {
            return Err(format!("{place} is empty"));
        }
        self.hide(&text);
        Ok(text)
    }

    /// Remembers a secret, and of an address its parts behind the host.
    pub fn hide(&mut self, secret: &str) {
        self.known.push(secret.to_owned());
        if let Some((_, rest)) = secret.split_once("://") {
            let behind_host = rest.split_once('/').map_or("", |(_, path)| path);
            let parts = behind_host.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST_PART);
            self.known.push(behind_host.to_owned());
            self.known.extend(parts.map(str::to_owned));
            if let Some((credentials, _)) = rest.split(['/', '?']).next().and_then(|host| host.rsplit_once('@')) {
                self.known.push(credentials.to_owned());
            }
        }
        self.known.retain(|known| !known.is_empty());
        self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
        self.known.dedup();
    }

    /// A text without them.
    pub fn mask(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_and_masked_with_all_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "https://bot:pass@hooks.example/services/T0000000/B0000000?token=abcdef\n").unwrap();
        let mut secrets = Secrets::default();
        let url = secrets.read(&SecretFrom { file: Some(file.clone()), env: None }).unwrap();
        assert!(url.ends_with("abcdef"));
        let said = secrets.mask("POST /services/T0000000/B0000000?token=abcdef: no B0000000 for abcdef, bot:pass, hooks.example");
        for part in ["T0000000", "B0000000", "abcdef", "bot:pass"] {
            assert!(!said.contains(part), "{said}");
        }
        assert!(said.contains("hooks.example"));
        assert!(!format!("{secrets:?}").contains("abcdef"));
        std::fs::write(&file, "\n").unwrap();
        assert!(secrets.read(&SecretFrom { file: Some(file), env: None }).unwrap_err().ends_with("is empty"));
        let missing = SecretFrom { file: None, env: Some("EVENKEEL_NO_SUCH_SECRET".into()) };
        assert!(secrets.read(&missing).unwrap_err().contains("EVENKEEL_NO_SUCH_SECRET"));
    }
}
