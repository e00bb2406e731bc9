//! The command line: a file for each command. What it prints, and how it ends.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 all well, 1 something needs attention, 2 could not do it.
//! A reader that has seen enough (`feedgate events | head`) is no error. The commands look through `ledger::report` and act
//! through the ledger's verbs; nothing is decided here.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

pub mod args; // what may be typed
mod check; // archives against the rules
mod connections; // the configuration, and everything in it dialled
mod consent; // a plan, and whether somebody agrees to it
mod dead_letters; // what destinations did not take
mod definitions; // what events must look like
#[cfg(feature = "demo")]
mod demo; // a whole world on loopback, told as a short story
mod destinations; // destinations in words: all of them, or one in full
mod erase; // somebody forgotten, wherever that can be done
pub mod events; // the accepted events, from the spool
mod first_process; // as process 1 of a container
mod generate; // completions, the man page
mod health; // is the daemon alive?
mod keys; // `keys` in words and as JSON
mod make_archive; // `pack`, and a look at what came of it
mod masking; // what people see of events
mod one_import; // one import in words
pub mod output; // stdout: tables, JSON, a reader that went away
pub mod pack; // the zip a partner should have sent
mod people; // who the events are about
mod print_events; // `events`: what is asked for, and where it goes
mod replay; // an import delivered once more
mod requests; // what was asked for, in words
mod retry; // look again, deliver again
mod run; // the daemon, and a single pass
mod settings; // the configuration, as every command finds it
mod show_keys; // `keys`: asking the server
mod status; // what became of every archive
mod tickets; // what is asked for at a destination that queues
mod undo; // an import's events taken back
mod vet; // one archive, as the importer would judge it

use args::{Args, Command, Global};

/// How a command ended, if it could do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All well: 0.
    Well,
    /// Done, and something needs attention: 1.
    Attention,
}

/// The whole program.
pub fn main() -> ExitCode {
    // Clap answers `--help` and `--version` with 0, and misuse with 2.
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = carry_out(args);
    crate::telemetry::last_words();
    match result {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::Attention) => ExitCode::from(1),
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr closed, or on a full disk, there is nobody to tell; the exit code says it all the same.
            writeln!(std::io::stderr(), "feedgate: {}", complaint(&error)).ok();
            ExitCode::from(2)
        }
    }
}

fn carry_out(args: Args) -> anyhow::Result<Ending> {
    let Global {
        config,
        log_format,
        log,
    } = args.global;
    let log = log.or_else(|| std::env::var("FEEDGATE_LOG").ok().filter(|log| !log.is_empty()));
    crate::telemetry::start(log_format, log.as_deref().unwrap_or(args.command.log_by_default()))?;
    let config = config.as_deref();
    if !matches!(args.command, Command::Run | Command::Once | Command::Demo(_)) {
        first_process::end_by_signals()?;
    }
    match args.command {
        Command::Run => on_runtime(run::run(config)),
        Command::Once => on_runtime(run::once(config)),
        Command::Check(args) => on_runtime(check::run(config, args)),
        Command::Pack(args) => make_archive::run(config, &args),
        Command::Status(args) if args.health => health::run(config, &args),
        Command::Status(args) => on_runtime(status::run(config, &args)),
        Command::Keys(args) => on_runtime(async move { show_keys::run(&args).await }),
        Command::Events(args) => on_runtime(print_events::run(config, args)),
        Command::Definitions(args) => definitions::run(config, &args),
        Command::Retry(args) => on_runtime(retry::run(config, &args)),
        Command::Undo(args) => on_runtime(undo::run(config, &args)),
        Command::Erase(args) => on_runtime(erase::run(config, &args)),
        Command::DeadLetters(args) => on_runtime(dead_letters::run(config, &args)),
        Command::Tickets(args) => on_runtime(async move { tickets::run(config, &args).await }),
        Command::People(args) => on_runtime(people::run(config, &args)),
        #[cfg(feature = "demo")]
        Command::Demo(args) => on_runtime(demo::run(args)),
        #[cfg(not(feature = "demo"))]
        Command::Demo(_) => anyhow::bail!("this build has no demo; build one with `--features demo`"),
        Command::Completions(args) => generate::completions(&args),
        Command::Man => generate::man(),
    }
}

fn on_runtime(work: impl Future<Output = anyhow::Result<Ending>>) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let ending = runtime.block_on(work);
    // What still blocks (a read from a dead server) must not hold up the end; nothing that counts is left to do.
    runtime.shutdown_timeout(Duration::from_millis(500));
    ending
}

/// An error with its causes, in the form `doing what: why`, and nothing in it that could move a cursor. The lines of a
/// message that has several (a configuration with several problems) are kept.
fn complaint(error: &anyhow::Error) -> String {
    let text = chain(error.as_ref());
    let lines: Vec<String> = text.lines().map(crate::telemetry::escaped).collect();
    lines.join("\n")
}

/// An error and its causes in one text. A cause that its parent's message already repeats is left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_done_and_why_it_failed() {
        let check = |error: anyhow::Error, expect: &str| assert_eq!(complaint(&error), expect);
        check(anyhow::anyhow!("why"), "why");
        let io = || std::io::Error::other("disk full");
        check(
            anyhow::Error::new(io()).context("writing `x`"),
            "writing `x`: disk full",
        );
        let repeated = Err::<(), _>(io()).context("writing `x`: disk full").unwrap_err();
        check(repeated, "writing `x`: disk full");
        check(anyhow::anyhow!("two\n  lines\x1b[2J"), "two\n  lines\\u{1b}[2J");
    }
}
