//! The power fails. What was not synced is gone, or there in part; the source, a server somewhere else, knows nothing of it: an
//! archive that was moved there must have its events here.

use std::path::Path;

use super::super::house::calls::{Call, Effect};
use super::super::house::power::{Disk, Left, Tree};
use super::machine::{Ended, Machine};
use super::{dice, files, same_end, sample, walk_all};

/// What the power failure leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    /// Of the state directory, what was synced; of the source, everything.
    TheSource,
    /// Of both, what was synced: the source lies on the same machine.
    WhatWasSynced,
    /// Of both, what was synced and some of the rest.
    SomeOfTheRest { seed: u64 },
}

/// A world, by how many calls took place before the power failed.
#[derive(Debug, Clone)]
struct World {
    calls: usize,
    leaves: Leaves,
    /// The call before.
    #[allow(dead_code, reason = "it is shown when the world comes to another end")]
    after: String,
}

/// A machine that was watched until it came to rest, and all that it did.
fn watched() -> (Machine, Vec<Call>, Tree) {
    let machine = Machine::new();
    let before = files(&machine.source());
    let bytes = |name: &String| {
        let path = machine.source().join(name);
        let bytes = std::fs::read(&path).expect("an archive");
        (path, Some(bytes))
    };
    let dropped = before.iter().map(bytes).collect();
    // In the second start what was moved is looked at once more.
    for _ in 0..2 {
        assert_eq!(machine.patient_pass(machine.calls()), Ended::ByItself);
    }
    let calls = machine.seen();
    machine.comes_to_rest().expect("no fault was laid");
    (machine, calls, dropped)
}

/// What there is when so many calls took place and the power failed.
fn left(machine: &Machine, dropped: &Tree, calls: &[Call], leaves: Leaves) -> Tree {
    let (dir, source) = (machine.gate.dir(), machine.source());
    let mut disk = Disk::default();
    disk.dir(dir);
    disk.dir(&source);
    for (path, bytes) in dropped {
        disk.file(path, bytes.as_deref().expect("a file"));
    }
    for call in calls {
        disk.take_part(call);
    }
    let mut dice;
    let mut of_it = match leaves {
        Leaves::SomeOfTheRest { seed } => {
            dice = fastrand::Rng::with_seed(seed);
            Left::ByDice(&mut dice)
        }
        _ => Left::Nothing,
    };
    let mut tree = disk.after_power_failure(dir, &mut of_it);
    if leaves == Leaves::TheSource {
        tree.retain(|path, _| !path.starts_with(&source));
        tree.insert(source.clone(), None);
        tree.extend(disk.now(&source));
    }
    tree
}

fn is_put_away(call: &Call, source: &Path) -> bool {
    let is_rename = matches!(call.effect, Effect::Renamed { .. });
    is_rename && call.path.starts_with(source.join("processed"))
}

#[test]
fn the_power_fails_at_any_moment() {
    let (reference, calls, dropped) = watched();
    let (expect, source) = (reference.summary(true), reference.source());
    let mut dice = dice("power");
    let last = calls.iter().rposition(Call::has_effect).expect("it did something");
    let (mut worlds, mut always) = (Vec::new(), Vec::new());
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| call.has_effect()) {
        let all = [
            Leaves::TheSource,
            Leaves::WhatWasSynced,
            Leaves::SomeOfTheRest { seed: dice.u64(..) },
        ];
        for leaves in all {
            let world = World {
                calls: place + 1,
                leaves,
                after: format!("{} {}", call.name, call.path.display()),
            };
            // The partner's archive is gone from the root, or all is done and said: these are walked always.
            let counts = is_put_away(call, &source) || place == last;
            match counts && leaves == Leaves::TheSource {
                true => always.push(world),
                false => worlds.push(world),
            }
        }
    }
    assert_eq!(always.len(), 3, "two archives are put away");
    always.extend(sample(worlds, 16, &mut dice));
    walk_all(&always, |world| {
        let tree = left(&reference, &dropped, &calls[..world.calls], world.leaves);
        let machine = Machine::of(tree, reference.gate.dir());
        machine.comes_to_rest()?;
        same_end(&machine.summary(true), &expect)
    });
}
