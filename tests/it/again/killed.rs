//! Killed at random moments, while imports are undone, delivered once more, uploaded again, and people erased; and at the end
//! every store has what it should, once.
//!
//! The dice are seeded, and the seed is printed: `AGAIN_SEED=…` throws the same again. `AGAIN_KILLS=200` makes a long run.

use std::collections::BTreeSet;

use super::World;
use crate::house::gate::wait_until;

/// Who may be erased: as many people as there are kills, and more entries of each.
fn feed(import: u64, people: u64) -> String {
    let entries: Vec<String> = (0..300)
        .map(|n| {
            let day = 4 + n % 2;
            let person = n % people;
            format!(
                r#"{{"event":"purchase","id":"person-{person}-","timestamp":"2026-02-0{day}T10:00:00.000Z","total":{import}.{n}}}"#
            )
        })
        .collect();
    format!("[{}]", entries.join(","))
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn killed_at_random_moments_every_store_has_what_it_should() {
    let number = |variable: &str, default: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().expect("a number in the variable"))
    };
    let seed = number("AGAIN_SEED", fastrand::u64(..));
    let kills = number("AGAIN_KILLS", 10);
    println!("AGAIN_SEED={seed} AGAIN_KILLS={kills}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let people = kills + 5;
    let world = World::new();
    let mut undone = BTreeSet::new();
    let mut erased = BTreeSet::new();
    for kill in 0..kills {
        let daemon = world.gate.start();
        world.upload(
            &format!("2026020412{:02}{:02}", kill / 60, kill % 60),
            &feed(kill, people),
        );
        let imports = i64::try_from(kill).expect("few");
        wait_until("the import before", || {
            let ledger = world.gate.ledger();
            ledger.exists() && imported(&ledger).is_some_and(|count| count >= imports)
        });
        for _ in 0..dice.u64(1..3) {
            let which = world.ids_of_imports();
            let Some(id) = dice.choice(which) else { continue };
            match dice.u8(..3) {
                0 => drop(world.gate.cli(["retry", "--import", &id.to_string()])),
                1 if undone.len() < 3 => {
                    if world.gate.cli(["undo", &id.to_string(), "--yes"]).code == 0 {
                        undone.insert(id);
                    }
                }
                _ => {
                    let person = format!("person-{}-", dice.u64(..people));
                    // Killed meanwhile, it is gone on with by the next.
                    let mut asked = world.gate.command();
                    let mut asked = asked
                        .args(["erase", "--yes", "--id", &person])
                        .spawn()
                        .expect("started");
                    std::thread::sleep(std::time::Duration::from_millis(dice.u64(100..600)));
                    asked.kill().ok();
                    asked.wait().expect("ended");
                    erased.insert(person);
                }
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(dice.u64(..500)));
        daemon.kill();
    }
    let once = world.gate.once();
    assert!(once.code < 2, "{once}");
    // Whoever was killed before the ledger heard of it has asked for nothing: once more, for certain.
    for person in &erased {
        world.well(&["erase", "--yes", "--id", person]);
    }
    let once = world.gate.once();
    assert!(once.code < 2, "{once}");
    world.once();

    let ids = world.ids();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "every event once");
    let printed: Vec<String> = world
        .gate
        .events()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, sorted(printed), "stores have what the spool has");
    let kept = world.ids_of_imports().len() as u64;
    let gone = erased.iter().map(|person| entries_of(person, people)).sum::<u64>();
    assert_eq!(ids.len() as u64, kept * (300 - gone), "{undone:?} {erased:?}");
    for row in world.rows() {
        assert!(
            !undone.contains(&row.2) && !erased.contains(row.3.as_deref().unwrap()),
            "{row:?}"
        );
    }
    let requests = world.gate.status()["requests"].clone();
    assert!(
        requests.as_array().unwrap().iter().all(|one| one["done"] == true),
        "{requests:#}"
    );
}

fn entries_of(person: &str, people: u64) -> u64 {
    let number: u64 = person
        .trim_start_matches("person-")
        .trim_end_matches('-')
        .parse()
        .expect("a number");
    (0..300).filter(|n| n % people == number).count() as u64
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// Imports that were closed; `None` while the ledger is being made.
fn imported(ledger: &std::path::Path) -> Option<i64> {
    let ledger = rusqlite::Connection::open(ledger).ok()?;
    let count = "SELECT count(*) FROM imports WHERE kind = 'events' AND seq IS NOT NULL";
    ledger.query_row(count, [], |row| row.get(0)).ok()
}

impl World {
    /// The imports that took events in, and were not undone.
    fn ids_of_imports(&self) -> Vec<i64> {
        let ledger = rusqlite::Connection::open(self.gate.ledger()).expect("the ledger");
        let mut select = ledger
            .prepare("SELECT id FROM imports WHERE imported = 1")
            .expect("imports");
        let ids = select.query_map([], |row| row.get(0)).expect("imports");
        ids.collect::<Result<_, _>>().expect("imports")
    }
}
