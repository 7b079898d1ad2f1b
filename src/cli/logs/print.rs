//! Lines with the replica they are of, as `docker compose logs` shows them.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::line::Line;
use crate::cli::failure::Failure;
use crate::cli::output::{Look, print_bytes};
use crate::model::ReplicaId;

/// Colours of replicas, one after another; red is left to what is wrong.
const COLORS: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightYellow,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// Writes lines to stdout.
pub struct Printer {
    look: Look,
    prefix: bool,
    timestamps: bool,
    width: usize,
    colors: BTreeMap<ReplicaId, AnsiColor>,
}

impl Printer {
    /// For these replicas, and those that are met later.
    pub fn new(look: Look, replicas: &[ReplicaId], prefix: bool, timestamps: bool) -> Self {
        let mut printer = Self { look, prefix, timestamps, width: 0, colors: BTreeMap::new() };
        replicas.iter().for_each(|id| printer.meet(id));
        printer
    }

    /// Gives a replica its colour, and its name room.
    pub fn meet(&mut self, id: &ReplicaId) {
        let next = COLORS[self.colors.len() % COLORS.len()];
        self.colors.entry(id.clone()).or_insert(next);
        self.width = self.width.max(id.to_string().len());
    }

    /// Writes one line.
    pub fn print(&self, id: &ReplicaId, line: &Line) -> Result<(), Failure> {
        print_bytes(&self.render(id, line))
    }

    fn render(&self, id: &ReplicaId, line: &Line) -> Vec<u8> {
        let mut out = vec![];
        if self.prefix {
            let name = format!("{:<width$} |", id.to_string(), width = self.width);
            let color = self.colors.get(id).copied().unwrap_or(COLORS[0]);
            out.extend_from_slice(self.look.paint(Style::new().fg_color(Some(color.into())), &name).as_bytes());
            out.push(b' ');
        }
        if let Some(at) = line.at.filter(|_| self.timestamps) {
            out.extend_from_slice(format!("{at:.9} ").as_bytes());
        }
        out.extend_from_slice(&line.text);
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_aligned_and_coloured() {
        let (app, worker) = (ReplicaId::new("app", 1), ReplicaId::new("worker", 12));
        let look = Look { color: false, width: None, now: jiff::Timestamp::UNIX_EPOCH };
        let line = Line { at: Some(jiff::Timestamp::UNIX_EPOCH), text: b"hello \xff".to_vec() };
        let shown = |printer: &Printer, id| String::from_utf8_lossy(&printer.render(id, &line)).into_owned();
        let plain = Printer::new(look, &[app.clone(), worker.clone()], true, false);
        assert_eq!(shown(&plain, &app), "app-1     | hello \u{fffd}\n");
        let stamped = Printer::new(look, std::slice::from_ref(&app), false, true);
        assert_eq!(shown(&stamped, &app), "1970-01-01T00:00:00.000000000Z hello \u{fffd}\n");
        let coloured = Printer::new(Look { color: true, ..look }, &[app.clone(), worker.clone()], true, false);
        assert_eq!(shown(&coloured, &worker), "\u{1b}[33mworker-12 |\u{1b}[0m hello \u{fffd}\n");
    }
}
