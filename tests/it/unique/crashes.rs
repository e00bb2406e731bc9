//! Killed at any call that concerns the keys or the ledger, or without room for it: then the program is started anew, and what
//! is there in the end is what a world without faults has.
//!
//! `WALK=all` walks all calls, `WALK=200` two hundred of each kind; a sample is drawn by a seed, which is printed.

use std::collections::BTreeSet;

use super::super::house::calls::{self, Call, Calls, Fault};
use super::super::house::small_disk::SmallDisk;
use super::*;

/// Starts before the world has to have come to rest.
const STARTS_MAX: usize = 5;

/// Imports that went before: so many that their runs are merged while the last ones come.
const BEFORE: u32 = 5;

/// A state of affairs: some imports, and two archives that wait, with events that came before and with each other's.
struct World {
    house: House,
    log: PathBuf,
}

impl World {
    /// A world of its own, with the state of another if there is one.
    fn like(other: Option<&World>) -> World {
        let house = House::new(&["acme", "globex"]);
        let log = house.gate.dir().join("calls");
        let world = World { house, log };
        match other {
            None => {
                for import in 0..BEFORE {
                    let orders: Vec<String> = (import * 10..import * 10 + 10)
                        .map(|number| order("u1", number))
                        .collect();
                    world.house.import("acme", &format!("2024010100000{import}"), &orders);
                }
            }
            Some(other) => {
                copy(&other.house.gate.state_dir(), &world.house.gate.state_dir());
            }
        }
        world
    }

    fn drop_what_waits(&self) {
        let orders =
            |numbers: std::ops::Range<u32>| -> Vec<String> { numbers.map(|number| order("u1", number)).collect() };
        self.house.drop_archive("acme", SECOND, &orders(45..60));
        self.house.drop_archive("acme", THIRD, &orders(55..65));
        self.house.drop_archive("globex", FIRST, &orders(40..70));
    }

    fn pass(&self, fault: Option<(usize, Fault)>) {
        let mut calls = Calls::below(&self.house.gate.state_dir()).log(&self.log);
        if let Some((nth, fault)) = fault {
            calls = calls.fault(nth, fault);
        }
        let mut command = self.house.gate.command();
        command.arg("once");
        calls.watch(&mut command);
        self.house.gate.spawn(&mut command).wait_for_end();
    }

    fn comes_to_rest(&self) -> Result<(), String> {
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let waits = "UPDATE listed SET look_at = NULL; UPDATE imports SET retry_at = NULL;";
            Connection::open(self.house.gate.ledger())
                .and_then(|ledger| ledger.execute_batch(waits))
                .expect("the ledger");
            let once = self.house.gate.once();
            let done = self.house.ask(
                &self.house.gate.ledger(),
                "SELECT count(*) FROM imports WHERE imported = 1",
            );
            if once.code == 0 && done == i64::from(BEFORE) + 3 {
                return Ok(());
            }
            said = once.to_string();
        }
        Err(format!("no rest after {STARTS_MAX} starts: {said}"))
    }

    /// Every event once; and one more archive finds everything known.
    fn check(&self) -> Result<(), String> {
        let delivered = self.house.delivered();
        let distinct: BTreeSet<&String> = delivered.iter().collect();
        if delivered.len() != 70 || distinct.len() != 70 {
            return Err(format!(
                "{} events were delivered, {} of them others: {delivered:?}",
                delivered.len(),
                distinct.len()
            ));
        }
        let all: Vec<String> = (0..71).map(|number| order("u1", number)).collect();
        self.house.import("acme", "20240105000000", &all);
        let found = self.house.duplicates("20240105000000");
        let said = self.house.gate.status();
        (found == 70)
            .then_some(())
            .ok_or_else(|| format!("{found} of 70 are known: {said:#}"))?;
        let integrity = Connection::open(self.house.unique_db())
            .and_then(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
        (integrity.as_deref() == Ok("ok"))
            .then_some(())
            .ok_or_else(|| format!("{integrity:?}"))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a file");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a copy")),
        }
    }
}

fn concerns_the_keys(call: &Call) -> bool {
    let name = call.path.file_name().unwrap_or_default().to_string_lossy();
    call.has_effect() && (name.starts_with("unique.db") || name.starts_with("ledger.db"))
}

#[expect(clippy::print_stdout, reason = "the seed of what failed")]
fn walk(fault: Fault, default: usize) {
    let beginning = World::like(None);
    let reference = World::like(Some(&beginning));
    reference.drop_what_waits();
    reference.pass(None);
    reference.comes_to_rest().expect("no fault was laid");
    reference.check().expect("no fault was laid");
    let mut calls: Vec<usize> = calls::read(&reference.log)
        .iter()
        .filter(|call| concerns_the_keys(call))
        .map(|call| call.number)
        .collect();
    assert!(calls.len() > 50, "{} calls", calls.len());
    let wanted = match std::env::var("WALK").as_deref() {
        Ok("all") => calls.len(),
        Ok(number) => number.parse().expect("WALK is a number or `all`"),
        Err(_) => default,
    };
    let seed = std::env::var("WALK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("WALK_SEED={seed}");
    fastrand::Rng::with_seed(seed).shuffle(&mut calls);
    for nth in calls.into_iter().take(wanted) {
        let world = World::like(Some(&beginning));
        world.drop_what_waits();
        world.pass(Some((nth, fault)));
        let end = world.comes_to_rest().and_then(|()| world.check());
        let struck = calls::read(&world.log)
            .into_iter()
            .find(|call| call.number == nth)
            .map(|call| (call.name, call.path));
        end.unwrap_or_else(|failure| panic!("{fault:?} at call {nth}, {struck:?}, WALK_SEED={seed}: {failure}"));
    }
}

#[test]
fn killed_before_any_call_takes_effect() {
    walk(Fault::KilledBefore, 3);
}

#[test]
fn killed_after_any_call_took_effect() {
    walk(Fault::KilledAfter, 3);
}

#[test]
fn any_call_fails() {
    walk(Fault::Fails, 3);
}

#[test]
fn the_disk_is_full_at_any_call() {
    walk(Fault::Full, 2);
}

#[test]
fn a_full_disk_costs_nothing_but_time() {
    let mut gate = Gate::new();
    fs::create_dir(gate.state_dir()).expect("a mount point");
    let Some(disk) = SmallDisk::mount(&gate.state_dir(), 4 * 1024, 200) else {
        return;
    };
    gate.section("[spool]\nfree_min = \"1KiB\"\n");
    let house = House::with(&["acme"], gate);
    house.import("acme", FIRST, &[order("u1", 1)]);
    let before: Vec<u8> = fs::read(house.unique_db()).expect("the file");
    disk.fill();
    house.drop_archive("acme", SECOND, &[order("u1", 1), order("u1", 2)]);
    house.gate.once();
    assert_eq!(fs::read(house.unique_db()).expect("the file").len(), before.len());
    fs::remove_file(house.gate.state_dir().join("ballast")).expect("the ballast");
    let ledger = Connection::open(house.gate.ledger()).expect("the ledger");
    ledger
        .execute("UPDATE listed SET look_at = NULL", [])
        .expect("time passes");
    house.gate.once();
    assert_eq!(house.duplicates(SECOND), 1);
    assert_eq!(house.delivered(), ["u1 1", "u1 2"]);
}
