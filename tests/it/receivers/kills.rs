//! The real binary: killed at every request, killed at random, and asked to end while a request is on its way.
//!
//! `TRIALS_KILLS=500 TRIALS_SEED=…` makes a long run of the random ones; the seed is printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use super::crash_walk::moody;
use super::{Came, MONDAY, TUESDAY, feed, feed_with, hold, is_marked};
use crate::house::archives::Archive;
use crate::house::gate::{Gate, wait_until};
use crate::house::http_server::{HttpServer, Request, Script};

/// Passes after which everything has to be delivered.
const PASSES_MAX: usize = 200;

/// Time between two passes: the server asks to be left alone for a second now and then.
const PAUSE: Duration = Duration::from_millis(100);

/// A gate between a directory and a server.
struct World {
    gate: Gate,
    server: Arc<HttpServer>,
    root: PathBuf,
}

impl World {
    fn new() -> World {
        let mut gate = Gate::new();
        let server = Arc::new(HttpServer::start());
        let root = gate.dir().join("root");
        fs::create_dir(&root).expect("the root");
        gate.source_local("acme", &root);
        let keys = "type = \"http\"\nstart = \"oldest\"\nbatch_events = 10\n";
        gate.destination("crm", &format!("{keys}url = \"{}/in\"", server.url()));
        World { gate, server, root }
    }

    fn send(&self, digits: &str, feed: &str) {
        let (name, bytes) = Archive::feed(digits, feed);
        let partial = self.root.join(format!("{name}.part"));
        fs::write(&partial, bytes).expect("an upload");
        fs::rename(partial, self.root.join(name)).expect("an upload");
    }

    fn comes_to_rest(&self) {
        for _ in 0..PASSES_MAX {
            let pass = self.gate.once();
            if pass.code == 0 {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("no rest after {PASSES_MAX} passes: {}", self.gate.once());
    }

    fn check(&self) -> Came {
        let ledger = Connection::open(self.gate.ledger()).expect("the ledger");
        let mut select = ledger.prepare("SELECT event_id FROM dead_letters").expect("a question");
        let letters: BTreeSet<String> = select
            .query_map([], |row| row.get(0))
            .expect("rows")
            .collect::<rusqlite::Result<_>>()
            .expect("rows");
        let resent = ledger.query_row("SELECT resent FROM destinations", [], |row| row.get(0));
        let stored = self.server.stored();
        hold(&self.gate.events(), &letters, &stored, resent.expect("the destination"))
    }
}

/// Kills a process at once, as the system does when memory runs out.
fn kill(id: u32) {
    let status = std::process::Command::new("kill")
        .args(["-KILL", &id.to_string()])
        .status();
    assert!(status.expect("running kill").success());
}

/// The far end of [`moody`]; at the n-th request it kills the daemon, before it stores the request or after.
fn killed_at(nth: usize, is_stored: bool) -> (World, Came) {
    let world = World::new();
    world.send(MONDAY, &feed_with(43, &[17]));
    world.send(TUESDAY, &feed(7));
    let (daemon_id, is_killed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (weak, count) = (Arc::downgrade(&world.server), AtomicUsize::new(0));
    let (id, done) = (daemon_id.clone(), is_killed.clone());
    world.server.answer_with(move |request| {
        let earlier = weak.upgrade().map_or_else(Vec::new, |server| server.requests());
        let script = moody(request, &earlier);
        if count.fetch_add(1, Ordering::Relaxed) + 1 != nth {
            return script;
        }
        wait_until("the daemon's id", || id.load(Ordering::Acquire) != 0);
        kill(id.load(Ordering::Acquire));
        done.store(true, Ordering::Release);
        match script {
            Script::Answer { store: true, .. } | Script::CutAfter if is_stored => Script::CutAfter,
            _ => Script::CutBefore,
        }
    });
    let daemon = world.gate.start();
    daemon_id.store(daemon.id(), Ordering::Release);
    let is_delivered = || has_everything(&world.gate);
    wait_until("the kill, or the end", || {
        is_killed.load(Ordering::Acquire) || is_delivered()
    });
    daemon.kill();
    world.comes_to_rest();
    let came = world.check();
    (world, came)
}

/// Whether the destination stands at the end of both imports.
fn has_everything(gate: &Gate) -> bool {
    Connection::open_with_flags(gate.ledger(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|ledger| ledger.query_row("SELECT seq FROM destinations", [], |row| row.get::<_, i64>(0)))
        .is_ok_and(|seq| seq == 3)
}

#[test]
fn killed_at_every_request() {
    let (world, expected) = killed_at(0, false);
    let requests = world.server.requests().len();
    let next = AtomicUsize::new(0);
    // They wait more than they work.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (nth, is_stored) = (number / 2 + 1, number % 2 == 1);
                    if nth > requests {
                        return;
                    }
                    let (world, came) = killed_at(nth, is_stored);
                    let what = format!("request {nth} of {requests}, stored: {is_stored}");
                    let at = &world.server.requests()[nth - 1];
                    let again = if at.stored { at.events().len() } else { 0 };
                    assert!(came.twice <= expected.twice + again, "{what}: {came:?}");
                    assert!(came.resent >= came.twice as u64, "{what}: {came:?}");
                    assert_eq!((came.events, came.letters, came.in_order), (49, 1, true), "{what}");
                }
            });
        }
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn killed_at_random_moments() {
    let number = |variable: &str, default: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().expect("a number in the variable"))
    };
    let seed = number("TRIALS_SEED", fastrand::u64(..));
    let kills = number("TRIALS_KILLS", 8);
    println!("TRIALS_SEED={seed} TRIALS_KILLS={kills}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let moods = std::sync::Mutex::new(dice.fork());
    world.server.answer_with(move |request: &Request| {
        let mood = moods.lock().expect("no test panicked").u32(..16);
        match mood {
            0 => Script::status(503).with_header("Retry-After", "1"),
            1 => Script::CutBefore,
            // It would never store these.
            _ if request.events().iter().any(is_marked) => Script::status(422),
            2 => Script::CutAfter,
            3 => Script::HalfHeader,
            _ => Script::ok("{}"),
        }
    });
    let mut sent = 0;
    for kill in 0..kills {
        let daemon = world.gate.start();
        for n in 0..dice.u64(1..6) {
            let marked: Vec<usize> = (0..40).filter(|_| dice.u32(..60) == 0).collect();
            let count = dice.usize(1..40);
            world.send(
                &format!(
                    "2026{:02}{:02}{:06}",
                    1 + kill / 28 % 12,
                    1 + kill % 28,
                    n + 10 * (kill / 336)
                ),
                &feed_with(count, &marked),
            );
            sent += count;
            std::thread::sleep(Duration::from_millis(dice.u64(..60)));
        }
        std::thread::sleep(Duration::from_millis(dice.u64(..700)));
        daemon.kill();
    }
    world.server.answer_with(super::refuse_marked);
    world.comes_to_rest();
    let came = world.check();
    assert_eq!(came.events + came.letters, sent, "{came:?}");
    assert!(came.in_order && came.resent >= came.twice as u64, "{came:?}");
}

#[test]
fn asked_to_end_it_writes_down_the_answer_that_comes_in_time() {
    let world = World::new();
    world.send(MONDAY, &feed(25));
    world.server.next(Script::Stall { store: true });
    let daemon = world.gate.start();
    world.server.wait_for_stalled(1);
    daemon.signal("TERM");
    // What it says first when it is told to stop is not ours to know; the answer is on its way all the same.
    std::thread::sleep(Duration::from_millis(300));
    world.server.release();
    let ended = daemon.wait_for_end();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(world.server.requests().len(), 1, "no other request is begun");
    world.comes_to_rest();
    assert_eq!(world.check(), super::came(25));
}

#[test]
fn asked_to_end_it_does_not_wait_for_ever_for_an_answer() {
    let world = World::new();
    world.send(MONDAY, &feed(25));
    world.server.next(Script::Stall { store: true });
    let daemon = world.gate.start();
    world.server.wait_for_stalled(1);
    let asked = Instant::now();
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    world.comes_to_rest();
    let expected = Came {
        twice: 10,
        resent: 10,
        ..super::came(25)
    };
    assert_eq!(world.check(), expected);
}

/// Its events are the daemon's own when it is asked by `feedgate retry`, beside it.
#[test]
fn a_daemon_that_runs_is_asked_to_deliver_again() {
    let world = World::new();
    world.send(MONDAY, &feed_with(12, &[4]));
    world.server.answer_with(super::refuse_marked);
    let daemon = world.gate.run();
    let letters = || -> i64 {
        let ledger = Connection::open(world.gate.ledger()).expect("the ledger");
        let count = ledger.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get(0));
        count.unwrap_or_default()
    };
    wait_until("the dead letter, and the rest", || {
        letters() == 1 && world.server.stored().len() >= 2
    });
    world.server.always(Script::ok("{}"));
    let retry = world.gate.cli(["retry", "--dead-letters", "crm"]);
    assert_eq!(retry.code, 0, "{retry}");
    wait_until("the letter's delivery", || letters() == 0);
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    let came = world.check();
    assert_eq!((came.events, came.twice, came.letters), (12, 0, 0));
    let events: Vec<Value> = world.server.stored().pop().expect("the last").events();
    assert_eq!(events[0]["body"]["n"], 4);
}
