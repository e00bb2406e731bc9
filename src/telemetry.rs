//! What the program says of itself on stderr: a line per event, in words or as JSON.
//!
//! Both forms are written here rather than by `tracing-subscriber`'s own formatters: those let a line feed in a field break
//! the line, and a file's name is whatever a partner's server says it is. Every character that could move a cursor, end a
//! line or turn the writing round is escaped, in either form. Spans are not shown; events carry their fields themselves.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use crate::hidden::is_hidden;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use crate::hidden::escaped;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Libraries that log what may hold a secret (an URL's query), or what is told better by whoever called them.
const SILENT: [&str; 4] = ["ureq", "ureq_proto", "rustls", "rustls_platform_verifier"];

/// Starts logging to stderr, from `filter` on up (`info`, or `feedgate=debug,warn`). Without a format it is text on a
/// terminal and JSON elsewhere. Called once, by whatever owns the process.
pub fn start(format: Option<LogFormat>, filter: &str) -> anyhow::Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let mut filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("reading the log level `{}`: {error}", escaped(filter)))?;
    for library in SILENT {
        filter = filter.add_directive(format!("{library}=off").parse()?);
    }
    // https://no-color.org: any value that is not empty.
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = Lines {
        format,
        colour: is_terminal && wants_colour,
        write: to_stderr()?,
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}

/// Lines that wait for somebody to read stderr. Beyond that they are dropped: a log that nobody takes must not hold up what
/// it tells of. The import status log has every outcome all the same.
const LINES_WAITING_MAX: usize = 8_192;

/// How long the program's end waits for stderr to take what is left.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What goes to the thread that writes.
enum Note {
    Line(String),
    /// Everything before this is written.
    Written(SyncSender<()>),
}

static WRITER: OnceLock<SyncSender<Note>> = OnceLock::new();

/// A writer to stderr that never waits for whoever reads it.
fn to_stderr() -> anyhow::Result<impl Fn(&str)> {
    let (notes, taken) = mpsc::sync_channel::<Note>(LINES_WAITING_MAX);
    std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        for note in taken {
            match note {
                // With stderr closed there is nobody to tell.
                Note::Line(line) => drop(io::stderr().lock().write_all(line.as_bytes())),
                Note::Written(answer) => drop(answer.send(())),
            }
        }
    })?;
    WRITER.set(notes.clone()).ok();
    Ok(move |line: &str| drop(notes.try_send(Note::Line(line.to_owned()))))
}

/// Waits a moment for what was said to be written: for the end of the program.
pub fn last_words() {
    let Some(writer) = WRITER.get() else { return };
    let (answer, answered) = mpsc::sync_channel(1);
    if writer.try_send(Note::Written(answer)).is_ok() {
        answered.recv_timeout(LAST_WORDS).ok();
    }
}

/// Writes each event as one line, in one piece.
struct Lines<W> {
    format: LogFormat,
    colour: bool,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let level = *event.metadata().level();
        let line = match self.format {
            LogFormat::Text => text_line(&time, level, self.colour, &fields),
            LogFormat::Json => json_line(&time, level, event.metadata().target(), &fields),
        };
        (self.write)(&line);
    }
}

/// What an event says: its message, and its fields in the order given.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: serde_json::Value) {
        match (field.name(), value) {
            ("message", serde_json::Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.take(field, crate::cli::chain(value).into());
    }
}

fn text_line(time: &str, level: Level, colour: bool, fields: &Fields) -> String {
    let (on, off) = match level {
        _ if !colour => ("", ""),
        Level::ERROR => ("\x1b[31m", "\x1b[0m"),
        Level::WARN => ("\x1b[33m", "\x1b[0m"),
        _ => ("\x1b[2m", "\x1b[0m"),
    };
    let mut line = format!("{time} {on}{:5}{off} {}", level.as_str(), escaped(&fields.message));
    for (name, value) in &fields.others {
        let value = match value {
            serde_json::Value::String(text) => worded(text),
            other => other.to_string(),
        };
        write!(line, " {name}={value}").ok();
    }
    line.push('\n');
    line
}

/// A value in a line of words: in quotes where it would otherwise run into the next.
fn worded(text: &str) -> String {
    if text.is_empty() || text.contains([' ', '"', '=']) {
        return format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    escaped(text)
}

fn json_line(time: &str, level: Level, target: &str, fields: &Fields) -> String {
    let mut object = serde_json::Map::new();
    object.insert("at".to_owned(), time.into());
    object.insert("level".to_owned(), level.as_str().to_lowercase().into());
    object.insert("message".to_owned(), fields.message.as_str().into());
    for (name, value) in &fields.others {
        object.insert((*name).to_owned(), value.clone());
    }
    object.insert("target".to_owned(), target.into());
    let mut line = json_escaped(&serde_json::Value::Object(object).to_string());
    line.push('\n');
    line
}

/// JSON in which what serde_json leaves alone is escaped as well: it lets DEL, C1 and the marks of direction through.
/// Outside of strings JSON has none of these characters, so that they can be replaced wherever they are.
pub fn json_escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_hidden(letter) && letter != '\n' {
            // JSON escapes what lies beyond 16 bits by halves.
            for half in letter.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{half:04x}").ok();
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What somebody may call a file.
    const HOSTILE: &str = "a\nb\r\x1b[2J\x07\x08\x7f\u{9b}31m\u{2028}\u{202e}piz.\0\t\"quoted\"";

    /// The lines that `say` comes to.
    fn said(format: LogFormat, colour: bool, say: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let sink = lines.clone();
        let layer = Lines {
            format,
            colour,
            write: move |line: &str| sink.lock().unwrap().push_str(line),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn escaped_json_says_the_same() {
        let text = format!("{HOSTILE} \u{61c}\u{e0041}😀");
        let json = serde_json::Value::from(&*text).to_string();
        let escaped = json_escaped(&json);
        assert!(!escaped.contains(is_hidden), "{escaped:?}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }

    #[test]
    fn a_line_is_one_line_whatever_it_tells_of() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = said(format, false, || {
                let error = io::Error::other(HOSTILE);
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(display = %HOSTILE, debug = ?HOSTILE, plain = HOSTILE, error, "trouble with {HOSTILE}");
            });
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.contains(is_hidden), "{format:?}: {body:?}");
            assert!(body.contains("piz."));
        }
    }

    #[test]
    fn json_says_what_was_said() {
        let line = said(LogFormat::Json, false, || {
            tracing::info!(
                archive = HOSTILE,
                entries = 3u64,
                ok = true,
                elapsed = 0.5,
                "imported {}",
                HOSTILE
            );
        });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["archive"], HOSTILE);
        assert_eq!(value["message"], format!("imported {HOSTILE}"));
        assert_eq!(value["level"], "info");
        assert_eq!(
            (&value["entries"], &value["ok"], &value["elapsed"]),
            (&3.into(), &true.into(), &0.5.into())
        );
    }

    #[test]
    fn words_are_kept_apart() {
        let line = said(LogFormat::Text, false, || {
            tracing::warn!(
                archive = "a b",
                empty = "",
                path = "c/d",
                quote = "say \"hi\\\"",
                n = 3,
                "left where it is"
            );
        });
        let (_, rest) = line.split_once(' ').unwrap();
        assert_eq!(
            rest,
            "WARN  left where it is archive=\"a b\" empty=\"\" path=c/d quote=\"say \\\"hi\\\\\\\"\" n=3\n"
        );
    }

    #[test]
    fn colours_are_for_terminals() {
        let say = || tracing::error!("x");
        assert!(said(LogFormat::Text, true, say).contains("\x1b[31mERROR\x1b[0m x"));
        assert!(!said(LogFormat::Text, false, say).contains('\x1b'));
    }
}
