//! What was said, by level and message, on the thread of a test.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Listens as long as it lives. The delivery must run on the same thread: in `#[tokio::test]` it does.
pub(super) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _listening: DefaultGuard,
}

impl Log {
    pub(super) fn listen() -> Log {
        // Where one thread listens and no other does, `tracing` asks whichever thread logs a line first whether anybody wants
        // it, and takes that for all: so every thread has somebody who does.
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).ok();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
        Log {
            lines,
            _listening: tracing::subscriber::set_default(subscriber),
        }
    }

    /// `WARN destination is unavailable` and so on, in order; nothing below `INFO`.
    pub(super) fn said(&self) -> Vec<String> {
        self.lines.lock().expect("no test panicked").clone()
    }
}

struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        // What SQLite or TLS say of themselves is no matter here.
        if *metadata.level() > tracing::Level::INFO || !metadata.target().starts_with("feedgate") {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = format!("{} {}", metadata.level(), message.0);
        self.0.lock().expect("no test panicked").push(line);
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
