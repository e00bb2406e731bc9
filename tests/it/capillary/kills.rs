//! SIGKILL at every request: no event is lost, and none comes twice but the one whose answer was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::{MONDAY, World, kept, queued, stays};
use crate::house::gate::wait_until;
use crate::house::http_server::Script;

const EVENTS: usize = 4;

/// Kills the daemon when the server has the n-th request, and lets another go on. Returns what was kept, and what the ledger says
/// was sent again.
fn killed_at(nth: usize, is_stored: bool) -> (Vec<String>, u64) {
    let world = World::new();
    world.send(MONDAY, &stays(EVENTS));
    let (id, is_killed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (daemon_id, done, count) = (id.clone(), is_killed.clone(), AtomicUsize::new(0));
    world.server.answer_with(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        if number != nth {
            return queued(&format!("r-{number}"));
        }
        wait_until("the daemon's id", || daemon_id.load(Ordering::Acquire) != 0);
        let id = daemon_id.load(Ordering::Acquire).to_string();
        let status = std::process::Command::new("kill").args(["-KILL", &id]).status();
        assert!(status.expect("running kill").success());
        done.store(true, Ordering::Release);
        match is_stored {
            true => Script::CutAfter,
            false => Script::CutBefore,
        }
    });
    let daemon = world.gate.start();
    id.store(daemon.id(), Ordering::Release);
    wait_until("the kill", || is_killed.load(Ordering::Acquire));
    daemon.kill();
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    let resent = world.standing()["resent"].as_u64().expect("a number");
    let requests = world.gate.cli(["tickets", "loyalty", "--json"]).json();
    assert_eq!(
        requests.as_array().map(Vec::len),
        Some(EVENTS),
        "one name for each: {requests}"
    );
    (kept(&world.server), resent)
}

#[test]
fn killed_at_every_request() {
    let next = AtomicUsize::new(0);
    // They wait more than they work.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (nth, is_stored) = (number / 2 + 1, number % 2 == 1);
                    if nth > EVENTS {
                        return;
                    }
                    let (kept, resent) = killed_at(nth, is_stored);
                    let mut expected: Vec<String> = (0..EVENTS).map(|n| format!("B-{n}")).collect();
                    if is_stored {
                        expected.insert(nth - 1, expected[nth - 1].clone());
                    }
                    assert_eq!((kept, resent), (expected, 1), "request {nth}, stored: {is_stored}");
                }
            });
        }
    });
}
