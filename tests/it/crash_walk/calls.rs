//! Every system call on files: the ledger, the spool, the destinations' files, the source's directory, the log. One fails, or is the
//! first of many that do, or does not come back, or the process is killed there; then the program is started anew.

use std::fs;
use std::time::{Duration, Instant};

use super::super::house::calls::{Call, Fault};
use super::daemon::Daemon;
use super::machine::{Ended, Machine};
use super::{dice, same_end, sample, walk_all};

/// A world, by what goes wrong in it.
#[derive(Debug, Clone)]
struct World {
    nth: usize,
    fault: Fault,
    /// Every call from the n-th on goes wrong, until the program is started anew.
    lasting: bool,
    /// The same happened in the start before, at this call.
    before: Option<usize>,
}

/// A world without faults: what it comes to, and the calls that its first start makes.
fn reference() -> (Machine, Vec<Call>) {
    let machine = Machine::new();
    assert_eq!(machine.patient_pass(machine.calls()), Ended::ByItself);
    let calls = machine.seen();
    machine.comes_to_rest().expect("no fault was laid");
    let end = machine.summary(true);
    assert!(end.contains("A event_history_20240101000000.json.zip"), "{end}");
    assert!(end.contains("not logged []"), "{end}");
    assert!(end.contains("is referred to: true"), "{end}");
    (machine, calls)
}

/// Walks over those of the calls that the fault makes a difference to: so many by default, or as many as there are.
fn walk(fault: Fault, lasting: bool, default: usize, concerns: impl Fn(&Call) -> bool) {
    let (reference, calls) = reference();
    // A receipt that found no room is not written again: it costs a warning, nothing else.
    let with_receipts = fault != Fault::Full;
    let expect = reference.summary(with_receipts);
    let worlds = calls.iter().filter(|call| concerns(call)).map(|call| World {
        nth: call.number,
        fault,
        lasting,
        before: None,
    });
    let mut dice = dice(&format!("{fault:?}, lasting: {lasting}"));
    let worlds = sample(worlds.collect(), default, &mut dice);
    walk_all(&worlds, |world| in_one(world, with_receipts, &expect));
}

fn in_one(world: &World, with_receipts: bool, expect: &str) -> Result<(), String> {
    let machine = Machine::new();
    for nth in world.before.iter().chain([&world.nth]) {
        let while_there = machine.gate.dir().with_extension("while");
        let mut calls = machine.calls().fault(*nth, world.fault);
        if world.lasting {
            fs::write(&while_there, "").expect("a file");
            calls = calls.for_as_long_as(&while_there);
        }
        let ended = match world.fault {
            // Where nobody can do anything but wait, somebody loses patience.
            Fault::Hangs => machine.pass(calls, Duration::from_secs(3)),
            _ => machine.patient_pass(calls),
        };
        fs::remove_file(&while_there).ok();
        if ended == Ended::Stuck && world.fault != Fault::Hangs {
            return Err(format!("stuck; its last call was {:?}", machine.seen().last()));
        }
    }
    let struck = || {
        machine
            .seen()
            .into_iter()
            .find(|call| call.number == world.nth)
            .map(|call| (call.name, call.path))
    };
    let arrived = machine.comes_to_rest();
    arrived.map_err(|failure| format!("{:?}: {failure}", struck()))?;
    same_end(&machine.summary(with_receipts), expect).map_err(|failure| format!("{:?}: {failure}", struck()))
}

/// Whether a call takes room on the disk.
fn takes_room(call: &Call) -> bool {
    call.has_effect() && call.name != "unlink"
}

#[test]
fn any_call_fails_once() {
    walk(Fault::Fails, false, 6, |_| true);
}

#[test]
fn every_call_fails_from_any_on() {
    walk(Fault::Fails, true, 6, |_| true);
}

#[test]
fn the_disk_is_full_once_at_any_call() {
    walk(Fault::Full, false, 4, takes_room);
}

#[test]
fn the_disk_is_full_from_any_call_on() {
    walk(Fault::Full, true, 4, takes_room);
}

#[test]
fn killed_before_any_call_takes_effect() {
    walk(Fault::KilledBefore, false, 6, Call::has_effect);
}

#[test]
fn killed_after_any_call_took_effect() {
    walk(Fault::KilledAfter, false, 6, Call::has_effect);
}

#[test]
fn killed_half_way_through_any_write() {
    walk(Fault::Torn, false, 4, |call| call.name == "write");
}

#[test]
fn any_call_does_not_come_back() {
    walk(Fault::Hangs, false, 3, |_| true);
}

#[test]
fn killed_twice() {
    let (reference, calls) = reference();
    let expect = reference.summary(true);
    let mut dice = dice("killed twice");
    let effects: Vec<usize> = calls
        .iter()
        .filter(|call| call.has_effect())
        .map(|call| call.number)
        .collect();
    let mut worlds = Vec::new();
    for before in &effects {
        for fault in [Fault::KilledBefore, Fault::KilledAfter, Fault::Torn, Fault::Fails] {
            worlds.push(World {
                // The second start makes fewer calls, or more, by what the first one did.
                nth: dice.usize(..effects.len()) + 1,
                fault,
                lasting: false,
                before: Some(*before),
            });
        }
    }
    let worlds = sample(worlds, 8, &mut dice);
    walk_all(&worlds, |world| in_one(world, true, &expect));
}

#[test]
fn a_mark_that_was_not_written_to_its_end_is_nobodys() {
    let (reference, _) = reference();
    for left in ["", "fil"] {
        let machine = Machine::new();
        let files = machine.state().join("files");
        fs::create_dir_all(&files).expect("the destination's directory");
        fs::write(files.join(".feedgate"), left).expect("the mark, as a program left it that was killed there");
        machine.comes_to_rest().expect("the destination is not barred");
        assert_eq!(machine.summary(true), reference.summary(true));
    }
}

#[test]
fn a_daemon_gets_over_a_disk_that_fails_for_a_while() {
    let (reference, calls) = reference();
    let expect = reference.summary(false);
    let mut dice = dice("a daemon and its disk");
    // A start that fails is told to whoever started it. From the first listing on, the daemon has to help itself.
    let source = reference.source();
    let first = calls.iter().position(|call| call.path == source).expect("a listing");
    let mut worlds = Vec::new();
    for call in &calls[first..] {
        for fault in [Fault::Fails, Fault::Full, Fault::Hangs] {
            worlds.push((call.number, fault));
        }
    }
    let worlds = sample(worlds, 4, &mut dice);
    walk_all(&worlds, |&(nth, fault)| {
        let machine = Machine::new();
        let for_a_while = machine.gate.dir().with_extension("while");
        fs::write(&for_a_while, "").expect("a file");
        let mut command = machine.gate.command();
        let calls = machine.calls().fault(nth, fault);
        calls.for_as_long_as(&for_a_while).watch(&mut command);
        let daemon = Daemon::start(command);
        let begun = Instant::now();
        while machine.seen().len() < nth && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        fs::remove_file(&for_a_while).expect("the file");
        daemon.comes_to_rest(&machine.gate.ledger(), &machine.state().join("events.db"))?;
        machine.comes_to_rest()?;
        same_end(&machine.summary(false), &expect)
    });
}
