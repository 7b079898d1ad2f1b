//! What the engine tells while it pulls, added up.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;

use crate::model::Progress;

/// What a pull has told so far.
#[derive(Default)]
pub(super) struct Story {
    layers: BTreeMap<String, Layer>,
    digest: Option<String>,
    text: String,
}

#[derive(Default)]
struct Layer {
    bytes: u64,
    total: u64,
    done: bool,
}

impl Story {
    /// Takes in one line.
    pub(super) fn hear(&mut self, line: &CreateImageInfo) {
        let status = line.status.as_deref().unwrap_or_default();
        if let Some(digest) = status.strip_prefix("Digest: ") {
            self.digest = Some(digest.trim().to_owned());
            return;
        }
        let Some(id) = line.id.as_ref().filter(|_| !status.starts_with("Pulling from")) else {
            status.clone_into(&mut self.text);
            return;
        };
        let layer = self.layers.entry(id.clone()).or_default();
        match status {
            "Downloading" => {
                let detail = line.progress_detail.as_ref();
                let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
                layer.bytes = number(detail.and_then(|detail| detail.current)).unwrap_or(layer.bytes);
                layer.total = number(detail.and_then(|detail| detail.total)).unwrap_or(layer.total).max(layer.bytes);
            }
            "Verifying Checksum" | "Download complete" => layer.bytes = layer.total,
            "Pull complete" | "Already exists" => (layer.bytes, layer.done) = (layer.total, true),
            _ => {}
        }
        self.text = format!("{status} {id}");
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        let count = |layers: usize| u64::try_from(layers).unwrap_or(u64::MAX);
        Progress {
            done: count(self.layers.values().filter(|layer| layer.done).count()),
            total: count(self.layers.len()),
            bytes: self.layers.values().map(|layer| layer.bytes).sum(),
            total_bytes: self.layers.values().map(|layer| layer.total).sum(),
            text: self.text.clone(),
        }
    }

    /// The digest that the registry said, once it did.
    pub(super) fn digest(self) -> Option<String> {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Story {
        let mut story = Story::default();
        lines.iter().for_each(|line| story.hear(&serde_json::from_str(line).unwrap()));
        story
    }

    #[test]
    fn layers_and_bytes_are_counted_as_they_come_in() {
        let mut story = told(&[
            r#"{"status":"Pulling from library/web","id":"1.29"}"#,
            r#"{"status":"Already exists","progressDetail":{},"id":"aaa"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bbb"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"ccc"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"bbb"}"#,
        ]);
        let far =
            |done, total, bytes, total_bytes, text: &str| Progress { done, total, bytes, total_bytes, text: text.to_owned() };
        assert_eq!(story.progress(), far(1, 3, 10, 100, "Downloading bbb"));
        for line in [
            r#"{"status":"Download complete","progressDetail":{},"id":"bbb"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":5,"total":100},"id":"bbb"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"bbb"}"#,
        ] {
            story.hear(&serde_json::from_str(line).unwrap());
        }
        assert_eq!(story.progress(), far(2, 3, 100, 100, "Pull complete bbb"));
    }

    #[test]
    fn the_digest_is_the_one_that_the_registry_said() {
        let story = told(&[r#"{"status":"Digest: sha256:00ff"}"#, r#"{"status":"Status: Image is up to date for web:1"}"#]);
        assert_eq!(story.progress().text, "Status: Image is up to date for web:1");
        assert_eq!(story.digest().as_deref(), Some("sha256:00ff"));
    }
}
