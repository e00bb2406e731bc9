//! Where definitions lie, what is said of those that will not do, and changes while the daemon runs.

use super::*;
use crate::house::gate::wait_until;

const ENTRY: &str = r#"[{"event":"Hotel Booking","id":"1"},{"event":"x","id":"1"}]"#;

#[test]
fn a_directory_that_is_not_there_is_no_definitions_unless_it_was_named() {
    let (mut gate, root) = gate_with(&[]);
    upload(&root, MONDAY, ENTRY);
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.events().len(), 2);

    gate.section("[definitions]\ndir = \"elsewhere\"");
    let once = gate.once();
    assert_eq!(once.code, 2, "{once}");
    assert!(once.stderr.contains("reading the event definitions in"), "{once}");
    fs::create_dir(gate.dir().join("elsewhere")).unwrap();
    assert_eq!(gate.once().code, 0);
    fs::write(gate.dir().join("elsewhere/hotel.json"), fixture("hotel_booking.json")).unwrap();
    let name = upload(&root, TUESDAY, ENTRY);
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.import(&name)["accepted"], 1);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let (gate, _) = gate_with(&[
        ("a.json", &fixture("six_mistakes.json")),
        ("b.json", "{\n\"eventName\": }"),
    ]);
    for command in ["once", "check"] {
        let refused = gate.cli([command]);
        assert_eq!(refused.code, 2, "{refused}");
        for place in [
            "events/a.json:1:14: /eventName: a blank is in the eventName `guest booking` (code 1811)",
            "events/a.json:2:13: /actions/0: there is no action `EMFConsumr`; is `EMFConsumer` meant? (code 1810)",
            "events/a.json:4:4: /fields/0: `customer` is the customer's identifier, and cannot be sensitive (code 1802)",
            "events/a.json:7:32: /fields/1/type: there is no type `text`",
            "events/a.json:9:24: /fields/2/attributes/regex/value: this is no regular expression",
            "events/a.json:11:19: /fields/3/attributes/isRequird: there is no attribute `isRequird`; is `isRequired` meant?",
            "events/b.json:2:14: this is no JSON",
        ] {
            assert!(refused.stderr.contains(place), "{place}\n{refused}");
        }
    }
}

#[test]
fn the_same_name_twice_is_refused_over_files_too() {
    let hotel = fixture("hotel_booking.json");
    let (gate, _) = gate_with(&[("a.json", &hotel), ("b.json", &hotel)]);
    let refused = gate.cli(["once"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("events/b.json:1:14: /eventName"), "{refused}");
    assert!(refused.stderr.contains("code 1806"), "{refused}");
}

#[test]
fn rejecting_every_event_by_mistake_is_refused() {
    let (mut gate, _) = gate_with(&[]);
    gate.section("[definitions]\nunknown_events = \"reject\"");
    let refused = gate.once();
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("every event would be rejected"), "{refused}");
}

#[test]
fn what_is_odd_is_said_when_it_comes_into_force() {
    let odd = fixture("hotel_booking.json").replace("hotel_booking", "hotel__booking");
    let (gate, _) = gate_with(&[("hotel.json", &odd)]);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert!(once.stderr.contains("two underscores follow each other"), "{once}");
}

#[test]
fn definitions_come_change_and_go_while_it_runs() {
    let (gate, root) = gate_with(&[]);
    let daemon = gate.run();
    let hotel = fixture("hotel_booking.json");
    let mut day = 0;
    // Files are taken up until one is judged by what was just written: a change may take a moment.
    let mut until_accepted = |what: &str, accepted: u64| {
        wait_until(what, || {
            day += 1;
            let name = upload(&root, &format!("{}", 20_260_101_000_000u64 + day), ENTRY);
            let mut import = serde_json::Value::Null;
            wait_until("the import", || {
                let status = gate.status();
                let found = status["imports"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|one| one["archive"] == name.as_str());
                import = found.cloned().unwrap_or_default();
                import["status"] == "processed"
            });
            import["accepted"] == accepted
        });
    };
    until_accepted("nothing defined", 2);
    // The directory itself is new.
    define(&gate, "hotel.json", &hotel);
    until_accepted("the definition in force", 1);
    define(&gate, "hotel.json", &fixture("six_mistakes.json"));
    daemon.wait_for_log("the changed configuration is refused");
    until_accepted("the one before still in force", 1);
    define(
        &gate,
        "hotel.json",
        &hotel
            .replace(
                "\"isRequired\":{\"value\":\"true\"",
                "\"isRequired\":{\"value\":\"false\"",
            )
            .replace("isUniqueKeyField", "source"),
    );
    until_accepted("the changed one in force", 2);
    define(&gate, "hotel.json", &hotel);
    until_accepted("the first one again", 1);
    fs::remove_file(gate.dir().join("events/hotel.json")).unwrap();
    until_accepted("nothing defined any more", 2);
    assert_eq!(daemon.stop().code, 0);
}
