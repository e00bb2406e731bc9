//! What goes wrong over SFTP a second time: the same request again, another one while the first is being got over, or all of them
//! until somebody mends it; for a program that is started anew, and for a daemon, which must not need that.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::house::far_end::{Fault, StatusCode};
use super::daemon::{Daemon, PATIENCE};
use super::{World, dice, reference, same_end, sample, walk_all};

/// A world, by what goes wrong in it.
#[derive(Debug, Clone)]
struct Twice {
    nth: usize,
    fault: Fault,
    /// Where the second one strikes, and how.
    then: usize,
    then_fault: Fault,
}

fn faults() -> [Fault; 5] {
    [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Answer(StatusCode::Failure),
        Fault::LoseReply,
        Fault::Stall,
    ]
}

/// Walks a sample of all pairs. What was refused leaves no receipt: then there is no telling by those.
fn walk(name: &str, default: usize, in_one: impl Fn(&World, &Twice) -> Result<(), String> + Sync) {
    let (reference, requests) = reference();
    let ends = [false, true].map(|with_receipts| reference.summary(with_receipts));
    let mut dice = dice(name);
    let mut worlds = Vec::new();
    for nth in 1..=requests {
        for fault in faults() {
            let then_fault = dice.choice(faults()).expect("there are some");
            worlds.push(Twice {
                nth,
                fault,
                then: dice.usize(1..=requests),
                then_fault,
            });
        }
    }
    let worlds = sample(worlds, default, &mut dice);
    walk_all(&worlds, |twice| {
        let world = World::new();
        in_one(&world, twice)?;
        world.far.forget();
        world.tries_to_rest()?;
        let is_refusal = |fault: &Fault| matches!(fault, Fault::Answer(_));
        let with_receipts = !is_refusal(&twice.fault) && !is_refusal(&twice.then_fault);
        same_end(&world.summary(with_receipts), &ends[usize::from(with_receipts)])
    });
}

#[test]
fn the_same_request_in_the_first_start_and_in_the_second() {
    walk("the same request again", 4, |world, twice| {
        world.far.on_any(twice.nth, twice.fault.clone());
        world.start();
        let journal = world.far.journal();
        world.far.forget();
        if let Some(struck) = journal.get(twice.nth - 1) {
            world.far.on_path(struck.op, &struck.path, 1, twice.then_fault.clone());
        }
        world.start();
        Ok(())
    });
}

#[test]
fn another_request_while_the_first_is_got_over() {
    walk("two requests", 4, |world, twice| {
        world.far.on_any(twice.nth, twice.fault.clone());
        world.far.on_any(twice.nth + twice.then, twice.then_fault.clone());
        world.start();
        world.start();
        Ok(())
    });
}

#[test]
fn every_request_from_any_on_until_the_program_is_started_anew() {
    walk("every request from one on", 4, |world, twice| {
        world.far.on_any_from(twice.nth, twice.fault.clone());
        world.start();
        Ok(())
    });
}

#[test]
fn a_daemon_gets_over_two_faults_by_itself() {
    walk("two requests of a daemon", 4, |world, twice| {
        world.far.on_any(twice.nth, twice.fault.clone());
        world.far.on_any(twice.nth + twice.then, twice.then_fault.clone());
        let daemon = start(world);
        daemon.comes_to_rest(&world.ledger(), &world.events_db())
    });
}

#[test]
fn a_daemon_gets_over_what_lasted_when_it_is_mended() {
    walk("every request of a daemon from one on", 4, |world, twice| {
        world.far.on_any_from(twice.nth, twice.fault.clone());
        let daemon = start(world);
        let begun = Instant::now();
        while world.far.journal().len() < twice.nth + 2 && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        world.far.forget();
        daemon.comes_to_rest(&world.ledger(), &world.events_db())
    });
}

fn start(world: &World) -> Daemon {
    let config = world.state.path().join("feedgate.toml");
    fs::write(&config, world.toml()).expect("writing the configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedgate"));
    command.env_clear().env("FEEDGATE_CONFIG", config);
    Daemon::start(command)
}
