//! `undo`: an import's events taken back from whoever gives them back.

use std::fs;

use super::{World, feed, run_until_idle};
use crate::house::archives::Archive;
use crate::house::gate::wait_until;
use crate::house::http_server::Script;

#[test]
fn stores_give_the_events_back_and_the_archive_may_come_again() {
    let world = World::new();
    let name = world.upload("20260204120000", &feed("u", 7));
    world.upload("20260204130000", &feed("v", 3));
    world.once();
    let before = world.ids();
    let others = world.trees();

    let undone = world.well(&["undo", "1", "--yes"]);
    assert!(
        undone.stdout.contains("events       sqlite  all        takes it back"),
        "{undone}"
    );
    assert!(
        undone.stdout.contains("keeps it: what was sent is the receiver's"),
        "{undone}"
    );
    assert!(
        undone.stdout.contains("the partner's receipt stays as it is"),
        "{undone}"
    );
    world.once();
    let left = world.ids();
    assert_eq!(left.len(), 3);
    for (destination, tree) in world.trees() {
        for (path, bytes) in tree {
            assert_eq!(others[&destination][&path], bytes, "what is not undone is not touched");
        }
    }
    let import = world.gate.import(&name);
    assert_eq!(
        (&import["imported"], &import["related"]["undone_by"]),
        (&false.into(), &3.into())
    );
    assert_eq!(import["flags"], serde_json::json!(["undone"]));
    assert_eq!(world.gate.events().len(), 3, "nor are they printed");

    world.upload("20260204120000", &feed("u", 7));
    world.once();
    assert_eq!(world.ids(), before, "imported anew, with the same ids");
    let status = world.gate.status();
    let last = status["imports"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["status"], &last["imported"], &last["flags"]),
        (&"processed".into(), &true.into(), &serde_json::json!(["late"]))
    );
    let again = world.refused(&["undo", "1", "--yes"]);
    assert!(again.contains("was undone at"), "{again}");
}

#[test]
fn without_agreement_nothing_is_done() {
    let world = World::new();
    world.upload("20260204120000", &feed("u", 2));
    world.once();
    let refused = world.gate.cli(["undo", "1"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(
        refused
            .stdout
            .contains("import 1: event_history_20260204120000.json.zip from acme, 2 events"),
        "{refused}"
    );
    assert!(refused.stderr.contains("`--yes` gives it"), "{refused}");
    assert_eq!(world.gate.status()["requests"], serde_json::json!([]));
    let plan = world.gate.cli(["undo", "1", "--json"]);
    assert_eq!(plan.code, 2, "{plan}");
    assert_eq!(
        (&plan.json()["events"], &plan.json()["request"]),
        (&2.into(), &().into())
    );
}

#[test]
fn who_has_not_come_to_it_never_gets_it() {
    let mut world = World::new();
    world.server.always(Script::status(503));
    world.upload("20260204120000", &feed("u", 2));
    let first = world.gate.once();
    assert_eq!(first.code, 1, "the receiver is down: {first}");
    world.upload("20260204130000", &feed("v", 5));
    world.upload("20260204140000", &feed("w", 1));
    assert_eq!(world.gate.once().code, 1);
    world.well(&["undo", "2", "--yes"]);
    world.gate.destination("late", "type = \"sqlite\"\nstart = \"oldest\"");
    world.server.always(Script::ok("{}"));
    world.well(&["retry", "--dead-letters", "crm"]);
    world.once();
    let late = super::rows(&world.gate.state_dir().join("late.db"));
    assert_eq!(late.len(), 3, "the undone import is not among them");
    assert_eq!(world.posted().len(), 3);
    assert_eq!(world.ids().len(), 3);
}

#[test]
fn a_replay_of_it_is_taken_back_as_well_and_its_dead_letters_go() {
    let world = World::new();
    world.server.always(Script::status(400));
    world.upload("20260204120000", &feed("u", 3));
    world.gate.once();
    let letters = world.gate.cli(["dead-letters", "crm", "--json"]).json();
    assert_eq!(letters.as_array().unwrap().len(), 3);
    world.well(&["retry", "--import", "1"]);
    let plan = world.well(&["undo", "1", "--yes"]);
    assert!(plan.stdout.contains("3 dead letters are dropped"), "{plan}");
    world.once();
    assert!(world.ids().is_empty());
    assert_eq!(
        world.gate.cli(["dead-letters", "crm", "--json"]).json(),
        serde_json::json!([])
    );
    let replay = world.request("2");
    assert_eq!((&replay["kind"], &replay["undone"]), (&"replay".into(), &true.into()));
}

#[test]
fn what_failed_and_was_imported_all_the_same_is_not_taken_for_a_failure_again() {
    let world = World::new();
    let (name, _) = Archive::feed("20260204120000", "[]");
    let lenient = Archive::of("other.json", &feed("u", 4)).bytes();
    fs::write(world.inbox.join(&name), &lenient).unwrap();
    assert_eq!(world.gate.once().code, 1);
    assert_eq!(world.ids().len(), 4);
    world.well(&["undo", "1", "--yes"]);
    fs::remove_file(world.inbox.join(&name)).unwrap();
    world.gate.once();
    assert!(world.ids().is_empty());
    fs::write(world.inbox.join(&name), &lenient).unwrap();
    world.gate.once();
    assert_eq!(world.ids().len(), 4, "{:#}", world.gate.status()["imports"]);
}

#[test]
fn beside_the_daemon_and_two_at_once() {
    let world = World::new();
    world.upload("20260204120000", &feed("u", 2_000));
    let daemon = run_until_idle(&world);
    assert_eq!(world.ids().len(), 2_000);
    let (one, other) = std::thread::scope(|scope| {
        let ask = || world.gate.cli(["undo", "1", "--yes"]);
        let one = scope.spawn(ask);
        let other = scope.spawn(ask);
        (one.join().unwrap(), other.join().unwrap())
    });
    let mut codes = [one.code, other.code];
    codes.sort();
    assert_eq!(codes, [0, 2], "one undoes it, and the other is told so\n{one}\n{other}");
    world.all_done();
    wait_until("the events to be gone", || world.rows().is_empty());
    assert!(world.ids().is_empty());
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}
