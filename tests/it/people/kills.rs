//! SIGKILL while people are read: in the end they are as if they had been read in one go.
//!
//! The dice are seeded, and the seed is printed; `KILLS=300` makes a long run.

use std::fs;
use std::time::Duration;

use super::*;
use crate::house::gate::{Gate, wait_until};

#[test]
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn killed_while_people_are_read() {
    let seed = std::env::var("KILLS_SEED").map_or(fastrand::u64(..), |seed| seed.parse().expect("a number"));
    let kills = std::env::var("KILLS").map_or(12, |kills| kills.parse().expect("a number"));
    println!("KILLS_SEED={seed} KILLS={kills}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("the root");
    gate.source_local("acme", &root);
    gate.section("[people]\nkeep = \"always\"");
    for kill in 0..kills {
        let entries: Vec<String> = (0..dice.usize(1..9_000)).map(|_| entry(&mut dice)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let (name, bytes) = archive_of(kill, &entries);
        fs::write(root.join(name), bytes).expect("an upload");
        let daemon = gate.start();
        std::thread::sleep(Duration::from_millis(dice.u64(20..600)));
        daemon.kill();
    }
    let daemon = gate.run();
    wait_until("all of it", || {
        let status = gate.status();
        status["imports"].as_array().is_some_and(|imports| {
            imports.len() == kills && imports.iter().all(|import| import["status"] == "processed")
        }) && status["people"]["imports_to_come"] == 0
    });
    assert_eq!(daemon.stop().code, 0);
    let after_kills = table(&gate.ledger());
    counts_are_right(&gate.ledger());
    assert!(after_kills.len() > 100, "{} people", after_kills.len());

    // All of it once more, from the front.
    Connection::open(gate.ledger())
        .and_then(|ledger| {
            ledger.execute_batch(
                "DELETE FROM people; DELETE FROM people_keys; DELETE FROM people_young; DELETE FROM clashes;
                 UPDATE people_reading SET seq = 0, \"index\" = 0, users = 0, leads = 0, upgraded = 0, clashes = 0",
            )
        })
        .expect("forgetting all of them");
    let people = gate.cli(["people", "--json"]);
    assert_eq!(people.code, 0, "{people}");
    let in_one_go = table(&gate.ledger());
    let differs = in_one_go.iter().zip(&after_kills).find(|(one, other)| one != other);
    assert_eq!((differs, in_one_go.len()), (None, after_kills.len()));
    counts_are_right(&gate.ledger());
}

/// One of some hundred people, by id, by address or by both; now and then by what belongs to two.
fn entry(dice: &mut fastrand::Rng) -> String {
    let (id, email) = (dice.usize(..400), dice.usize(..400));
    match dice.usize(..20) {
        0 => format!("u{id} a{email}@x.de DE"),
        1..8 => format!("u{id} - -"),
        8..14 => format!("- a{email}@x.de DE"),
        _ => format!("u{id} a{id}@x.de DE"),
    }
}

fn archive_of(number: usize, entries: &[&str]) -> (String, Vec<u8>) {
    Archive::feed(&format!("20260201{number:06}"), &json(entries))
}
