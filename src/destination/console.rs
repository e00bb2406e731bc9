//! A line per event on stdout, for looking.
//!
//! On a terminal the line is for people: time, name, who, from where, and the entry. Elsewhere it is what `feedgate events`
//! prints. Nothing is kept, so what was printed just before a crash is printed again.

use std::io::{self, IsTerminal, Write};

use crate::events::{Batch, Event, push_line, push_utc};
use crate::large;

use super::{Position, Reply, Store};

/// How much is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// A line per event.
pub(super) struct Console<W> {
    out: W,
    for_people: bool,
}

impl Console<io::Stdout> {
    /// On stdout.
    pub(super) fn stdout() -> Console<io::Stdout> {
        let out = io::stdout();
        Console {
            for_people: out.is_terminal(),
            out,
        }
    }
}

impl<W: Write> Console<W> {
    fn print(&mut self, batch: &Batch) -> io::Result<()> {
        let mut lines = Vec::new();
        for event in batch.events() {
            match self.for_people {
                true => push_text(&mut lines, &event),
                false => push_line(&mut lines, &event),
            }
            if lines.len() >= WRITE_BYTES {
                self.out.write_all(&lines)?;
                large::clear(&mut lines);
            }
        }
        self.out.write_all(&lines)?;
        self.out.flush()
    }
}

impl<W: Write + Send> Store for Console<W> {
    fn position(&mut self) -> Result<Position, Reply> {
        Ok(Position::Ledger)
    }

    fn deliver(&mut self, batch: &Batch) -> Reply {
        match self.print(batch) {
            Ok(()) => Reply::Durable(batch.end),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Reply::Barred {
                reason: "printing events: stdout is closed; nobody reads what this destination prints".to_owned(),
            },
            Err(error) => super::of_io("printing events", &error),
        }
    }

    fn flush(&mut self) -> Reply {
        Reply::Held
    }
}

/// `2019-11-18T17:05:00.000Z purchase u-1 ana@example.com/shop acme/event_history_….json.zip#7 {…}`
fn push_text(into: &mut Vec<u8>, event: &Event<'_>) {
    let mut line = String::new();
    push_utc(&mut line, event.at);
    line.push(' ');
    push_printable(&mut line, event.name());
    if let Some(id) = event.user_id {
        line.push(' ');
        push_printable(&mut line, id);
    }
    if let Some(email) = event.email {
        line.push(' ');
        push_printable(&mut line, email);
        line.push('/');
        push_printable(&mut line, event.business_unit.unwrap_or_default());
    }
    line.push(' ');
    push_printable(&mut line, event.source);
    line.push('/');
    push_printable(&mut line, event.archive);
    line.push_str(&format!("#{} ", event.index));
    push_printable(&mut line, event.body);
    line.push('\n');
    into.extend_from_slice(line.as_bytes());
}

/// Control characters could move a terminal's cursor or worse: they are escaped. So are those that reverse the direction of
/// what follows.
fn push_printable(into: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '\n' | '\t' => into.push(' '),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                into.extend(char.escape_unicode())
            }
            char if char.is_control() => into.extend(char.escape_unicode()),
            char => into.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventId;

    fn check(event: &str, user_id: Option<&str>, email: Option<&str>, body: &str, expect: &str) {
        let mut text = Vec::new();
        let event = Event {
            id: EventId {
                key: "00",
                index: 7,
                item: 0,
            },
            import: 1,
            source: "acme",
            archive: "event_history_20191118170500.json.zip",
            index: 7,
            event,
            renamed: None,
            user_id,
            email,
            business_unit: Some("shop"),
            at: 0,
            body,
        };
        push_text(&mut text, &event);
        assert_eq!(String::from_utf8_lossy(&text), expect);
    }

    #[test]
    fn a_line_for_people() {
        let from = "acme/event_history_20191118170500.json.zip#7";
        check(
            "purchase",
            Some("u-1"),
            None,
            "{\n}",
            &format!("1970-01-01T00:00:00.000Z purchase u-1 {from} {{ }}\n"),
        );
        check(
            "a\u{1b}[2Jb",
            None,
            Some("ana@example.com"),
            "{}",
            &format!("1970-01-01T00:00:00.000Z a\\u{{1b}}[2Jb ana@example.com/shop {from} {{}}\n"),
        );
    }

    #[test]
    fn a_reader_that_has_gone_bars_the_destination() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut console = Console {
            out: Gone,
            for_people: false,
        };
        let batch = Batch::nothing_of(crate::events::an_import(), Default::default());
        assert!(matches!(console.deliver(&batch), Reply::Barred { .. }));
    }
}
