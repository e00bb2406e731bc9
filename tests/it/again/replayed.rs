//! `retry --import`: an import's events delivered once more.

use std::fs;

use super::{World, feed, run_until_idle};
use crate::house::gate::wait_until;

#[test]
fn stores_have_every_event_once_all_the_same_and_receivers_are_sent_them_again() {
    let world = World::new();
    world.upload("20260204120000", &feed("u", 7));
    world.upload("20260204130000", &feed("v", 3));
    world.once();
    let (rows, trees, posted) = (world.rows(), world.trees(), world.posted());
    assert_eq!(posted.len(), 10);

    let asked = world.well(&["retry", "--import", "1"]);
    assert!(asked.stdout.contains("its 7 events go to every destination"), "{asked}");
    let lag = &world.gate.status()["destinations"];
    assert!(
        lag.as_array().unwrap().iter().all(|one| one["lag_events"] == 7),
        "{lag:#}"
    );
    world.once();

    assert_eq!(world.rows(), rows, "not a row more, and none that changed");
    assert_eq!(world.trees(), trees, "the same files, byte for byte");
    let again = world.posted().split_off(10);
    assert_eq!(again, posted[..7], "the same ids, in the same order");
    let status = world.gate.status();
    assert_eq!(status["imports"].as_array().unwrap().len(), 2, "a request is no import");
    assert_eq!(status["requests"][0]["kind"], "replay");
    assert_eq!(status["requests"][0]["import"], 1);
    assert_eq!(status["requests"][0]["done"], true);
    assert_eq!(world.gate.events().len(), 10, "`events` prints each once");
}

#[test]
fn what_a_store_lost_is_filled_in_and_a_replay_to_one_is_for_one() {
    let world = World::new();
    world.upload("20260204120000", &feed("u", 6));
    world.once();
    let (rows, trees) = (world.rows(), world.trees());
    let database = rusqlite::Connection::open(world.gate.state_dir().join("events.db")).unwrap();
    database
        .execute_batch("DELETE FROM events WHERE \"index\" IN (2, 5)")
        .unwrap();
    for path in trees["lines"].keys() {
        fs::remove_file(world.gate.state_dir().join("lines").join(path)).unwrap();
    }

    world.well(&["retry", "--import", "1", "--to", "events"]);
    let lag = |name: &str| {
        let status = world.gate.status();
        let all = status["destinations"].as_array().unwrap().clone();
        all.iter().find(|one| one["name"] == name).unwrap()["lag_events"].clone()
    };
    assert_eq!(
        (lag("events"), lag("lines"), lag("crm")),
        (6.into(), 0.into(), 0.into())
    );
    world.once();
    let bodies = |rows: &[super::Row]| {
        let mut bodies: Vec<_> = rows.iter().map(|row| (row.1.clone(), row.5.clone())).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(
        bodies(&world.rows()),
        bodies(&rows),
        "the two that were missing are there again"
    );
    assert!(world.ids_in("lines").is_empty(), "nobody asked for these");
    assert_eq!(world.posted().len(), 6);

    world.well(&["retry", "--import", "1", "--to", "lines", "--json"]);
    world.once();
    assert_eq!(world.trees(), trees);
    assert_eq!(world.posted().len(), 6, "a receiver was sent nothing twice");
}

#[test]
fn the_daemon_hears_of_it_at_once() {
    let world = World::new();
    world.upload("20260204120000", &feed("u", 4));
    let daemon = run_until_idle(&world);
    world.well(&["retry", "--import", "1"]);
    wait_until("the events to be posted again", || world.posted().len() == 8);
    world.all_done();
    drop(daemon);
    assert_eq!(world.ids().len(), 4);
}

#[test]
fn what_cannot_be_delivered_again_says_why() {
    let world = World::new();
    let name = world.upload("20260204120000", &feed("u", 3));
    world.once();
    world.upload("20260204120000", &feed("u", 3));
    world.upload("20260204130000", "[");
    assert_eq!(world.gate.once().code, 1, "one failed");
    world.well(&["retry", "--import", "1"]);
    let refused = |id: &str| world.refused(&["retry", "--import", id]);
    assert!(refused("99").contains("there is no import 99"));
    let duplicate = refused("2");
    assert!(
        duplicate.contains("is duplicate and took no events in; import 1 did"),
        "{duplicate}"
    );
    assert!(refused("3").contains("is failed and took no events in"));
    assert!(refused("4").contains("ask for import 1"));
    let nowhere = world.refused(&["retry", "--import", "1", "--to", "nowhere"]);
    assert!(nowhere.contains("no destination `nowhere`"), "{nowhere}");
    world.once_or_attention();

    let pruned = rusqlite::Connection::open(world.gate.ledger()).unwrap();
    pruned
        .execute_batch(
            "UPDATE imports SET spool_file = NULL, spool_offset = NULL, spool_len = NULL, pruned_at = 1700000000000",
        )
        .unwrap();
    let gap = refused("1");
    assert!(
        gap.contains(&name) && gap.contains("left the spool at 2023-11-14") && gap.contains("its 3 events"),
        "{gap}"
    );
}

impl World {
    /// One pass, where something that failed before may still need attention.
    #[track_caller]
    fn once_or_attention(&self) {
        let once = self.gate.once();
        assert!(once.code < 2, "{once}");
    }
}
