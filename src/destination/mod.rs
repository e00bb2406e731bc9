//! Where events go: one attempt per call.
//!
//! There are two kinds. A [`Store`] (`sqlite`, `file`, `console`) keeps the events, and says how far it has got. A
//! [`Receiver`] (`http`, `bento`, `capillary`) is somebody else's, at the far end of a network: it is sent a parcel, and answers, or does
//! not.
//!
//! Neither sleeps, retries or remembers; `delivery` does. (One exception: a transactional store keeps its cursor beside its
//! rows.) Destinations are plain synchronous code, called from a blocking thread.

use std::path::Path;

use crate::config::resolve::{DestinationKind, DestinationSettings};
use crate::events::{self, Batch, Bounds};
use crate::hex::hex;
use crate::ledger::{Cursor, Import};

mod bento;
pub(crate) mod capillary;
mod console;
mod entry; // an entry taken apart
mod file;
mod http;
mod json; // writing JSON
pub mod receiver;
mod sqlite;
mod wire;

pub use receiver::{Needs, Receiver};

/// A destination that is open.
pub enum Opened {
    /// It keeps the events.
    Store(Box<dyn Store>),
    /// It is sent them.
    Receiver(Box<dyn Receiver>),
}

/// What came of one attempt at a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The destination has everything before this cursor, for good. A cursor other than the batch's end says that the
    /// destination stands elsewhere than was thought, and that the batch does not count.
    Durable(Cursor),
    /// What was asked takes longer, and this much of it is done: the same is to be handed over again.
    Underway,
    /// The batch was taken, and nothing is promised yet: a later reply to [`Store::deliver`] or
    /// [`Store::flush`] will.
    Held,
    /// Nothing since the last `Durable` counts; to be tried again later.
    Unavailable {
        /// What happened, for people.
        reason: String,
    },
    /// Settings are wrong: this destination stops and says so; the others go on. Nothing since the last `Durable` counts.
    Barred {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// How far a destination itself says it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// It does not know: the ledger's cursor counts.
    Ledger,
    /// It keeps that, and has nothing yet.
    Fresh,
    /// It keeps that, and has everything before this cursor.
    At {
        /// The next event it wants.
        cursor: Cursor,
        /// The import it had events of last, by which it is seen whether cursor and ledger belong together.
        last: Option<Mark>,
    },
}

/// An import, known by its place in the order of commits and by all that was closed up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Order of commit.
    pub seq: i64,
    /// Its link in the history, in hex; or what the ids of its events begin with, where the ledger had no history yet.
    pub link: String,
}

impl Mark {
    /// The mark of an import.
    pub fn of(import: &Import) -> Mark {
        Mark {
            seq: import.seq,
            link: match &import.history {
                Some(history) => hex(history),
                None => events::key(&import.source, &import.archive, &import.sha256),
            },
        }
    }
}

/// Somewhere events are kept.
pub trait Store: Send {
    /// How far it has got. Asked once, before the first batch. `Err` is [`Reply::Unavailable`] or [`Reply::Barred`].
    fn position(&mut self) -> Result<Position, Reply>;

    /// Makes one attempt at a batch. Batches come in order, each from one import, and the last one of an import says so
    /// (an import whose events are all filtered out comes as one empty last batch). After any reply but `Held`, and
    /// `Durable` with the batch's end, the next batch may begin anywhere.
    ///
    /// What somebody asked of all who read on in the log comes as an empty batch of an import that [says
    /// so](crate::ledger::Import::asks): to take events back, to forget somebody. All before it is flushed, and a store that keeps
    /// events does it before it says that it has the batch.
    fn deliver(&mut self, batch: &Batch) -> Reply;

    /// Makes good what was `Held`, as far as it can be: called when no batch is at hand, so that nothing waits for the
    /// next one. `Held` where something has to wait all the same (half an import, where imports are delivered whole).
    fn flush(&mut self) -> Reply;

    /// Most that is handed over between two flushes, give or take a batch. More would make one transaction too large.
    fn transaction(&self) -> Bounds {
        Bounds {
            events: usize::MAX,
            bytes: usize::MAX,
        }
    }
}

/// Opens a destination for delivery, and makes what it needs (a database, a directory). Nothing is dialled yet. `Err` is
/// [`Reply::Unavailable`] or [`Reply::Barred`].
pub fn open(settings: &DestinationSettings) -> Result<Opened, Reply> {
    Ok(match &settings.kind {
        DestinationKind::Sqlite { path } => Opened::Store(Box::new(sqlite::Sqlite::open(
            path,
            &settings.name,
            settings.was.as_deref(),
        )?)),
        DestinationKind::File { dir, .. } => Opened::Store(Box::new(file::Files::open(settings, dir)?)),
        DestinationKind::Console => Opened::Store(Box::new(console::Console::stdout())),
        DestinationKind::Http(http) => Opened::Receiver(Box::new(http::Http::open(http)?)),
        DestinationKind::Bento(bento) => Opened::Receiver(Box::new(bento::Bento::open(bento)?)),
        DestinationKind::Capillary(capillary) => {
            Opened::Receiver(Box::new(capillary::Capillary::open(capillary, &settings.name)?))
        }
    })
}

/// What a destination cannot do without, of what an entry may lack: known before it is opened.
pub fn needs(settings: &DestinationSettings) -> Needs {
    match &settings.kind {
        DestinationKind::Bento(_) => Needs::Email,
        DestinationKind::Capillary(capillary) => capillary::needs(capillary),
        _ => Needs::Nothing,
    }
}

/// Says whether a destination could be opened and is ours, or dials it, and changes nothing anywhere. `Err` is
/// [`Reply::Unavailable`] or [`Reply::Barred`].
pub fn check(settings: &DestinationSettings) -> Result<(), Reply> {
    match &settings.kind {
        DestinationKind::Sqlite { path } => sqlite::check(path, &settings.name, settings.was.as_deref()),
        DestinationKind::File { dir, .. } => file::check(dir, settings),
        DestinationKind::Console => Ok(()),
        DestinationKind::Http(http) => http::check(http),
        DestinationKind::Bento(bento) => bento::check(bento),
        DestinationKind::Capillary(capillary) => capillary::check(capillary),
    }
}

/// Whether something could be made at a path where nothing is: its nearest directory is one, and may be written to.
fn check_place(path: &Path) -> Result<(), Reply> {
    match path.ancestors().skip(1).find(|ancestor| ancestor.exists()) {
        Some(ancestor) => check_writable(ancestor),
        // A relative path of one part lies where the program runs.
        None => check_writable(Path::new(".")),
    }
}

/// Whether this program may write to what is at a path.
fn check_writable(path: &Path) -> Result<(), Reply> {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK)
        .map_err(|error| of_io(&format!("writing to `{}`", path.display()), &error.into()))
}

/// What is wrong with a directory or a file's place, as a reply: what only an operator can mend bars the destination.
fn of_io(doing: &str, error: &std::io::Error) -> Reply {
    use std::io::ErrorKind::*;
    let reason = format!("{doing}: {error}");
    match error.kind() {
        PermissionDenied => Reply::Barred {
            reason: format!("{reason}; give the program's user the right to write there"),
        },
        ReadOnlyFilesystem => Reply::Barred {
            reason: format!("{reason}; mount it for writing, or name another place"),
        },
        NotADirectory | IsADirectory | InvalidFilename | InvalidInput => Reply::Barred {
            reason: format!("{reason}; name another place"),
        },
        _ => Reply::Unavailable { reason },
    }
}
