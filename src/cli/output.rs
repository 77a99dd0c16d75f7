//! Printing: tables for people, one JSON document for programs, progress on a terminal only.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

pub use hallmark::gas::thousands;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// A command's result: lines for people, a document for `--json`.
#[derive(Debug, Default)]
pub struct Report {
    pub text: String,
    pub json: Value,
    /// Whether it is bad news: the command exits with 1.
    pub bad: bool,
}

impl Report {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, bad: false }
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
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(text.into());
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { bar }
    }
}

/// A running step; its line goes when it is dropped.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
}

impl Step {
    /// Change the line.
    pub fn set(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }
}

impl Drop for Step {
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
    fn columns_are_aligned() {
        let rows = [vec!["a".to_string(), "1".into(), "x".into()], vec!["éé".into(), "100".into(), String::new()]];
        assert_eq!(grid(&rows, &[Align::Left, Align::Right, Align::Left]), "a     1  x\néé  100\n");
    }
}
