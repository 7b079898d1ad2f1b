//! What a builder says while it builds: its steps, their output, the image's id or what went wrong.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use serde::Deserialize;

use super::mask::Mask;
use super::proto::StatusResponse;
use crate::model::Progress;

/// Lines that are kept for people when a build fails.
const KEPT_LINES: usize = 20;

/// Characters of such a line that are kept.
const KEPT_WIDTH: usize = 200;

/// Longest line of the stream that is read; the builder's own are far below.
const LONGEST: usize = 4 * 1024 * 1024;

/// Reads the stream of one build.
pub(super) struct Output {
    mask: Mask,
    buffer: Vec<u8>,
    last_lines: VecDeque<String>,
    /// The line that has not ended yet: builders break lines where they like.
    open_line: String,
    steps: BTreeMap<String, Step>,
    image: Option<String>,
    error: Option<String>,
}

/// One step of a BuildKit build.
#[derive(Default)]
struct Step {
    started: bool,
    completed: bool,
}

/// One message of the stream, as far as it concerns us.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    stream: Option<String>,
    aux: Option<serde_json::Value>,
    error: Option<String>,
}

impl Output {
    pub fn new(mask: Mask) -> Self {
        Self {
            mask,
            buffer: Vec::new(),
            last_lines: VecDeque::new(),
            open_line: String::new(),
            steps: BTreeMap::new(),
            image: None,
            error: None,
        }
    }

    /// Takes in what came; the progress, if it made some.
    pub fn read(&mut self, data: &[u8]) -> Option<Progress> {
        self.buffer.extend_from_slice(data);
        let mut progress = None;
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            progress = self.line(&line).or(progress);
        }
        if self.buffer.len() > LONGEST {
            self.buffer.clear();
        }
        progress
    }

    /// The image's id, or what went wrong, with the last lines of output.
    pub fn result(mut self) -> Result<String, String> {
        let rest = std::mem::take(&mut self.buffer);
        self.line(&rest);
        match (self.error.take(), self.image.take()) {
            (None, Some(image)) => Ok(image),
            (Some(error), _) => Err(self.told(&error)),
            (None, None) => Err(self.told("the builder ended without an image")),
        }
    }

    /// What went wrong, and under it the last lines.
    fn told(&mut self, error: &str) -> String {
        let open = std::mem::take(&mut self.open_line);
        self.keep(&open);
        let mut lines = vec![self.mask.hide(error.trim())];
        lines.extend(self.last_lines.iter().map(|line| format!("  {line}")));
        lines.join("\n")
    }

    fn line(&mut self, line: &[u8]) -> Option<Progress> {
        // A line that is no message of a builder's says nothing that could be acted on.
        let Line { id, stream, aux, error } = serde_json::from_slice(line).ok()?;
        if let Some(error) = error {
            self.error = Some(error);
        }
        if let Some(text) = stream {
            return self.classic(&text);
        }
        match (id.as_deref(), aux) {
            (Some("moby.buildkit.trace"), Some(serde_json::Value::String(trace))) => self.trace(&trace),
            (None | Some("moby.image.id"), Some(aux)) => {
                self.image = aux["ID"].as_str().map(str::to_owned).or(self.image.take());
                None
            }
            _ => None,
        }
    }

    /// Text of the classic builder; its steps are lines like `Step 2/5 : COPY . .`.
    fn classic(&mut self, text: &str) -> Option<Progress> {
        self.text(text);
        let (number, step) = text.strip_prefix("Step ")?.split_once(" : ")?;
        let (number, total) = number.split_once('/')?;
        let (number, total): (u64, u64) = (number.parse().ok()?, total.parse().ok()?);
        let text = self.mask.hide(step.trim());
        Some(Progress { done: number.saturating_sub(1), total, text, ..Progress::default() })
    }

    /// A message of BuildKit's own.
    fn trace(&mut self, text: &str) -> Option<Progress> {
        let status = StatusResponse::decode(STANDARD.decode(text).ok()?.as_slice()).ok()?;
        let mut last = None;
        for vertex in status.vertexes {
            let hidden = vertex.name.starts_with("[internal]");
            let step = self.steps.entry(vertex.digest).or_default();
            let begins = vertex.started.is_some() && !step.started;
            step.started |= vertex.started.is_some();
            step.completed |= vertex.completed.is_some() || vertex.cached;
            if begins && !hidden {
                let name = self.mask.hide(&vertex.name);
                self.keep(&name);
                last = Some(name);
            }
            if !vertex.error.is_empty() && self.error.is_none() {
                self.error = Some(vertex.error);
            }
        }
        for log in status.logs {
            self.text(&String::from_utf8_lossy(&log.text));
        }
        let done = self.steps.values().filter(|step| step.completed).count() as u64;
        last.map(|text| Progress { done, total: self.steps.len() as u64, text, ..Progress::default() })
    }

    /// Output, which may end in the middle of a line.
    fn text(&mut self, text: &str) {
        let mut parts = text.split('\n');
        self.open_line.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let line = std::mem::replace(&mut self.open_line, part.to_owned());
            self.keep(&line);
        }
        if self.open_line.len() > LONGEST {
            self.open_line.clear();
        }
    }

    fn keep(&mut self, line: &str) {
        // What a terminal would show: the last that was written over the line.
        let shown = line.trim_end().rsplit('\r').next().unwrap_or_default();
        let printable: String = without_escapes(&self.mask.hide(shown)).chars().take(KEPT_WIDTH).collect();
        if printable.trim().is_empty() {
            return;
        }
        self.last_lines.push_back(printable);
        if self.last_lines.len() > KEPT_LINES {
            self.last_lines.pop_front();
        }
    }
}

/// Text without colours and other commands to a terminal.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => while chars.next().is_some_and(|char| !char.is_ascii_alphabetic()) {},
            '\t' => plain.push(' '),
            char if char.is_control() => {}
            char => plain.push(char),
        }
    }
    plain
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
