//! Stints over a real archive, with a store that does as it is told.

use std::io::{Cursor as InMemory, Write};
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::archive::{self, NameClass};
use crate::config::resolve::{DestinationKind, DestinationSettings, Start};
use crate::destination::Position;
use crate::events::{Bounds, an_import};
use crate::ledger::Stored;

const ENTRIES: u64 = 30_000;

/// What a store was given.
#[derive(Default)]
struct Given {
    /// Index of each event, confirmed or not.
    indexes: Vec<u64>,
    /// Events and bytes of each transaction.
    transactions: Vec<(usize, usize)>,
    /// Ends the stint that is on.
    stop: CancellationToken,
}

struct Scripted {
    given: Arc<Mutex<Given>>,
    transaction: Bounds,
    /// The stint is told to stop at every batch.
    stops: bool,
    /// Answers that it is not there at the batch of this number.
    fails_at: Option<usize>,
    end: Cursor,
    batches: usize,
}

impl Store for Scripted {
    fn position(&mut self) -> Result<Position, Reply> {
        Ok(Position::Ledger)
    }

    fn deliver(&mut self, batch: &Batch) -> Reply {
        self.batches += 1;
        if self.fails_at == Some(self.batches) {
            return Reply::Unavailable {
                reason: "as a test wants it".to_owned(),
            };
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.indexes.extend(batch.events().map(|event| event.index));
        if given.transactions.is_empty() {
            given.transactions.push((0, 0));
        }
        let transaction = given.transactions.last_mut().expect("one is open");
        transaction.0 += batch.len();
        transaction.1 += batch.bytes();
        if self.stops {
            given.stop.cancel();
        }
        self.end = batch.end;
        Reply::Held
    }

    fn flush(&mut self) -> Reply {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.transactions.push((0, 0));
        Reply::Durable(self.end)
    }

    fn transaction(&self) -> Bounds {
        self.transaction
    }
}

/// An import of many entries in a spool, and a worker that begins with it.
struct Scene {
    _spool: tempfile::TempDir,
    imports: Vec<Arc<Import>>,
    given: Arc<Mutex<Given>>,
    worker: Worker,
}

impl Scene {
    fn new(script: impl FnOnce(&mut Scripted)) -> Scene {
        let spool = tempfile::tempdir().expect("a directory");
        let import = Arc::new(spooled(spool.path()));
        let given = Arc::default();
        let mut store = Scripted {
            given: Arc::clone(&given),
            transaction: Bounds {
                events: usize::MAX,
                bytes: usize::MAX,
            },
            stops: false,
            fails_at: None,
            end: import.start(),
            batches: 0,
        };
        script(&mut store);
        let settings = DestinationSettings {
            name: "scripted".to_owned(),
            kind: DestinationKind::Console,
            start: Start::Oldest,
            was: None,
            events: Vec::new(),
            sources: Vec::new(),
            actions: Vec::new(),
            rename: Vec::new(),
            dead_letters_max: 0,
        };
        let reader = Reader::new(spool.path(), &settings, STORE_BATCH);
        Scene {
            _spool: spool,
            worker: Worker::new(Box::new(store), reader, import.start()),
            imports: vec![import],
            given,
        }
    }

    fn stint(&mut self) -> Stint {
        let stop = CancellationToken::new();
        self.given().stop = stop.clone();
        self.worker.stint(&self.imports, &stop)
    }

    /// Goes on until everything is handed over, and says in how many stints.
    fn all(&mut self) -> usize {
        let mut stints = 0;
        while self.worker.confirmed() < self.imports[0].end() {
            let before = self.worker.confirmed();
            let stint = self.stint();
            assert!(matches!(stint.ending, Ending::Done | Ending::Paused));
            assert!(self.worker.confirmed() > before, "no progress");
            stints += 1;
        }
        stints
    }

    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spooled(spool: &std::path::Path) -> Import {
    let name = "event_history_20191118170500.json.zip";
    let mut zip = zip::ZipWriter::new(InMemory::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("event_history_20191118170500.json", options)
        .expect("a member");
    for index in 0..ENTRIES {
        let before = if index == 0 { '[' } else { ',' };
        write!(zip, r#"{before}{{"event":"e","id":"u{index}"}}"#).expect("an entry");
    }
    zip.write_all(b"]").expect("the end");
    let bytes = zip.finish().expect("a zip").into_inner();
    std::fs::write(spool.join(name), &bytes).expect("the spool file");

    let mut import = Import::clone(&an_import());
    let NameClass::Feed(feed) = archive::classify(name) else {
        panic!("a feed's name");
    };
    let size = bytes.len() as u64;
    let contents = archive::inspect(&mut InMemory::new(bytes), size, &feed, &import.reading.limits);
    import.reading.member = contents.expect("well formed").member.expect("a data file");
    import.entries = ENTRIES;
    import.accepted = ENTRIES;
    import.stored = Some(Stored {
        file: name.to_owned(),
        offset: 0,
        len: size,
    });
    import
}

#[test]
fn a_transaction_is_as_large_as_the_store_wants_it() {
    for (events, bytes) in [(10_000, usize::MAX), (usize::MAX, 2 * 1024 * 1024)] {
        let mut scene = Scene::new(|store| store.transaction = Bounds { events, bytes });
        scene.all();
        let given = scene.given();
        assert_eq!(given.indexes, (0..ENTRIES).collect::<Vec<_>>());
        let within = |&(has_events, has_bytes): &(usize, usize)| has_events <= events && has_bytes <= bytes;
        assert!(given.transactions.iter().all(within), "{:?}", given.transactions);
    }
}

#[test]
fn what_was_read_ahead_is_there_for_the_next_stint() {
    let mut scene = Scene::new(|store| store.stops = true);
    let stints = scene.all();
    assert!(stints as u64 >= ENTRIES / STORE_BATCH.events as u64, "{stints}");
    assert_eq!(scene.given().indexes, (0..ENTRIES).collect::<Vec<_>>());
}

#[test]
fn what_was_read_ahead_counts_for_nothing_after_a_failure() {
    let mut scene = Scene::new(|store| store.fails_at = Some(1));
    let stint = scene.stint();
    assert!(matches!(stint.ending, Ending::Unavailable(_)));
    scene.all();
    assert_eq!(scene.given().indexes, (0..ENTRIES).collect::<Vec<_>>());
}
