//! Printing: tables for people, one JSON document for programs, progress on a terminal only.

use std::{
    collections::VecDeque,
    io::{IsTerminal, Write},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub use hallmark::gas::thousands;
use hallmark::stages::{Event, Stage};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use super::INVALID_PROOF;

/// A command's result: lines for people, a document for `--json`.
#[derive(Debug, Default)]
pub struct Report {
    pub text: String,
    pub json: Value,
    /// Whether it is bad news: the command exits with 1.
    pub bad: bool,
    /// Whether two things were compared and are not the same: the command exits with 3.
    pub no_match: bool,
}

impl Report {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, ..Self::default() }
    }
}

/// Where things are printed.
#[derive(Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    progress: bool,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, progress: !json && !quiet && std::io::stderr().is_terminal() }
    }

    /// Print a result. A reader that has gone away is no failure.
    pub fn report(&self, report: &Report) -> ExitCode {
        let text = if self.json {
            serde_json::to_string_pretty(&report.json).unwrap_or_default()
        } else {
            report.text.trim_end().to_string()
        };
        match writeln!(std::io::stdout(), "{text}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                let _ = writeln!(std::io::stderr(), "error: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
            _ if report.no_match => ExitCode::from(INVALID_PROOF),
            _ if report.bad => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }

    /// Print an error.
    pub fn failure(&self, message: &str) {
        if self.json {
            let document = serde_json::to_string_pretty(&json!({ "error": message })).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{document}");
        } else {
            let _ = writeln!(std::io::stderr(), "error: {message}");
        }
    }

    /// A remark for people, on standard error.
    pub fn note(&self, text: &str) {
        if !self.json && !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A line that says what is going on, while it is.
    pub fn step(&self, text: impl Into<String>) -> Step {
        let bar = if self.progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let expected = Arc::new(Mutex::new(Expected::default()));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed}{left})") {
            let expected = expected.clone();
            let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                if let Some(left) = expected.lock().ok().and_then(|expected| expected.left(Instant::now())) {
                    let _ = write!(out, ", about {} left", HumanDuration(left));
                }
            };
            bar.set_style(style.with_key("left", left));
        }
        bar.set_message(text.into());
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { line: Arc::new(Line { bar }), expected }
    }
}

/// How much is to come, and how much of it has been done since when.
#[derive(Debug, Default)]
struct Expected {
    stages: VecDeque<(Stage, f64)>,
    began: Option<Instant>,
    done: f64,
    /// When the last stage ended: the time left is counted from there.
    ended: Option<Instant>,
}

/// A time that is shorter is not worth a word.
const LEAST_LEFT: Duration = Duration::from_secs(2);

impl Expected {
    fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Expect(stages) => {
                *self = Self { stages: stages.iter().copied().collect(), began: Some(now), done: 0.0, ended: None };
            }
            Event::End(stage) if self.stages.front().is_some_and(|(next, _)| next == stage) => {
                self.done += self.stages.pop_front().map_or(0.0, |(_, share)| share);
                self.ended = Some(now);
            }
            Event::End(_) | Event::Begin(_) => {}
        }
    }

    /// The time left, if what has been done says how fast it goes.
    fn left(&self, now: Instant) -> Option<Duration> {
        let (began, ended) = (self.began?, self.ended?);
        let to_come: f64 = self.stages.iter().map(|(_, share)| share).sum();
        let seconds = ended.duration_since(began).as_secs_f64() * to_come / self.done;
        let left = Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(now.duration_since(ended));
        (left >= LEAST_LEFT).then(|| Duration::from_secs(left.as_secs()))
    }
}

/// A running step; its line goes when it and its copies are dropped.
#[derive(Clone, Debug)]
pub struct Step {
    line: Arc<Line>,
    expected: Arc<Mutex<Expected>>,
}

/// A line on the terminal.
#[derive(Debug)]
struct Line {
    bar: ProgressBar,
}

impl Step {
    /// Change the line.
    pub fn set(&self, text: impl Into<String>) {
        self.line.bar.set_message(text.into());
    }

    /// What listens to the stages of the work, so that the line can say how long it will take.
    pub fn listener(&self) -> impl FnMut(Event) + 'static {
        let expected = self.expected.clone();
        move |event| {
            if let Ok(mut expected) = expected.lock() {
                expected.hear(&event, Instant::now());
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Two columns, the first padded; rows without a value are headings.
pub fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        if value.is_empty() { format!("\n{name}\n") } else { format!("  {name:<width$}  {value}\n") }
    };
    rows.iter().map(line).collect()
}

/// How a column of a [`grid`] is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of cells in aligned columns, two spaces apart.
pub fn grid(rows: &[Vec<String>], align: &[Align]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..align.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(align.iter().zip(&widths)).map(|(cell, (align, width))| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_time_taken() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut expected = Expected::default();
        assert_eq!(expected.left(at(0)), None);
        let stages = vec![(Stage::Commitments, 1.0), (Stage::Quotient, 2.0), (Stage::Commitments, 3.0)];
        expected.hear(&Event::Expect(stages), at(0));
        expected.hear(&Event::End(Stage::Transforms), at(5));
        assert_eq!(expected.left(at(5)), None, "nothing of what is counted has ended");
        expected.hear(&Event::End(Stage::Commitments), at(10));
        assert_eq!(expected.left(at(10)), Some(Duration::from_secs(50)));
        assert_eq!(expected.left(at(14)), Some(Duration::from_secs(46)));
        expected.hear(&Event::End(Stage::Quotient), at(15));
        assert_eq!(expected.left(at(15)), Some(Duration::from_secs(15)));
        assert_eq!(expected.left(at(40)), None, "later than expected");
        expected.hear(&Event::End(Stage::Commitments), at(41));
        assert_eq!(expected.left(at(41)), None);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_string(), "1".into(), "x".into()], vec!["éé".into(), "100".into(), String::new()]];
        assert_eq!(grid(&rows, &[Align::Left, Align::Right, Align::Left]), "a     1  x\néé  100\n");
    }
}
