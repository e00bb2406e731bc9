//! The figures that the README gives: what Feedgate takes, each beside what it is compared with in the same run.
//!
//! `cargo bench` measures all, and prints one table; names after `--` choose: `cargo bench -- check once`. Data is made up once and
//! kept in `target/bench-data`. What is compared runs in turn, several times, and medians are taken: the ratios are worth more than
//! the seconds. Everything is real: the built program as a process, OpenSSH's own server, ledgers that are looked into afterwards. A
//! side that cannot be had on this machine, or fails, is a line of the table that says so.
//!
//! Not a framework of statistics: runs of seconds need none, and it is built in no time.

mod bench;
mod big;
mod deliveries;
mod feedgate;
mod generator;
mod growth;
mod inflate;
mod pipelines;
mod proxy;
mod python;
mod run;
mod server;
mod small;
mod table;
mod unique;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;

use crate::bench::Bench;
use crate::table::{Found, Goal, Row};

/// Measures Feedgate beside what it is compared with, and prints a table.
#[derive(Debug, Parser)]
#[command(name = "figures", bin_name = "cargo bench --")]
struct Options {
    /// Only the figures with these in their names [default: all]
    names: Vec<String>,

    /// How often each side runs; medians are taken
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,

    /// A tenth of the data: to see that all works, not how fast it is
    #[arg(long)]
    quick: bool,

    /// Name the figures, and measure nothing
    #[arg(long)]
    list: bool,

    /// Make what the figures need, where it is not there yet, and measure nothing
    #[arg(long)]
    prepare: bool,

    /// The program to measure [default: the one that cargo has just built]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_feedgate"), hide_default_value = true)]
    feedgate: PathBuf,

    /// Inflate an archive's first member and throw it away: the yardstick, as a process
    #[arg(long, hide = true)]
    inflate: Option<PathBuf>,

    /// Stage so many new unique keys in the store of this directory, as a process
    #[arg(long, hide = true, requires = "keys")]
    unique: Option<PathBuf>,

    #[arg(long, hide = true)]
    keys: Option<usize>,

    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// A figure, or several that are taken together.
struct Figure {
    name: &'static str,
    about: &'static str,
    /// Makes what is kept from one series to the next.
    prepare: fn(&Bench) -> Result<()>,
    measure: fn(&Bench) -> Result<Vec<Row>>,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "once",
        about: "a million entries over SFTP, from start to moved",
        prepare: big::prepare_million,
        measure: big::once,
    },
    Figure {
        name: "check",
        about: "`check` of a million entries, on two cores and on one",
        prepare: big::prepare_million,
        measure: big::check,
    },
    Figure {
        name: "definitions",
        about: "the same where every event has a definition",
        prepare: big::prepare_million,
        measure: big::definitions,
    },
    Figure {
        name: "link-20",
        about: "50 MB over a line of 20 ms",
        prepare: big::prepare_link,
        measure: big::link_20,
    },
    Figure {
        name: "link-50",
        about: "50 MB over a line of 50 ms",
        prepare: big::prepare_link,
        measure: big::link_50,
    },
    Figure {
        name: "small-0",
        about: "5,000 small archives on loopback",
        prepare: small::prepare,
        measure: small::loopback,
    },
    Figure {
        name: "small-20",
        about: "5,000 small archives over a line of 20 ms",
        prepare: small::prepare,
        measure: small::link_20,
    },
    Figure {
        name: "sqlite",
        about: "a million entries over SFTP into `sqlite`, against DuckDB",
        prepare: pipelines::prepare,
        measure: pipelines::duckdb,
    },
    Figure {
        name: "dlt",
        about: "100,000 entries from a local file into `sqlite`, against dlt",
        prepare: pipelines::prepare,
        measure: pipelines::dlt,
    },
    Figure {
        name: "poll",
        about: "a poll with 100,000 failed archives left in the root",
        prepare: growth::prepare_poll,
        measure: growth::poll,
    },
    Figure {
        name: "start",
        about: "start with a million imports in the ledger",
        prepare: growth::prepare_start,
        measure: growth::start,
    },
    Figure {
        name: "unique",
        about: "a million events with unique keys, against ten million known ones",
        prepare: unique::prepare,
        measure: unique::unique,
    },
    Figure {
        name: "deliver",
        about: "a million events to `file` and `http`",
        prepare: big::prepare_million,
        measure: deliveries::deliveries,
    },
];

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> ExitCode {
    let options = Options::parse();
    let as_a_process = match (&options.inflate, &options.unique) {
        (Some(archive), _) => Some(inflate::inflate(archive).map(drop)),
        (None, Some(dir)) => Some(unique::stage(dir, options.keys.unwrap_or_default())),
        (None, None) => None,
    };
    if let Some(done) = as_a_process {
        return done.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
    }
    if options.list {
        for figure in FIGURES {
            println!("{:10} {}", figure.name, figure.about);
        }
        return ExitCode::SUCCESS;
    }
    match measure(&options) {
        Ok(_) if options.prepare => ExitCode::SUCCESS,
        Ok(rows) => {
            println!("{}\n\n{}", machine(), table::print(&rows));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn measure(options: &Options) -> Result<Vec<Row>> {
    let is_chosen =
        |figure: &&Figure| options.names.is_empty() || options.names.iter().any(|name| figure.name.contains(name));
    let chosen: Vec<&Figure> = FIGURES.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err(anyhow!("there is no such figure: `--list` names them"));
    }
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data");
    let program = options.feedgate.canonicalize()?;
    let bench = Bench::new(&program, &data, options.runs.into(), options.quick)?;
    let mut rows = Vec::new();
    for figure in chosen {
        say(&format!("-- {}: {}", figure.name, figure.about));
        (figure.prepare)(&bench)?;
        if options.prepare {
            continue;
        }
        rows.extend((figure.measure)(&bench)?);
    }
    if let Some((name, cost)) = bench.highest() {
        rows.push(Row {
            what: format!("the highest peak of all runs above: {name}"),
            ours: Found::Cost(cost),
            against: None,
            goal: Goal::Peak(64.0, 32.0),
        });
    }
    Ok(rows)
}

/// When and where: a line above the table.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?.split_once(':')?.1;
        Some(line.trim().to_string())
    };
    let cpu = after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "an unnamed CPU".to_string());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = chrono::Utc::now().format("%-d %B %Y");
    format!("{date}, {cores} cores ({cpu})")
}

/// How it goes, for who waits.
#[expect(clippy::print_stderr, reason = "a program of its own, not a part of Feedgate")]
fn say(what: &str) {
    eprintln!("{what}");
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say(&format!("figures: {error:#}"));
    ExitCode::FAILURE
}
