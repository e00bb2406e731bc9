//! Unique keys: what it costs to tell events that came before from new ones, with nothing known and with ten million known.
//!
//! The ten million are put into the store itself, as ten imports of a million; the ledger is told of the last of them, as if all
//! had been imported. What is measured then is real: a million entries imported by the program, with all that belongs to it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use feedgate::unique::{Collector, FILE_NAME, Key, Keys, Place, Spill, Unique, Whose};
use feedgate::verdict::Position;
use rusqlite::Connection;

use crate::bench::{Bench, Contender};
use crate::big::MILLION;
use crate::feedgate::Feedgate;
use crate::run::Cost;
use crate::table::{Goal, NONE, Row, thousands};

/// Imports of a million keys each that are known.
const KNOWN: usize = 10;

/// Every event of the made-up archives, told apart by its order; and the same, told apart by nothing.
fn definitions(unique: bool) -> String {
    let unique = match unique {
        true => {
            r#""isRequired":{"value":"true","valueType":"Boolean"},"isUniqueKeyField":{"value":"true","valueType":"Boolean"}"#
        }
        false => r#""isRequired":{"value":"true","valueType":"Boolean"}"#,
    };
    format!(
        r#"{{"eventName":"order","actions":["EIConsumer"],
            "feed":{{"event":["Completed Order","Changed Order Status","Viewed Product","Added Product","Subscribed Newsletter","User Login","Viewed Page"]}},
            "fields":[
              {{"name":"customer","type":"customer","attributes":{{"identifierType":{{"value":"externalId","valueType":"Enum"}}}}}},
              {{"name":"orderId","type":"string","attributes":{{{unique}}}}}]}}"#
    )
}

/// Makes the archive, and the store that knows ten million keys.
pub fn prepare(bench: &Bench) -> Result<()> {
    bench.archive(bench.many(MILLION))?;
    known(bench).map(drop)
}

pub fn unique(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let known = known(bench)?;
    let import = |unique: bool, known: Option<&Path>| -> Result<Cost> {
        let feedgate = fresh(bench, &archive, unique, known)?;
        let cost = feedgate.once()?;
        feedgate.imported(1, entries)?;
        if unique {
            let brought = feedgate.ask(&format!(
                "SELECT count(*), sum(unique_keys) FROM imports WHERE unique_keys = {entries}"
            ))?;
            ensure!(brought == (1, entries), "not every key was new: {brought:?}");
            let bytes = fs::metadata(feedgate.state().join(FILE_NAME))?.len();
            crate::say(&format!("unique.db: {:.0} MB", bytes as f64 / 1e6));
        }
        Ok(cost)
    };
    let [inflate, decide, without, empty, full] = bench.race([
        Contender::other("bare inflate", || bench.inflate(&archive)),
        Contender::ours("keys against those that are known", || {
            let dir = bench.fresh("unique")?;
            fs::copy(&known, dir.join(FILE_NAME))?;
            bench.run(
                Command::new(std::env::current_exe()?)
                    .arg("--unique")
                    .arg(&dir)
                    .arg("--keys")
                    .arg(entries.to_string()),
            )
        }),
        Contender::ours("once, no unique fields", || import(false, None)),
        Contender::ours("once, unique fields, nothing known", || import(true, None)),
        Contender::ours("once, unique fields, many known", || import(true, Some(&known))),
    ]);
    let (count, before) = (thousands(entries as f64), thousands((KNOWN * entries) as f64));
    Ok(vec![
        Row {
            what: format!("{count} keys hashed, sorted, held against {before} known ones, and staged"),
            ours: decide,
            against: Some(("bare inflate of the archive".to_string(), inflate.clone(), 1.0)),
            goal: Goal::Share(1.0, 0.4),
        },
        Row {
            what: format!("`once` of {count} entries from a directory, with unique fields, nothing known"),
            ours: empty,
            against: Some(("the same without unique fields".to_string(), without.clone(), 1.0)),
            goal: Goal::Share(NONE, NONE),
        },
        Row {
            what: format!("the same, with {before} keys known"),
            ours: full,
            against: Some(("the same without unique fields".to_string(), without, 1.0)),
            goal: Goal::Share(NONE, NONE),
        },
    ])
}

/// Collects so many keys, and stages them in the store of a directory: as a process of its own.
pub fn stage(dir: &Path, count: usize) -> Result<()> {
    block_on(async {
        let unique = Unique::new(dir, 0)?;
        let turn = unique.turn().await;
        let keys = keys(dir, 1 << 40, count)?;
        let staged = unique
            .stage(&turn, vec![(1 << 20, keys)], Vec::new(), Arc::new(Spill::new(dir)))
            .await?;
        ensure!(staged.brought == [count as u64], "not every key was new");
        Ok(())
    })
}

/// A Feedgate with the archive in its root, and a store that knows what is given, or nothing.
fn fresh(bench: &Bench, archive: &Path, unique: bool, known: Option<&Path>) -> Result<Feedgate> {
    let source = bench.local(archive)?;
    let dir = bench.fresh("feedgate")?;
    fs::create_dir(dir.join("events"))?;
    fs::write(dir.join("events/order.json"), definitions(unique))?;
    let feedgate = Feedgate::new(&bench.program, &dir, &source, "")?;
    let Some(known) = known else { return Ok(feedgate) };
    // `check` of the configuration makes nothing; a pass over an empty root makes the ledger.
    let empty = Feedgate::new(
        &bench.program,
        &dir,
        &format!("url = \"file://{}\"\n", bench.fresh("nothing")?.display()),
        "",
    )?;
    empty.once()?;
    fs::copy(known, feedgate.state().join(FILE_NAME))?;
    let ledger = Connection::open(feedgate.state().join("ledger.db"))?;
    ledger.execute(
        "INSERT INTO imports (id, seq, source, archive, size, mtime, status, imported, unique_keys, first_seen_at, claimed_at, closed_at, path, disposition)
         VALUES (?1, ?1, 'another', 'event_history_20200101000000.json.zip', 1, 1, 'processed', 1, 1, 1, 1, ?1, '', 'left')",
        [KNOWN as i64],
    )?;
    // Writes the configuration that has the archive anew.
    Feedgate::new(&bench.program, &dir, &source, "")
}

/// The store that knows ten million keys, made once and kept.
fn known(bench: &Bench) -> Result<std::path::PathBuf> {
    let form = crc32fast::hash(include_bytes!("../../src/unique/schema.sql"));
    let count = bench.many(MILLION);
    let dir = bench.kept(&format!("unique-{}-{form:08x}", KNOWN * count))?;
    let (path, done) = (dir.join(FILE_NAME), dir.join("done"));
    if !done.exists() {
        crate::say(&format!("making a store of {} unique keys, once", KNOWN * count));
        fs::remove_file(&path).ok(); // none is there the first time
        block_on(fill(&dir, count))?;
        fs::write(done, "")?;
    }
    Ok(path)
}

async fn fill(dir: &Path, count: usize) -> Result<()> {
    let unique = Unique::new(dir, 0)?;
    let turn = unique.turn().await;
    for import in 1..=KNOWN as i64 {
        let keys = keys(dir, import as u64 * count as u64, count)?;
        unique
            .stage(&turn, vec![(import, keys)], Vec::new(), Arc::new(Spill::new(dir)))
            .await?;
        let place = Place {
            import,
            seq: import,
            closed_at: import,
        };
        unique.settle(&turn, vec![place]).await?;
    }
    // As it is when nobody has imported anything for a while: all merged that is to be.
    let mut work = unique.work().await?;
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let now = unique.work().await?;
        if now == work {
            return Ok(());
        }
        work = now;
    }
}

/// The keys of an archive of so many orders.
fn keys(dir: &Path, first: u64, count: usize) -> Result<Keys> {
    let mut collector = Collector::new(Arc::new(Spill::new(dir)));
    for index in 0..count as u64 {
        let number = first + index;
        let (id, order) = (format!("{number:064x}"), format!("{number:010}"));
        let whose = Whose {
            id: Some(&id),
            email: None,
            business_unit: None,
        };
        let at = Position {
            line: index + 2,
            column: 1,
            byte: index * 530,
        };
        collector.push(Key::of_event("order", whose, [order.into()]), index, at)?;
    }
    Ok(collector.finish()?)
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.context("starting a runtime")?.block_on(work)
}
