//! Several batches under way at once: one is put away while the next is read and the one after it looked at. Ids and places in
//! the order of commits are given as if there were one at a time, and nothing is lost or done twice when something goes wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::super::house::far_end::{Fault, Op, Request, StatusCode};
use super::{World, files, zip};

/// More than one batch, which has 256 files at most.
const TWO_BATCHES: usize = 280;

/// Points at which each kind of fault strikes, from the first request to the last.
const POINTS: usize = 4;

/// A world with so many archives of one event each. The deadline is long enough for a busy machine.
fn world(archives: usize) -> World {
    let mut world = World::empty();
    world.timeout = "5s";
    for n in 0..archives {
        let data = format!(
            "event_history_20240101{:02}{:02}{:02}.json",
            n / 3600,
            n / 60 % 60,
            n % 60
        );
        // Events are told apart by their names: the summary is in that order.
        let feed = format!(r#"[{{"event":"A {n:03}","id":"{n}"}}]"#);
        world.far.upload(&format!("{data}.zip"), &zip(&[(&data, &feed)]));
    }
    world
}

/// Archives by id and by place in the order of commits.
fn orders(world: &World) -> [Vec<String>; 2] {
    ["id", "seq"].map(|order| {
        let sql = format!("SELECT archive FROM imports ORDER BY {order}");
        world.rows("state/ledger.db", &sql)
    })
}

fn claimed(world: &World) -> Vec<String> {
    world.rows(
        "state/ledger.db",
        "SELECT archive FROM imports WHERE status = 'importing'",
    )
}

#[test]
fn the_next_batch_is_under_way_before_one_is_put_away_and_all_are_recorded_in_order() {
    let world = world(600);
    let archives = files(world.far.root());
    world.start();
    assert_eq!(orders(&world), [archives.clone(), archives.clone()]);
    assert_eq!(world.far.names("processed"), archives);
    assert_eq!(world.far.names("receipts").len(), archives.len());
    // The log tells of them in the same order.
    let log = std::fs::read_to_string(world.state.path().join("state/imports.jsonl")).unwrap();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["archive"].clone();
    let logged: Vec<serde_json::Value> = log.lines().map(line).collect();
    assert_eq!(logged, archives);
    let journal = world.far.journal();
    let of_first_batch = |path: &str| {
        archives[..256]
            .iter()
            .any(|archive| path.strip_prefix('/') == Some(archive))
    };
    let opened = |seen: &Request| seen.op == Op::Open && seen.path.strip_prefix('/') == Some(&archives[256]);
    let begun = journal.iter().position(opened).unwrap();
    let renamed = |seen: &Request| seen.op == Op::Rename && of_first_batch(&seen.path);
    let done = journal.iter().rposition(renamed).unwrap();
    assert!(begun < done, "the second batch waited for the first");
}

#[test]
fn told_to_stop_while_batches_are_under_way() {
    let world = world(900);
    let archives = files(world.far.root());
    world.far.latency(Duration::from_millis(20));
    let stop = CancellationToken::new();
    std::thread::scope(|scope| {
        scope.spawn(|| world.start_and_stop(stop.clone()));
        let patience = Instant::now() + Duration::from_secs(60);
        while world.far.count(Op::Rename) == 0 {
            assert!(Instant::now() < patience, "nothing is ever put away");
            std::thread::sleep(Duration::from_millis(2));
        }
        stop.cancel();
    });
    // What was claimed is recorded, and what is recorded is put away, as far as the grace goes; the rest is as it was.
    assert_eq!(claimed(&world), [""; 0]);
    let [by_id, by_seq] = orders(&world);
    assert_eq!(by_id, by_seq);
    assert_eq!(by_id, archives[..by_id.len()]);
    let put_away = world.far.names("processed");
    assert!(put_away.iter().all(|name| by_id.contains(name)), "{put_away:?}");
    assert_eq!(files(world.far.root()).len() + put_away.len(), archives.len());
    world.far.forget();
    world.comes_to_rest();
    assert_eq!(world.far.names("processed"), archives);
    assert_eq!(orders(&world), [archives.clone(), archives]);
}

#[test]
fn something_goes_wrong_while_batches_are_under_way() {
    let reference = world(TWO_BATCHES);
    reference.comes_to_rest();
    let (expect, requests) = (reference.summary(false), reference.far.journal().len());
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::LoseReply,
        Fault::Stall,
        Fault::Answer(StatusCode::Failure),
    ];
    let next = AtomicUsize::new(0);
    let walk = || {
        loop {
            let point = next.fetch_add(1, Ordering::Relaxed);
            if point >= POINTS * faults.len() {
                return;
            }
            // Spread evenly, and no two faults at the same request.
            let nth = requests * (2 * point + 1) / (2 * POINTS * faults.len());
            let fault = &faults[point % faults.len()];
            let world = world(TWO_BATCHES);
            world.far.on_any(nth, fault.clone());
            world.start();
            assert_eq!(claimed(&world), [""; 0], "request {nth} of {requests}: {fault:?}");
            world.far.forget();
            world.comes_to_rest();
            assert_eq!(world.summary(false), expect, "request {nth} of {requests}: {fault:?}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(walk);
        }
    });
}
