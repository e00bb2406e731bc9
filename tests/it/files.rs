//! Parquet files: through a real import and delivery, and read back row by row, by DuckDB and by the crate that wrote them.
//!
//! DuckDB lies in `target/python`, where `tests/run` puts it. Without it the tests say so, and only the crate reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use feedgate::config::resolve::{DestinationKind, DestinationSettings, FileFormat};
use feedgate::events;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as Record};
use serde::Deserialize;

use crate::delivery::{IMPORTED_AT, MONDAY, TUESDAY, World, delivered, settings};

/// A row, as it should be or as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Row {
    import: i64,
    index: i64,
    id: String,
    event: String,
    user_id: Option<String>,
    email: Option<String>,
    business_unit: Option<String>,
    time: i64,
    source: String,
    archive: String,
    body: String,
}

/// What is in a file.
#[derive(Debug, Deserialize)]
struct Content {
    /// Name and type of each column, as DuckDB calls the type.
    columns: Vec<(String, String)>,
    rows: Vec<Row>,
}

/// A directory of files, by the path in it: their bytes.
type Tree = BTreeMap<String, Vec<u8>>;

const COLUMNS: [(&str, &str); 11] = [
    ("id", "VARCHAR"),
    ("event", "VARCHAR"),
    ("user_id", "VARCHAR"),
    ("email", "VARCHAR"),
    ("business_unit", "VARCHAR"),
    ("time", "TIMESTAMP WITH TIME ZONE"),
    ("source", "VARCHAR"),
    ("archive", "VARCHAR"),
    ("import", "BIGINT"),
    ("index", "BIGINT"),
    ("body", "VARCHAR"),
];

/// Reads each file named on its command line; prints a line of JSON for each.
const SCRIPT: &str = r#"
import duckdb, json, sys
db = duckdb.connect()
for path in sys.argv[1:]:
    columns = [row[:2] for row in db.execute("DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [path]).fetchall()]
    rows = db.execute("SELECT * REPLACE (epoch_ms(time) AS time) FROM read_parquet(?, hive_partitioning = false)", [path])
    names = [column[0] for column in rows.description]
    print(json.dumps({"columns": columns, "rows": [dict(zip(names, row)) for row in rows.fetchall()]}))
"#;

fn parquet(world: &World, by_event_date: bool) -> DestinationSettings {
    let kind = DestinationKind::File {
        dir: world.path("lake"),
        by_event_date,
        format: FileFormat::Parquet,
        zstd_level: 3,
    };
    settings("lake", kind)
}

/// The files under the directory, but for the owner's mark.
fn tree(world: &World) -> Tree {
    let root = world.path("lake");
    let mut found = Tree::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).expect("below").display().to_string();
            if name != ".feedgate" {
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// All rows of all files, by the file's path, in the file's order: the same, whoever reads.
fn read_back(world: &World) -> BTreeMap<String, Vec<Row>> {
    let names: Vec<String> = tree(world).into_keys().collect();
    let paths: Vec<PathBuf> = names.iter().map(|name| world.path("lake").join(name)).collect();
    let ours: Vec<Vec<Row>> = paths.iter().map(|path| by_the_crate(path)).collect();
    if let Some(theirs) = by_duckdb(&paths) {
        for (name, (ours, theirs)) in names.iter().zip(ours.iter().zip(theirs)) {
            let columns = theirs.columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str()));
            assert!(columns.eq(COLUMNS), "{name}: {:?}", theirs.columns);
            same(name, &theirs.rows, ours);
        }
    }
    names.into_iter().zip(ours).collect()
}

fn by_the_crate(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).expect("a file")).expect("a Parquet file");
    let text = |field: &Field| match field {
        Field::Str(text) => Some(text.clone()),
        Field::Null => None,
        other => panic!("{other:?} is no text"),
    };
    let number = |field: &Field| match field {
        Field::Long(number) | Field::TimestampMillis(number) => *number,
        other => panic!("{other:?} is no number"),
    };
    let row = |record: Record| {
        let fields: BTreeMap<String, Field> = record.into_columns().into_iter().collect();
        let required = |name: &str| text(&fields[name]).expect("a text");
        Row {
            import: number(&fields["import"]),
            index: number(&fields["index"]),
            id: required("id"),
            event: required("event"),
            user_id: text(&fields["user_id"]),
            email: text(&fields["email"]),
            business_unit: text(&fields["business_unit"]),
            time: number(&fields["time"]),
            source: required("source"),
            archive: required("archive"),
            body: required("body"),
        }
    };
    let records = reader.get_row_iter(None).expect("rows");
    records.map(|record| row(record.expect("a row"))).collect()
}

/// `None` where there is no DuckDB.
fn by_duckdb(paths: &[PathBuf]) -> Option<Vec<Content>> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    if !python.exists() {
        // Not by a macro: what those print is not shown of a test that passes.
        writeln!(
            std::io::stderr(),
            "NOT TRIED: there is no DuckDB in target/python, so only the crate that wrote them has read the Parquet files"
        )
        .expect("stderr");
        return None;
    }
    let mut child = Command::new(python)
        .arg("-")
        .args(paths)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(SCRIPT.as_bytes())
        .expect("the script");
    let output = child.wait_with_output().expect("python");
    assert!(output.status.success(), "python failed; see above");
    let text = String::from_utf8(output.stdout).expect("text");
    let contents: Vec<Content> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a file's content"))
        .collect();
    assert_eq!(contents.len(), paths.len());
    Some(contents)
}

/// As `assert_eq`, but of bodies of a megabyte only the place is shown.
fn same(what: &str, found: &[Row], expected: &[Row]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of rows");
    for (found, expected) in found.iter().zip(expected) {
        let short = |row: &Row| format!("{row:.300?}").chars().take(2_000).collect::<String>();
        assert!(
            found == expected,
            "{what}:\n   {}\nnot {}",
            short(found),
            short(expected)
        );
    }
}

/// A feed of entries, and the rows they should become.
struct Feed {
    source: &'static str,
    archive: &'static str,
    entries: Vec<(String, Row)>,
}

impl Feed {
    fn new(source: &'static str, archive: &'static str) -> Feed {
        Feed {
            source,
            archive,
            entries: Vec::new(),
        }
    }

    /// Adds an entry, of which `change` tells what is not as with all others: no identity but `id`, and the time of import.
    fn entry(&mut self, body: &str, event: &str, change: impl FnOnce(&mut Row)) {
        let mut row = Row {
            import: 0,
            index: self.entries.len() as i64,
            id: String::new(),
            event: event.to_owned(),
            user_id: None,
            email: None,
            business_unit: None,
            time: IMPORTED_AT,
            source: self.source.to_owned(),
            archive: self.archive.to_owned(),
            body: body.to_owned(),
        };
        change(&mut row);
        self.entries.push((body.to_owned(), row));
    }

    /// An entry with a time of its own and as much text as is wanted.
    fn timed(&mut self, timestamp: &str, time: i64, bytes: usize) {
        let user = format!("u{}", self.entries.len());
        let body = format!(
            r#"{{"event":"e","id":"{user}","timestamp":"{timestamp}","text":"{}"}}"#,
            noise(bytes, self.entries.len())
        );
        self.entry(&body, "e", |row| {
            row.user_id = Some(user);
            row.time = time;
        });
    }

    /// Has it imported, and returns the rows with what only an import knows.
    async fn import(&self, world: &World) -> Vec<Row> {
        let entries: Vec<&str> = self.entries.iter().map(|(entry, _)| entry.as_str()).collect();
        let import = world
            .import(self.source, self.archive, &format!("[{}]", entries.join(",")))
            .await;
        let spooled = fs::read(world.path("spool").join(format!("{}-{}", self.source, self.archive))).expect("spooled");
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(spooled).into();
        let key = events::key(self.source, self.archive, &sha256);
        let rows = self.entries.iter().map(|(_, row)| Row {
            import,
            id: format!("{key}-{}", row.index),
            ..row.clone()
        });
        rows.collect()
    }
}

/// Text that does not compress to nothing, and differs by `seed`.
fn noise(bytes: usize, seed: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 40) as u8 % 26)
    };
    (0..bytes).map(|_| next()).collect()
}

/// A time of day on the so many-th day of 2025: as written, and in milliseconds.
fn day_of_2025(day: i64) -> (String, i64) {
    let time = 1_735_689_600_000 + day * 86_400_000 + 3_600_000;
    let mut text = String::new();
    events::push_utc(&mut text, time);
    (text, time)
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// Makes the ledger forget every delivery.
fn forget(world: &World) {
    world.tamper("UPDATE destinations SET seq = 1, \"index\" = 0, delivered = 0");
}

#[tokio::test]
async fn every_column_of_every_row() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    feed.entry(
        "{\"event\":\"purchase\",\n  \"id\":\"u1\", \"total\":5.00, \"far\":1e400}",
        "purchase",
        |row| row.user_id = Some("u1".to_owned()),
    );
    feed.entry(
        r#"{"event":"pur\u0063hase","email":"zoë@example.com","businessUnit":"Ö 北","half":"\ud800 \u0000"}"#,
        "purchase",
        |row| {
            row.email = Some("zoë@example.com".to_owned());
            row.business_unit = Some("Ö 北".to_owned());
        },
    );
    feed.entry(
        r#"{"event":"🎉 \"quoted\"","id":4711,"email":"a@example.com","timestamp":"1969-12-31T23:59:59.999Z"}"#,
        "🎉 \"quoted\"",
        |row| {
            row.user_id = Some("4711".to_owned());
            row.email = Some("a@example.com".to_owned());
            row.business_unit = Some("DE".to_owned());
            row.time = -1;
        },
    );
    feed.timed("0001-01-01T00:00:00Z", -62_135_596_800_000, 0);
    feed.timed("9999-12-31T23:59:59.999Z", 253_402_300_799_999, 0);
    let expected = feed.import(&world).await;

    assert_eq!(world.deliver(&parquet(&world, false)).await, delivered(5));
    let found = read_back(&world);
    let (name, rows) = found.first_key_value().expect("a file");
    let key = expected[0].id.strip_suffix("-0").expect("the first id");
    assert_eq!((found.len(), name), (1, &format!("2026-02-03/{key}.parquet")));
    same(name, rows, &expected);
}
