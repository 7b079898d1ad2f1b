//! How far pulls and builds are: bars on a terminal, plain lines elsewhere. On stderr, so that what a command answers can be piped.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::output::tell;
use crate::model::Progress;

/// One job of `GET .../progress`.
#[derive(Debug, Deserialize)]
struct Job {
    kind: String,
    subject: String,
    progress: Progress,
    text: String,
}

/// What is shown of the jobs of a deployment. Bars that are left are cleared when this is dropped.
pub(super) struct Bars {
    terminal: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
    /// The line told last of each job, without a terminal.
    told: BTreeMap<String, (u64, u64)>,
}

impl Bars {
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = (io::stderr().is_terminal() && !dumb).then(MultiProgress::new);
        Self { terminal, bars: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// Brings what is shown up to an answer of `GET .../progress`.
    pub fn show(&mut self, answer: &Value) -> Result<(), Failure> {
        let jobs: Vec<Job> =
            Deserialize::deserialize(&answer["jobs"]).context("the operator's answer does not say how far it is")?;
        let jobs: Vec<Job> = jobs.into_iter().filter(|job| job.kind == "pull" || job.kind == "build").collect();
        match self.terminal.clone() {
            Some(terminal) => self.draw(&terminal, &jobs),
            None => jobs.iter().filter_map(|job| self.line(job)).for_each(|line| tell(&line)),
        }
        Ok(())
    }

    fn draw(&mut self, terminal: &MultiProgress, jobs: &[Job]) {
        self.bars.retain(|subject, bar| {
            let runs = jobs.iter().any(|job| job.subject == *subject);
            if !runs {
                bar.finish_and_clear();
            }
            runs
        });
        for job in jobs {
            let bar = self.bars.entry(job.subject.clone()).or_insert_with(|| {
                let bar = terminal.add(ProgressBar::new(1)).with_prefix(job.subject.clone());
                bar.set_style(style());
                bar
            });
            let Progress { done, total, bytes, total_bytes, .. } = job.progress;
            let (far, whole) = if job.kind == "build" { (done, total) } else { (bytes, total_bytes) };
            bar.set_length(whole.max(1));
            bar.set_position(far);
            bar.set_message(job.text.clone());
        }
    }

    /// A line if a layer or a step more is there than was told last.
    fn line(&mut self, job: &Job) -> Option<String> {
        let far = (job.progress.done, job.progress.total);
        let before = self.told.insert(job.subject.clone(), far);
        let doing = if job.kind == "build" { "building" } else { "pulling" };
        (before != Some(far)).then(|| format!("{doing} {}: {}", job.subject, job.text))
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bars.values().for_each(ProgressBar::finish_and_clear);
    }
}

#[expect(clippy::expect_used, reason = "the template is a literal, and a test draws with it")]
fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}").expect("the template is right");
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(done: u64, bytes: u64) -> Value {
        let progress = json!({"done": done, "total": 3, "bytes": bytes, "totalBytes": 10, "text": ""});
        json!({"kind": "pull", "subject": "app:1", "progress": progress, "text": format!("{done} of 3 layers")})
    }

    fn bars(terminal: Option<MultiProgress>) -> Bars {
        Bars { terminal, bars: BTreeMap::new(), told: BTreeMap::new() }
    }

    #[test]
    fn without_a_terminal_a_line_is_told_for_each_layer() {
        let mut bars = bars(None);
        let line = |bars: &mut Bars, value: Value| bars.line(&serde_json::from_value(value).unwrap());
        assert_eq!(line(&mut bars, job(0, 0)).as_deref(), Some("pulling app:1: 0 of 3 layers"));
        assert_eq!(line(&mut bars, job(0, 5)), None);
        assert_eq!(line(&mut bars, job(1, 5)).as_deref(), Some("pulling app:1: 1 of 3 layers"));
    }

    #[test]
    fn a_bar_goes_with_its_job() {
        let mut bars = bars(Some(MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden())));
        bars.show(&json!({"jobs": [job(1, 4), {"kind": "stop", "subject": "c", "progress": {}, "text": ""}]})).unwrap();
        assert_eq!(bars.bars.keys().collect::<Vec<_>>(), ["app:1"]);
        assert_eq!((bars.bars["app:1"].position(), bars.bars["app:1"].length()), (4, Some(10)));
        bars.show(&json!({"jobs": []})).unwrap();
        assert!(bars.bars.is_empty());
        assert!(bars.show(&json!({})).is_err());
    }
}
