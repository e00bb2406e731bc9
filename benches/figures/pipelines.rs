//! A feed into a database, every event of it: `once` with a `sqlite` destination, against pipelines that people build.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, Contender};
use crate::big::{MILLION, get, told};
use crate::feedgate::{self, Feedgate};
use crate::python::{SCRIPTS, python};
use crate::run::Cost;
use crate::table::{Goal, NONE, Row};

const HUNDRED_THOUSAND: usize = 100_000;

const SQLITE: &str = "[[destination]]\nname = \"events\"\ntype = \"sqlite\"\n";

/// Makes the archives, and installs the Python packages.
pub fn prepare(bench: &Bench) -> Result<()> {
    bench.archive(bench.many(MILLION))?;
    bench.archive(bench.many(HUNDRED_THOUSAND))?;
    // What cannot be had is said in the table.
    python().ok();
    Ok(())
}

/// Over SFTP, against OpenSSH's client, `unzip` and DuckDB, and a rename on the server.
pub fn duckdb(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let server = bench.server()?;
    let [dropped, kept, ours] = bench.race([
        Contender::other("DuckDB, bodies dropped", || {
            pipeline(bench, &archive, entries, "dropped")
        }),
        Contender::other("DuckDB, bodies kept", || pipeline(bench, &archive, entries, "kept")),
        Contender::ours("once, into sqlite", || {
            server.hold(std::slice::from_ref(&archive))?;
            let feedgate = bench.feedgate(&server.source(server.port()), SQLITE)?;
            let cost = feedgate.once()?;
            feedgate.imported(1, entries)?;
            delivered(&feedgate, entries)?;
            Ok(cost)
        }),
    ]);
    let name = "`sftp get`, `unzip`, DuckDB, rename";
    Ok(vec![
        Row {
            what: format!("`once`: {}, every event into `sqlite` as well", told(entries)),
            ours: ours.clone(),
            against: Some((format!("P1: {name}; bodies dropped"), dropped, 1.0)),
            goal: Goal::Faster(2.0, 4.5),
        },
        Row {
            what: "the same".to_string(),
            ours,
            against: Some((format!("P2: {name}; bodies kept"), kept, 1.0)),
            goal: Goal::Faster(5.0, 11.0),
        },
    ])
}

/// From a local directory, against dlt on the same file.
pub fn dlt(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(HUNDRED_THOUSAND);
    let archive = bench.archive(entries)?;
    let by_dlt = |rows: &str| -> Result<Cost> {
        let database = bench.fresh("dlt")?.join("events.db");
        let mut command = Command::new(python()?);
        command
            .arg(format!("{SCRIPTS}/to_sqlite_by_dlt.py"))
            .args([&archive, &database]);
        command
            .arg(rows)
            .env("RUNTIME__DLTHUB_TELEMETRY", "false")
            .stdout(std::process::Stdio::null());
        let cost = bench.run(&mut command)?;
        let (found, _) = feedgate::ask(&database, "SELECT count(*), 0 FROM events")?;
        ensure!(found == entries, "{found} of {entries} events arrived");
        Ok(cost)
    };
    let [arrow, objects, ours] = bench.race([
        Contender::other("dlt, Arrow", || by_dlt("arrow")),
        Contender::other("dlt, objects", || by_dlt("objects")),
        Contender::ours("once, local, into sqlite", || {
            let feedgate = bench.feedgate(&bench.local(&archive)?, SQLITE)?;
            let cost = feedgate.once()?;
            feedgate.imported(1, entries)?;
            delivered(&feedgate, entries)?;
            Ok(cost)
        }),
    ]);
    Ok(vec![
        Row {
            what: format!("`once`: {} from a local directory into `sqlite`", told(entries)),
            ours: ours.clone(),
            against: Some((
                "dlt into SQLite, its fastest: Arrow tables, ADBC".to_string(),
                arrow,
                1.0,
            )),
            goal: Goal::Faster(20.0, 50.0),
        },
        Row {
            what: "the same".to_string(),
            ours,
            against: Some((
                "dlt into SQLite, given the entries as they are; ADBC".to_string(),
                objects,
                1.0,
            )),
            goal: Goal::Faster(NONE, NONE),
        },
    ])
}

/// Fetched, unpacked, loaded, renamed: a step after the other, as a script has them.
fn pipeline(bench: &Bench, archive: &Path, entries: usize, bodies: &str) -> Result<Cost> {
    let python = python()?;
    let server = bench.server()?;
    server.hold(&[archive.to_owned()])?;
    std::fs::create_dir(server.root().join("processed"))?;
    let name = archive
        .file_name()
        .context("an archive without a name")?
        .to_string_lossy()
        .into_owned();
    let dir = bench.fresh("pipeline")?;
    let got = get(bench, server, server.port(), archive, &dir.join(&name))?;
    let unzip = bench.run(Command::new("unzip").arg("-q").arg(dir.join(&name)).arg("-d").arg(&dir))?;
    let mut load = Command::new(python);
    load.arg(format!("{SCRIPTS}/to_duckdb.py"))
        .arg(dir.join(name.trim_end_matches(".zip")))
        .arg(dir.join("events.duckdb"));
    let load = bench.run(load.args([&entries.to_string(), bodies]))?;
    let (from, to) = (server.root().join(&name), server.root().join("processed").join(&name));
    let batch = format!("rename \"{}\" \"{}\"\n", from.display(), to.display());
    let rename = bench.run(&mut server.sftp(server.port(), &batch)?)?;
    ensure!(to.exists(), "the archive was not renamed");
    Ok(got.then(unzip).then(load).then(rename))
}

/// Holds the destination's rows against what was to be delivered.
fn delivered(feedgate: &Feedgate, entries: usize) -> Result<()> {
    let database = feedgate.state().join("events.db");
    let found = feedgate::ask(&database, "SELECT count(*), count(DISTINCT import) FROM events")?;
    ensure!(
        found == (entries, 1),
        "{entries} events were to be delivered, and {found:?} were"
    );
    Ok(())
}
