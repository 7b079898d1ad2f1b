//! What goes to stdout: tables that fit the terminal and are plain when piped, colours, times as people say them.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};

use super::failure::Failure;
use crate::clock::{Clock, SystemClock};

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Coloring {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Also into pipes and files
    Always,
    /// Not at all
    Never,
}

/// Columns that the last one of a table is to have at least, if it needs them.
const LEAST_LAST: usize = 16;
/// Columns of a table that are no wider never fold.
const NARROW: usize = 12;

/// What this process was told; every command looks the same.
static COLORING: OnceLock<Coloring> = OnceLock::new();

/// Says once, before anything is printed, whether colours are wanted.
pub fn set_coloring(coloring: Coloring) {
    COLORING.get_or_init(|| coloring);
}

/// How text is to look, and at what time.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether colours are shown.
    pub color: bool,
    /// Columns of the terminal; `None`: as wide as needed.
    pub width: Option<u16>,
    /// What ages are counted from.
    pub now: Timestamp,
}

impl Look {
    /// That of this process's stdout.
    pub fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            color: match COLORING.get().copied().unwrap_or_default() {
                Coloring::Always => true,
                Coloring::Never => false,
                Coloring::Auto => terminal && set("NO_COLOR").is_none() && !dumb,
            },
            width: terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0),
            now: SystemClock.now(),
        }
    }

    /// A heading.
    pub fn heading(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// A word in the colour of its meaning.
    pub fn word(&self, text: &str) -> String {
        match Tone::of(text) {
            Some(tone) => self.paint(Style::new().fg_color(Some(tone.ansi().into())), text),
            None => text.to_owned(),
        }
    }

    /// A line that comes in.
    pub fn added(&self, text: &str) -> String {
        self.paint(Style::new().fg_color(Some(AnsiColor::Green.into())), text)
    }

    /// A line that goes.
    pub fn removed(&self, text: &str) -> String {
        self.paint(Style::new().fg_color(Some(AnsiColor::Red.into())), text)
    }

    /// A line that only says where one is.
    pub fn quiet(&self, text: &str) -> String {
        self.paint(Style::new().fg_color(Some(AnsiColor::Cyan.into())), text)
    }

    /// Text in a style.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// `42s`, `5m30s`, `3h`, `12d`: the time since, shortened as it grows.
    pub fn age(&self, since: Option<Timestamp>) -> String {
        since.map_or_else(|| "-".to_owned(), |since| span(self.now.as_second() - since.as_second()))
    }

    /// `in 42s`, or `due` when it has passed.
    pub fn until(&self, then: Timestamp) -> String {
        let seconds = then.as_second() - self.now.as_second();
        if seconds > 0 { format!("in {}", span(seconds)) } else { "due".to_owned() }
    }
}

/// A span of time in at most two units, the smaller one only while it matters.
pub fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match seconds.max(0) {
        s @ 0..120 => format!("{s}s"),
        s @ 120..600 if s % 60 != 0 => format!("{minutes}m{}s", s % 60),
        120..7_200 => format!("{minutes}m"),
        7_200..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        7_200..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

/// What a word says about how things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Busy,
    Bad,
    Quiet,
}

impl Tone {
    fn of(text: &str) -> Option<Self> {
        if text == "exited 0" {
            return Some(Self::Quiet);
        }
        let word = text.split([' ', ',', '(']).next()?;
        Some(match word {
            "Running" | "running" | "True" | "healthy" | "Completed" | "ok" => Self::Good,
            "Progressing" | "Pending" | "starting" | "created" | "restarting" | "Unknown" | "unknown" | "warn" => Self::Busy,
            "Degraded" | "Failed" | "unhealthy" | "dead" | "exited" | "Warning" | "fail" => Self::Bad,
            "Stopped" | "Suspended" | "Paused" | "paused" | "removing" => Self::Quiet,
            _ => return None,
        })
    }

    fn ansi(self) -> AnsiColor {
        match self {
            Self::Good => AnsiColor::Green,
            Self::Busy => AnsiColor::Yellow,
            Self::Bad => AnsiColor::Red,
            Self::Quiet => AnsiColor::Cyan,
        }
    }

    fn cell(self) -> Color {
        match self {
            Self::Good => Color::DarkGreen,
            Self::Busy => Color::DarkYellow,
            Self::Bad => Color::DarkRed,
            Self::Quiet => Color::DarkCyan,
        }
    }
}

/// A table without lines. Its last column takes the room that is left and wraps; the others are as wide as they need. Of a text
/// of several lines, such as the output of a build, it has room for the first.
pub fn table(look: &Look, indent: &str, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    table_of_lines(look, indent, header, rows.into_iter().map(|row| row.into_iter().map(first).collect()).collect())
}

/// The same, with all lines of each text.
pub fn table_of_lines(look: &Look, indent: &str, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let cell = |text: &str| match Tone::of(text).filter(|_| look.color) {
        Some(tone) => Cell::new(text).fg(tone.cell()),
        None => Cell::new(text),
    };
    table.set_header(header.iter().map(Cell::new));
    for row in &rows {
        let texts = row.iter().map(|text| text.lines().map(plain).collect::<Vec<_>>().join("\n"));
        table.add_row(texts.map(|text| cell(if text.is_empty() { "-" } else { &text })));
    }
    let rigid = rigid(look, indent, &widths(header, &rows));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 < header.len() { 3 } else { 0 }));
        if rigid.get(index) == Some(&true) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if look.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    // Below this a table cannot be read, however it is folded.
    if let Some(width) = look.width.filter(|width| *width >= 40) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width - indent.len() as u16);
    }
    table.trim_fmt().lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// Text of containers and of other people in one line, without what would steer the terminal.
pub fn plain(text: &str) -> String {
    let one = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(one).collect()
}

/// How wide the cells of each column are.
fn widths(header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |(index, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let lines = cells.flat_map(|cell| cell.lines()).map(|line| line.chars().count());
        lines.chain([name.len()]).max().unwrap_or_default()
    };
    header.iter().enumerate().map(width).collect()
}

/// Which columns keep their width: all but the last, unless that leaves it too little; then the wide ones give way too.
fn rigid(look: &Look, indent: &str, widths: &[usize]) -> Vec<bool> {
    let Some((last, others)) = widths.split_last() else { return vec![] };
    let taken = indent.len() + others.iter().map(|width| width + 3).sum::<usize>();
    let left = look.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(taken));
    let enough = left >= (*last).min(LEAST_LAST);
    others.iter().map(|width| enough || *width <= NARROW).chain([false]).collect()
}

/// A table that grows: rows that come later stand below the same columns.
#[derive(Debug)]
pub struct Rows {
    widths: Vec<usize>,
}

impl Rows {
    /// The table so far, and what further rows need.
    pub fn begin(look: &Look, header: &[&str], rows: Vec<Vec<String>>) -> (Self, String) {
        (Self { widths: widths(header, &rows) }, table(look, "", header, rows))
    }

    /// Further rows. A cell that is wider than its column pushes the rest aside.
    pub fn further(&self, look: &Look, rows: &[Vec<String>]) -> String {
        let line = |row: &Vec<String>| {
            let last = row.len().saturating_sub(1);
            let cells = row.iter().zip(&self.widths).enumerate().map(|(index, (cell, width))| {
                let cell = if cell.is_empty() { "-" } else { cell };
                let space = if index == last { 0 } else { width.saturating_sub(cell.chars().count()) + 3 };
                format!("{}{}", look.word(cell), " ".repeat(space))
            });
            cells.collect::<String>() + "\n"
        };
        rows.iter().map(line).collect()
    }
}

/// Writes to stdout. A reader that has had enough is no failure of ours.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Waits until nobody reads our stdout any more. Without it, one who only waits would notice at the next line it writes.
pub async fn reader_gone() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Its poll cannot be given up, so it has a thread of its own, which ends with the process.
    std::thread::spawn(move || {
        let stdout = io::stdout();
        // An error is always told, asked for or not.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut fds, None).is_err() {}
        let _ = sender.send(());
    });
    if receiver.await.is_err() {
        std::future::pending().await
    }
}

/// As [`print`], for what may be no text.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Other(anyhow::Error::new(error).context("cannot write to stdout")),
    })
}

/// Writes a line to stderr, if anybody listens.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { color: false, width: None, now: Timestamp::UNIX_EPOCH };

    #[test]
    fn what_others_wrote_steers_no_terminal() {
        let text = table(&PLAIN, "", &["MESSAGE"], vec![vec!["\u{1b}[2Jowned\u{7}".to_owned()]]);
        assert!(text.contains("[2Jowned") && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }

    #[test]
    fn lines_of_others_are_told_in_one() {
        assert_eq!(plain("step 1\n\tfailed\u{1b}"), "step 1  failed\u{fffd}");
    }

    #[test]
    fn ages_lose_detail_as_they_grow() {
        for (seconds, text) in [
            (-3, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (3_599, "59m"),
            (7_260, "2h1m"),
            (7_200, "2h"),
            (90_000, "25h"),
            (864_000, "10d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_table_is_plain_and_unfolded_when_piped() {
        let long = "word ".repeat(60);
        let text = table(&PLAIN, "", &["NAME", "PHASE", "MESSAGE"], vec![vec!["web".into(), "Running".into(), long.clone()]]);
        assert_eq!(text, format!("NAME   PHASE     MESSAGE\nweb    Running   {}\n", long.trim_end()));
    }

    #[test]
    fn a_table_folds_its_last_column_to_the_terminal() {
        let look = Look { width: Some(60), ..PLAIN };
        let rows = vec![vec!["a-rather-long-name".into(), "Degraded".into(), "many words that do not fit into one line".into()]];
        let text = table(&look, "  ", &["NAME", "PHASE", "MESSAGE"], rows);
        assert!(text.lines().all(|line| line.len() <= 60), "{text}");
        assert!(text.contains("a-rather-long-name   Degraded   many"), "{text}");
        assert!(text.lines().count() > 2);
    }

    #[test]
    fn wide_columns_give_way_where_the_last_one_would_get_no_room() {
        let look = Look { width: Some(60), ..PLAIN };
        let rows =
            vec![vec!["web".into(), "registry.example/some/image:1".into(), "folder/web.yaml:1".into(), "not ready yet".into()]];
        let text = table(&look, "", &["NAME", "IMAGE", "SOURCE", "WHY"], rows);
        assert!(text.lines().all(|line| line.chars().count() <= 60) && text.contains("WHY\n"), "{text}");
    }

    #[test]
    fn rows_that_come_later_stand_below_the_first_ones() {
        let row = |name: &str, phase: &str| vec![name.to_owned(), phase.to_owned(), String::new()];
        let (rows, text) = Rows::begin(&PLAIN, &["NAME", "PHASE", "WHY"], vec![row("web", "Running")]);
        assert_eq!(text, "NAME   PHASE     WHY\nweb    Running   -\n");
        assert_eq!(rows.further(&PLAIN, &[row("a", "Failed"), row("longer", "x")]), "a      Failed    -\nlonger   x         -\n");
    }

    #[test]
    fn words_are_coloured_by_meaning_only_where_colours_are_wanted() {
        let look = Look { color: true, ..PLAIN };
        assert!(look.word("Degraded").contains("\u{1b}["));
        assert_eq!(look.word("web"), "web");
        assert_eq!(PLAIN.word("Degraded"), "Degraded");
        assert!(table(&look, "", &["PHASE"], vec![vec!["Failed".into()]]).contains("\u{1b}["));
    }
}
