//! Stopped at every call to the outside, before and after it took effect, and arrived at the same end.
//!
//! Each walk is a world of its own: a server, four archives, one of them large, a state directory. One request, the n-th of all, goes wrong;
//! then the program starts anew, as after a crash, until nothing is left to do. What is there then must be what a world
//! without faults has: every event once, every archive in one place, every receipt.
//!
//! Here every request over SFTP is walked; below, what goes wrong twice, the system calls on files, and the power that fails. Those
//! have more worlds than there is time for: a sample of them is drawn by a seed, which is printed. `WALK=all` walks them all,
//! `WALK=200` two hundred of each kind, and `WALK_SEED=…` draws the same sample again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use feedgate::config::resolve::Settings;
use feedgate::daemon::once;
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::house::far_end::{FarEnd, Fault, StatusCode};

mod again; // what goes wrong twice, and what lasts, for a program that is started anew and for one that is not
mod batches; // several batches under way at once
mod calls; // every system call on files: failed, hanging, killed
mod daemon; // the daemon, which has to get over things as the process that it is
mod machine; // a machine on which everything is a system call
mod power; // what a power failure leaves

const GOOD: &str = "event_history_20240101000000.json";
const WRONG_MEMBER: &str = "event_history_20240102000000.json";
const NO_JSON: &str = "event_history_20240103000000.json";
const LARGE: &str = "event_history_20240104000000.json";

/// Bytes that the large archive holds in one entry: more than are read at the first look, so that it is read while it arrives.
const LARGE_BYTES: usize = 600_000;

/// Starts before the world has to have come to rest.
const STARTS_MAX: usize = 5;

struct World {
    far: FarEnd,
    state: tempfile::TempDir,
    /// The source's deadline for one operation.
    timeout: &'static str,
}

impl World {
    fn empty() -> World {
        World {
            far: FarEnd::start(),
            state: tempfile::tempdir().unwrap(),
            timeout: "1s",
        }
    }

    fn new() -> World {
        let world = World::empty();
        let far = &world.far;
        let feed = r#"[{"event":"A","id":"1"},{"event":"B","id":"2"},{"event":"C"}]"#;
        far.upload(&format!("{GOOD}.zip"), &zip(&[(GOOD, feed)]));
        far.upload(
            &format!("{WRONG_MEMBER}.zip"),
            &zip(&[("other.json", r#"[{"event":"D","id":"4"}]"#)]),
        );
        far.upload(&format!("{NO_JSON}.zip"), &zip(&[(NO_JSON, "[{]")]));
        let large = format!(r#"[{{"event":"E","id":"5","x":"{}"}}]"#, noise(LARGE_BYTES));
        far.upload(&format!("{LARGE}.zip"), &zip(&[(LARGE, &large)]));
        world
    }

    fn settings(&self) -> Settings {
        Settings::parse(&self.toml()).unwrap()
    }

    fn toml(&self) -> String {
        let state = self.state.path().display();
        let mut toml = format!("state_dir = \"{state}/state\"\n[spool]\nfree_min = \"1MiB\"\n");
        toml += &self.far.source_toml("acme");
        toml += &format!(
            "settle = \"0s\"\npoll_interval = \"100ms\"\ntimeout = {:?}\n",
            self.timeout
        );
        toml += &format!("[[destination]]\nname = \"events\"\ntype = \"sqlite\"\npath = \"{state}/events.db\"\n");
        toml
    }

    /// Starts the program, lets it make its pass, and ends it.
    fn start(&self) -> bool {
        self.start_and_stop(CancellationToken::new())
    }

    /// The same, told to stop by the token.
    fn start_and_stop(&self, stop: CancellationToken) -> bool {
        pass(&self.settings(), stop)
    }

    /// Waits of whatever length are over.
    fn time_passes(&self) {
        time_passes(&self.ledger());
    }

    fn ledger(&self) -> PathBuf {
        self.state.path().join("state/ledger.db")
    }

    fn events_db(&self) -> PathBuf {
        self.state.path().join("events.db")
    }

    fn comes_to_rest(&self) {
        self.tries_to_rest().unwrap();
    }

    fn tries_to_rest(&self) -> Result<(), String> {
        for _ in 0..STARTS_MAX {
            self.time_passes();
            if self.start() {
                return Ok(());
            }
        }
        Err(format!("no rest after {STARTS_MAX} starts"))
    }

    /// The first column of a query, as text.
    fn rows(&self, db: &str, sql: &str) -> Vec<String> {
        column(&self.state.path().join(db), sql)
    }

    /// All that can be seen from outside.
    fn summary(&self, with_receipts: bool) -> String {
        let mut summary = format!(
            "root {:?}\nprocessed {:?}\n",
            files(self.far.root()),
            self.far.names("processed")
        );
        if with_receipts {
            summary += &format!("receipts {:?}\n", self.far.names("receipts"));
        }
        let rows = |db: &str, sql: &str| self.rows(db, sql);
        let imports =
            "SELECT archive || ' ' || status || ' ' || imported || ' ' || accepted || ' ' || disposition || ' ' || path
                       FROM imports ORDER BY archive, id";
        summary += &format!("imports {:#?}\n", rows("state/ledger.db", imports));
        summary += &format!(
            "events {:#?}\n",
            rows("events.db", "SELECT event || ' ' || archive FROM events ORDER BY event")
        );
        // The spool holds what imports refer to, and nothing else.
        let referred = rows(
            "state/ledger.db",
            "SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL ORDER BY 1",
        );
        assert_eq!(files(&self.state.path().join("state/spool")), referred);
        summary
    }
}

/// One pass over all that there is, and nothing left to do after it.
fn pass(settings: &Settings, stop: CancellationToken) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let pass = runtime.block_on(once(settings, stop));
    runtime.shutdown_timeout(Duration::from_secs(5));
    pass.is_ok_and(|pass| {
        let in_trouble = pass.sources_in_trouble.len() + pass.destinations_in_trouble.len();
        pass.closed == 0 && pass.delivered == 0 && in_trouble == 0
    })
}

/// Waits of whatever length that a ledger knows of are over.
fn time_passes(ledger: &Path) {
    // Opened only if it is there: a file that is made here would have neither tables nor a log.
    let Ok(ledger) = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return;
    };
    // Before the first start there is no table yet.
    ledger
        .execute_batch("UPDATE listed SET look_at = NULL; UPDATE imports SET retry_at = NULL;")
        .ok();
}

/// The first column of a query, as text.
fn column(db: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(db).unwrap();
    let mut select = db.prepare(sql).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A zip of these files.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        writer
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// So many characters that deflate cannot make less than half of.
fn noise(length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(4);
    (0..length).map(|_| random.alphanumeric()).collect()
}

/// Regular files in a directory, sorted.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> = files
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The world without faults: what it comes to, and how many requests that takes.
fn reference() -> (World, usize) {
    let world = World::new();
    world.comes_to_rest();
    let requests = world.far.journal().len();
    (world, requests)
}

fn walk(fault: impl Fn() -> Fault + Sync, with_receipts: bool) {
    let (world, requests) = reference();
    let expect = world.summary(with_receipts);
    assert!(expect.contains("A event_history_20240101000000.json.zip"), "{expect}");
    // Worlds wait more than they work.
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth > requests {
                        return;
                    }
                    let world = World::new();
                    world.far.on_any(nth, fault());
                    world.start();
                    world.far.forget();
                    world.comes_to_rest();
                    assert_eq!(
                        world.summary(with_receipts),
                        expect,
                        "request {nth} of {requests}: {:?}",
                        fault()
                    );
                }
            });
        }
    });
}

#[test]
fn cut_before_any_request_takes_effect() {
    walk(|| Fault::CutBefore, true);
}

#[test]
fn cut_after_any_request_took_effect() {
    walk(|| Fault::CutAfter, true);
}

#[test]
fn any_request_refused() {
    // A refused receipt is not written again: it costs a warning, nothing else.
    walk(|| Fault::Answer(StatusCode::Failure), false);
}

#[test]
fn any_reply_lost_for_good() {
    walk(|| Fault::LoseReply, true);
}

#[test]
fn stalled_at_any_request() {
    walk(|| Fault::Stall, true);
}

/// What a walk draws its sample by.
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn dice(walk: &str) -> fastrand::Rng {
    let given = std::env::var("WALK_SEED").ok();
    let seed = given.map_or_else(
        || fastrand::u64(..),
        |seed| seed.parse().expect("a number in WALK_SEED"),
    );
    println!("{walk}: WALK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// So many of these by default, in no particular order; or as many as `WALK` says.
fn sample<T>(mut of: Vec<T>, default: usize, dice: &mut fastrand::Rng) -> Vec<T> {
    let count = match std::env::var("WALK").as_deref() {
        Ok("all") => of.len(),
        Ok(count) => count.parse().expect("`all` or a number in WALK"),
        Err(_) => default,
    };
    dice.shuffle(&mut of);
    of.truncate(count);
    of
}

/// Walks worlds, several at a time since they wait more than they work, and tells of all that came to another end.
#[allow(clippy::print_stdout, reason = "how many there were is what a long run is for")]
fn walk_all<T: std::fmt::Debug + Sync>(worlds: &[T], in_one: impl Fn(&T) -> Result<(), String> + Sync) {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(world) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = in_one(world) {
                        println!("{world:?}: {failure}");
                        failures.lock().unwrap().push(format!("{world:?}: {failure}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{} worlds, {} came to another end", worlds.len(), failures.len());
    let shown = failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(
        failures.is_empty(),
        "{} of {} came to another end:\n{shown}",
        failures.len(),
        worlds.len()
    );
}

/// Says in which lines two summaries differ.
fn same_end(found: &str, expect: &str) -> Result<(), String> {
    if found == expect {
        return Ok(());
    }
    let only_in = |one: &str, other: &str| -> Vec<String> {
        let missing = one.lines().filter(|line| !other.lines().any(|it| it == *line));
        missing.map(str::to_owned).collect()
    };
    Err(format!(
        "found {:#?}, expected {:#?}\nin all {found}",
        only_in(found, expect),
        only_in(expect, found)
    ))
}
