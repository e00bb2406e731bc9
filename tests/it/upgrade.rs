//! Every older ledger opens, equals a fresh one, and has kept what it knew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use feedgate::ledger::{Ledger, LedgerError, SCHEMA_VERSION};
use rusqlite::Connection;
use serde_json::Value;

use crate::house::archives::Archive;
use crate::house::gate::Gate;

/// Tables of a version that a later one made anew, since nothing ever wrote to them.
const EMPTY_BEFORE: &[(i64, &str)] = &[(1, "dead_letters")];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ledgers")
}

/// Makes a ledger of an older version.
fn older(version: i64, path: &Path) -> Connection {
    let text = fs::read_to_string(fixtures().join(format!("{version}.sql"))).expect("the fixture");
    let connection = Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    connection.execute_batch(&text).expect("the fixture is SQL");
    assert_eq!(version_of(&connection), version);
    connection
}

fn version_of(connection: &Connection) -> i64 {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("the version")
}

/// What a table, or an index, is: its columns and constraints in any order, since columns that came later stand at the end;
/// without remarks and white space.
fn definition(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in code.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        // The outermost parentheses, and the commas right inside them, part what is defined.
        match (letter, depth) {
            ('(', 1) | (',', 1) | (')', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("never empty").push(letter),
        }
    }
    let mut parts: Vec<String> = parts
        .iter()
        .map(|part| part.trim().replace(['(', ')', ' '], ""))
        .collect();
    parts.sort();
    parts
}

/// Every table and index by name, with what it is.
fn schema(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let mut select = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        .expect("the schema");
    let rows = select.query_map([], |row| Ok((row.get(0)?, definition(&row.get::<_, String>(1)?))));
    rows.expect("the schema").collect::<Result<_, _>>().expect("the schema")
}

/// What SQLite itself makes of the columns of every table: name, type, NOT NULL, default, place in the key.
fn columns(connection: &Connection) -> Vec<String> {
    let mut select = connection
        .prepare(
            "SELECT tables.name || '.' || columns.name || ' ' || columns.type || ' ' || columns.\"notnull\" || ' '
                || coalesce(columns.dflt_value, '-') || ' ' || columns.pk || ' ' || tables.strict || ' ' || tables.wr
             FROM pragma_table_list AS tables, pragma_table_xinfo(tables.name) AS columns
             WHERE tables.schema = 'main' AND tables.name NOT LIKE 'sqlite_%' ORDER BY 1",
        )
        .expect("the columns");
    let rows = select.query_map([], |row| row.get(0)).expect("the columns");
    rows.collect::<Result<_, _>>().expect("the columns")
}

/// Every row of a table, as text by column, of the columns given.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<String>> {
    let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
    let sql = format!("SELECT {} FROM \"{table}\"", quoted.join(", "));
    let mut select = connection.prepare(&sql).expect("a table");
    let rows = select.query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect());
    rows.expect("its rows").collect::<Result<_, _>>().expect("its rows")
}

/// Every table's columns and rows. What a later version adds is not asked for.
fn contents(connection: &Connection) -> BTreeMap<String, (Vec<String>, Vec<Vec<String>>)> {
    let mut select = connection
        .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
        .expect("the tables");
    let tables: Vec<String> = select
        .query_map([], |row| row.get(0))
        .expect("the tables")
        .collect::<Result<_, _>>()
        .expect("the tables");
    let contents = |table: &String| {
        let mut select = connection
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .expect("a table");
        let columns: Vec<String> = select
            .query_map([table], |row| row.get(0))
            .expect("its columns")
            .collect::<Result<_, _>>()
            .expect("its columns");
        let rows = rows(connection, table, &columns);
        (table.clone(), (columns, rows))
    };
    tables.iter().map(contents).collect()
}

/// A way to open a ledger.
type Open = fn(&Path) -> Result<Ledger, LedgerError>;

const WAYS: [Open; 2] = [Ledger::open, Ledger::open_beside];

/// The ledger in `path` is what a fresh one is.
fn assert_equals_a_fresh_one(path: &Path) {
    let dir = tempfile::tempdir().expect("a directory");
    let fresh = dir.path().join("ledger.db");
    drop(Ledger::open(&fresh).expect("a fresh ledger"));
    let (fresh, found) = (open(&fresh), open(path));
    assert_eq!(version_of(&found), SCHEMA_VERSION);
    assert_eq!(columns(&found), columns(&fresh));
    assert_eq!(schema(&found), schema(&fresh));
}

fn open(path: &Path) -> Connection {
    Connection::open(path).expect("the ledger")
}

#[test]
fn there_is_a_fixture_for_every_older_version() {
    let mut found: Vec<String> = fs::read_dir(fixtures())
        .expect("the fixtures")
        .map(|entry| entry.expect("a fixture").file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    let expect: Vec<String> = (1..SCHEMA_VERSION).map(|version| format!("{version}.sql")).collect();
    assert_eq!(found, expect);
}

#[test]
fn an_older_ledger_opens_equals_a_fresh_one_and_keeps_its_rows() {
    for open_by in WAYS {
        for version in 1..SCHEMA_VERSION {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("ledger.db");
            let before = contents(&older(version, &path));
            drop(open_by(&path).expect("it opens"));
            assert_equals_a_fresh_one(&path);

            let after = open(&path);
            for (table, (columns, kept)) in &before {
                let was_empty = EMPTY_BEFORE.contains(&(version, table.as_str()));
                assert!(!kept.is_empty() || was_empty, "the fixture has no {table}");
                if !was_empty {
                    assert_eq!(&rows(&after, table, columns), kept, "{table} of version {version}");
                }
            }
            let broken: i64 = after
                .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
                .expect("the check");
            assert_eq!(broken, 0, "references of version {version}");
        }
    }
}

#[test]
fn an_older_ledger_is_looked_at_and_worked_with() {
    for version in 1..SCHEMA_VERSION {
        let mut gate = Gate::new();
        let root = gate.dir().join("root");
        fs::create_dir_all(&root).expect("a root");
        fs::create_dir_all(gate.state_dir()).expect("a state directory");
        older(version, &gate.ledger());

        let status = gate.cli(["status", "--json"]);
        assert_eq!((status.code, status.stderr.as_str()), (1, ""), "{status}");
        let status = status.json();
        let statuses = |status: &Value| -> Vec<String> {
            let imports = status["imports"].as_array().expect("imports");
            imports
                .iter()
                .map(|import| import["status"].as_str().expect("a word").to_owned())
                .collect()
        };
        let kept = [
            "processed",
            "failed",
            "processed",
            "failed",
            "failed",
            "failed",
            "processed",
            "duplicate",
        ];
        assert_eq!(statuses(&status), kept);
        assert_eq!(status["destinations"][0]["delivered"], 13);
        assert_eq!(status["destinations"][1]["lag_events"], 13);
        assert_equals_a_fresh_one(&gate.ledger());

        // What comes next gets the next number. The archives before it are not in this spool: once somebody says so, the
        // destination goes on without them.
        gate.source_local("acme", &root);
        gate.destination_sqlite("events");
        let (name, bytes) = Archive::feed("20260201000000", r#"[{"event":"Completed Order","id":"42"}]"#);
        fs::write(root.join(name), bytes).expect("an archive");
        assert_eq!(gate.once().code, 1);
        assert_eq!(gate.status()["destinations"][0]["state"], "behind");
        assert_eq!(gate.cli(["retry", "--dead-letters", "events"]).code, 0);
        let once = gate.once();
        assert_eq!(once.code, 0, "{once}");
        let status = gate.status();
        assert_eq!(statuses(&status).len(), kept.len() + 1);
        assert_eq!(status["imports"][kept.len()]["id"], 9);
        let events = &status["destinations"][0];
        assert_eq!((&events["delivered"], &events["lag_events"]), (&14.into(), &0.into()));
    }
}

#[test]
fn an_upgrade_that_fails_half_way_leaves_the_ledger_as_it_was() {
    for open_by in WAYS {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ledger.db");
        let connection = older(1, &path);
        // Somebody's own table is in the way of one that the upgrade makes last but two.
        connection
            .execute_batch("CREATE TABLE budgets (mine)")
            .expect("a table");
        let (schema_before, contents_before) = (schema(&connection), contents(&connection));
        let error = open_by(&path).err().expect("it cannot be upgraded").to_string();
        assert!(
            error.starts_with("opening the ledger `") && error.contains("budgets"),
            "{error}"
        );
        assert_eq!(version_of(&connection), 1);
        assert_eq!(schema(&connection), schema_before);
        assert_eq!(contents(&connection), contents_before);

        connection.execute_batch("DROP TABLE budgets").expect("out of the way");
        drop(open_by(&path).expect("it opens"));
        assert_equals_a_fresh_one(&path);
    }
}

#[test]
fn an_upgrade_that_is_killed_is_done_anew() {
    let upgrade = include_str!("../../src/ledger/upgrade_2.sql");
    for open_by in WAYS {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ledger.db");
        let connection = older(1, &path);
        // Without room for a single page in memory, all that is changed goes into the log on disk at once, as it does where
        // the ledger is large.
        connection.pragma_update(None, "cache_size", 1).expect("no cache");
        connection
            .execute_batch(&format!("BEGIN EXCLUSIVE; {upgrade}; PRAGMA user_version = 2"))
            .expect("the upgrade");

        // What lies on disk at this moment is what a kill leaves.
        let killed = dir.path().join("killed");
        fs::create_dir(&killed).expect("a directory");
        for name in ["ledger.db", "ledger.db-wal"] {
            fs::copy(dir.path().join(name), killed.join(name)).expect("a copy");
        }
        let wal = fs::metadata(killed.join("ledger.db-wal")).expect("the log").len();
        assert!(wal > 0, "nothing of the upgrade was on disk");
        let left = killed.join("ledger.db");
        let after = open(&left);
        assert_eq!(version_of(&after), 1);
        assert!(!schema(&after).contains_key("in_flight"));
        drop(after);
        drop(open_by(&left).expect("it opens"));
        assert_equals_a_fresh_one(&left);
    }
}

#[test]
fn a_newer_ledger_is_refused_and_left_alone() {
    let gate = Gate::new();
    fs::create_dir_all(gate.state_dir()).expect("a state directory");
    let connection = older(1, &gate.ledger());
    connection
        .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
        .expect("the version");
    let before = (schema(&connection), contents(&connection));
    for args in [
        &["status"][..],
        &["events"],
        &["retry", "--failed"],
        &["dead-letters", "events"],
    ] {
        let output = gate.cli(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        assert!(output.stderr.contains("use the newer feedgate"), "{output}");
    }
    assert_eq!((schema(&connection), contents(&connection)), before);
}

#[test]
fn check_does_not_upgrade_a_ledger_beneath_the_daemon_that_wrote_it() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir_all(&root).expect("a root");
    fs::create_dir_all(gate.state_dir()).expect("a state directory");
    let connection = older(1, &gate.ledger());
    gate.source_local("acme", &root);
    gate.destination("events", "type = 'console'");
    let check = gate.cli(["check"]);
    assert_eq!((check.code, check.stderr.as_str()), (0, ""), "{check}");
    assert!(
        check.stdout.ends_with("destination events (console): well\n"),
        "{check}"
    );
    assert_eq!(version_of(&connection), 1);
}
