//! Stdout: results, and nothing else.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::telemetry::{escaped, json_escaped};

/// Whoever read stdout has seen enough, and went away: a good ending.
#[derive(Debug, thiserror::Error)]
#[error("writing the results: nobody reads them any more")]
pub struct Closed;

/// Stdout, buffered. [`Out::done`] must be called in the end: what is still in the buffer could fail to get out.
pub struct Out {
    stdout: BufWriter<StdoutLock<'static>>,
}

impl Out {
    /// Takes stdout.
    #[allow(
        clippy::new_without_default,
        reason = "it takes hold of something; a default should not"
    )]
    pub fn new() -> Out {
        Out {
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
        }
    }

    /// Writes a line of words. What could move the cursor is escaped.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.bytes(escaped(text).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes a text of several lines, each escaped as [`Out::line`] does.
    pub fn lines(&mut self, text: &str) -> anyhow::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// Writes a value as JSON, over several lines.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.bytes(json_escaped(&serde_json::to_string_pretty(value)?).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stdout.write_all(bytes).map_err(lost)
    }

    /// For whoever writes lines by himself, already fit to be shown.
    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// Sends what is still in the buffer.
    pub fn done(mut self) -> anyhow::Result<()> {
        self.stdout.flush().map_err(lost)
    }
}

fn lost(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Closed.into();
    }
    anyhow::Error::new(error).context("writing the results to stdout")
}

/// Rows under headings, each column as wide as its widest cell.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows. A heading that begins with a blank is right-aligned, for numbers.
    pub fn new(headings: &[&'static str]) -> Table {
        Table {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell)).collect());
    }

    /// Writes it.
    pub fn write(&self, out: &mut Out) -> anyhow::Result<()> {
        for line in self.lines() {
            out.line(&line)?;
        }
        Ok(())
    }

    /// Its lines, each fit to be shown.
    pub fn lines(&self) -> Vec<String> {
        let is_number: Vec<bool> = self.headings.iter().map(|heading| heading.starts_with(' ')).collect();
        let headings: Vec<String> = self.headings.iter().map(|heading| heading.trim().to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&headings]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let mut line = String::new();
            for ((cell, width), is_number) in cells.iter().zip(&widths).zip(&is_number) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                match is_number {
                    true => line.push_str(&format!("{cell:>width$}")),
                    false => line.push_str(&format!("{cell:<width$}")),
                }
            }
            line.trim_end().to_owned()
        };
        [&headings].into_iter().chain(&self.rows).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["archive", " entries", "why"]);
        table.row(["a".to_owned(), "1000".to_owned(), String::new()]);
        table.row(["längerer".to_owned(), "7".to_owned(), "two\nlines".to_owned()]);
        let expect = [
            "archive   entries  why",
            "a            1000",
            "längerer        7  two\\nlines",
        ];
        assert_eq!(table.lines(), expect);
    }
}
