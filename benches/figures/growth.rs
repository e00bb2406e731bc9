//! What years leave behind: failed archives in the root that nobody has cleared away, imports in the ledger.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

use crate::bench::{Bench, Contender};
use crate::feedgate::Feedgate;
use crate::generator;
use crate::server::Server;
use crate::table::{Goal, NONE, Row, thousands};

const FAILED: usize = 100_000;
const IMPORTS: usize = 1_000_000;

/// A file has at most so many names on some file systems (65,000 on ext4).
const LINKS: usize = 1_000;

/// Has the archives fail once.
pub fn prepare_poll(bench: &Bench) -> Result<()> {
    failed(bench).map(drop)
}

/// A poll of a root with nothing in it but archives that failed before: one listing, and no download.
pub fn poll(bench: &Bench) -> Result<Vec<Row>> {
    let count = bench.many(FAILED);
    let (server, feedgate) = failed(bench)?;
    let list = format!("ls -1 \"{}\"\n", server.root().display());
    let opened = || server.log().matches("open \"").count();
    let [listing, dialling, ours] = bench.race([
        Contender::other("sftp ls", || bench.run(&mut server.sftp(server.port(), &list)?)),
        // Connects and lists, as a poll does, and looks at nothing of it.
        Contender::other("check, which lists as well", || feedgate.run(&["check"], &[0, 1])),
        Contender::ours("once, all failed before", || {
            let before = opened();
            let cost = feedgate.once()?;
            ensure!(
                opened() == before,
                "{} files were opened on the server",
                opened() - before
            );
            Ok(cost)
        }),
    ]);
    Ok(vec![
        Row {
            what: format!(
                "a poll with {} failed archives left in the root: one listing, no download",
                thousands(count as f64)
            ),
            ours: ours.clone(),
            against: Some(("`sftp` `ls -1`".to_string(), listing, 1.0)),
            goal: Goal::Share(NONE, NONE),
        },
        Row {
            what: "the same, CPU beside receiving the listing".to_string(),
            ours,
            against: Some(("`feedgate check`, which lists alone".to_string(), dialling, 1.0)),
            goal: Goal::MoreCpu(0.05),
        },
    ])
}

/// Has a ledger with many imports made.
pub fn prepare_start(bench: &Bench) -> Result<()> {
    imports(bench, bench.many(IMPORTS)).map(drop)
}

/// From start to end with nothing to do, and a long history.
pub fn start(bench: &Bench) -> Result<Vec<Row>> {
    let count = bench.many(IMPORTS);
    let (few, many) = (imports(bench, 1)?, imports(bench, count)?);
    let [theirs, ours] = bench.race([
        Contender::other("once, one import in the ledger", || few.once()),
        Contender::ours("once, many imports in the ledger", || many.once()),
    ]);
    Ok(vec![Row {
        what: format!(
            "start, an empty pass and end, with {} imports in the ledger",
            thousands(count as f64)
        ),
        ours,
        against: Some(("the same with one import".to_string(), theirs, 1.0)),
        goal: Goal::Seconds(0.1),
    }])
}

/// A server whose root holds failed archives alone, and a Feedgate that knows them.
fn failed(bench: &Bench) -> Result<(Server, Feedgate)> {
    let count = bench.many(FAILED);
    let kept = kept(bench, &format!("failed-{count}"))?;
    let (root, done) = (kept.join("root"), kept.join("done"));
    let server = Server::start(&bench.fresh("sshd-of-failed")?, &root, "INFO")?;
    let source = format!("{}receipts = false\n", server.source(server.port()));
    let feedgate = Feedgate::new(&bench.program, &kept, &source, "")?;
    if !done.exists() {
        crate::say(&format!("having {count} archives fail, once"));
        fs::remove_dir_all(feedgate.state()).ok(); // none is there the first time
        server.hold(&[])?;
        lay(&root, &kept, count)?;
        feedgate.once()?;
        let (found, _) =
            feedgate.ask("SELECT count(*), 0 FROM imports WHERE status = 'failed' AND disposition = 'left'")?;
        ensure!(found == count, "{found} of {count} archives failed");
        fs::write(done, "")?;
    }
    Ok((server, feedgate))
}

/// Archives whose feeds break off.
fn lay(root: &Path, kept: &Path, count: usize) -> Result<()> {
    let mut one = PathBuf::new();
    for number in 0..count {
        if number % LINKS == 0 {
            one = kept.join("broken.zip");
            fs::remove_file(&one).ok(); // its other names stay
            generator::broken(&one, number)?;
        }
        fs::hard_link(&one, root.join(generator::archive_name(number)))?;
    }
    Ok(())
}

/// A Feedgate with so many imports behind it, all delivered, and an empty root.
fn imports(bench: &Bench, count: usize) -> Result<Feedgate> {
    let kept = kept(bench, &format!("imports-{count}"))?;
    let (root, done) = (kept.join("root"), kept.join("done"));
    fs::create_dir_all(&root)?;
    // Nothing is sent there: all is delivered.
    let http = "[[destination]]\nname = \"collector\"\ntype = \"http\"\nurl = \"http://127.0.0.1:9/\"\n";
    let feedgate = Feedgate::new(
        &bench.program,
        &kept,
        &format!("url = \"file://{}\"\n", root.display()),
        http,
    )?;
    if !done.exists() {
        crate::say(&format!("making a ledger of {count} imports, once"));
        fs::remove_dir_all(feedgate.state()).ok(); // none is there the first time
        let one = bench.small(1)?;
        fs::copy(
            &one[0],
            root.join(one[0].file_name().context("an archive without a name")?),
        )?;
        // 1: nobody takes the events, and `once` says so.
        feedgate.once()?;
        feedgate.imported(1, crate::bench::SMALL_ENTRIES)?;
        repeat(&feedgate.state().join("ledger.db"), count)?;
        feedgate.once()?;
        fs::write(done, "")?;
    }
    Ok(feedgate)
}

/// Writes the one import there is again and again, under other names, with other hashes; pruned, as most of a long history is.
fn repeat(ledger: &Path, count: usize) -> Result<()> {
    let ledger = Connection::open(ledger)?;
    let mut columns: Vec<String> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    let mut names = ledger.prepare("SELECT name FROM pragma_table_info('imports')")?;
    for name in names.query_map([], |row| row.get::<_, String>(0))? {
        let name = name?;
        values.push(match name.as_str() {
            "id" | "seq" => "n + 1".to_string(),
            "archive" => {
                "'event_history_' || strftime('%Y%m%d%H%M%S', 1400000000 + n, 'unixepoch') || '.json.zip'".to_string()
            }
            "named_at" => "(1400000000 + n) * 1000".to_string(),
            "sha256" | "data_sha256" => "randomblob(32)".to_string(),
            "spool_file" | "spool_offset" | "spool_len" => "NULL".to_string(),
            "pruned_at" => "closed_at".to_string(),
            _ => format!("\"{name}\""),
        });
        columns.push(format!("\"{name}\""));
    }
    let insert = format!(
        "WITH RECURSIVE counting (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counting WHERE n + 1 < {count})
         INSERT INTO imports ({}) SELECT {} FROM counting, imports WHERE imports.id = 1 AND {count} > 1",
        columns.join(", "),
        values.join(", ")
    );
    ledger.execute(&insert, [])?;
    // All delivered: the cursor is behind the last.
    ledger.execute(
        "UPDATE destinations SET seq = (SELECT max(seq) + 1 FROM imports), \"index\" = 0",
        [],
    )?;
    ledger.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// A directory that stays until the ledger's form changes: another program could not read it, or would upgrade it first.
fn kept(bench: &Bench, name: &str) -> Result<PathBuf> {
    let form = crc32fast::hash(include_bytes!("../../src/ledger/schema.sql"));
    bench.kept(&format!("{name}-{form:08x}"))
}
