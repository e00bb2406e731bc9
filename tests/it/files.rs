//! Parquet files: through a real import and delivery, and read back row by row, by DuckDB and by the crate that wrote them.
//! And what NDJSON files have in common with them.
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

/// What there is of a row in a line of NDJSON.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    index: i64,
    body: Body,
}

#[derive(Debug, Deserialize)]
struct Body {
    timestamp: String,
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

#[tokio::test]
async fn bodies_of_a_megabyte_and_no_body_too_many_in_memory() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    for _ in 0..6 {
        feed.timed("2026-02-02T00:00:00Z", 1_769_990_400_000, 1 << 20);
    }
    let expected = feed.import(&world).await;
    for zstd_level in [0, 22] {
        let mut settings = parquet(&world, false);
        if let DestinationKind::File { zstd_level: level, .. } = &mut settings.kind {
            *level = zstd_level;
        }
        assert_eq!(world.deliver(&settings).await, delivered(6));
        let found = read_back(&world);
        let (name, rows) = found.first_key_value().expect("a file");
        same(name, rows, &expected);
        let reader = SerializedFileReader::new(File::open(world.path("lake").join(name)).expect("a file"));
        let footer = reader.expect("a Parquet file");
        let groups = footer.metadata().row_groups();
        assert!(groups.len() > 1, "{} row groups", groups.len());
        let is_compressed = format!("{}", groups[0].column(10).compression()).contains("ZSTD");
        assert_eq!(is_compressed, zstd_level > 0);
        let about = footer
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .expect("metadata");
        assert!(
            about
                .iter()
                .any(|pair| pair.key == "feedgate.archive" && pair.value.as_deref() == Some(MONDAY)),
            "{about:?}"
        );
        forget(&world);
    }
}

#[tokio::test]
async fn only_what_is_wanted_by_the_names_it_has_here() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    for name in ["Completed Order", "visit", "Viewed Page"] {
        let body = format!(r#"{{"event":"{name}","id":"u"}}"#);
        feed.entry(&body, name, |row| row.user_id = Some("u".to_owned()));
    }
    let mut expected = feed.import(&world).await;
    world.import("acme", TUESDAY, "[]").await;
    let mut settings = parquet(&world, false);
    settings.events = vec!["Completed Order".to_owned(), "visit".to_owned()];
    settings.rename = vec![("Completed Order".to_owned(), "$purchase".to_owned())];
    assert_eq!(world.deliver(&settings).await, delivered(2));
    expected.truncate(2);
    expected[0].event = "$purchase".to_owned();
    let found = read_back(&world);
    assert_eq!(found.len(), 1, "an import of nothing is no file");
    same("all", &found.into_values().flatten().collect::<Vec<_>>(), &expected);

    settings.events = vec!["nobody's".to_owned()];
    settings.name = "nothing".to_owned();
    let empty = world.path("nothing");
    if let DestinationKind::File { dir, .. } = &mut settings.kind {
        dir.clone_from(&empty);
    }
    assert_eq!(world.deliver(&settings).await, delivered(0));
    let days = fs::read_dir(&empty).expect("a directory");
    assert_eq!(days.count(), 1, "the owner's mark alone");
}

/// Delivers by the date of the event, twice, and looks at what lies there.
async fn filed_by_date(feed: &Feed) -> BTreeMap<String, Vec<Row>> {
    let world = World::new();
    let expected = feed.import(&world).await;
    let count = expected.len() as u64;
    assert_eq!(world.deliver(&parquet(&world, true)).await, delivered(count));
    let found = read_back(&world);
    let temporaries = tree(&world).into_keys().filter(|name| name.ends_with(".part")).count();
    assert_eq!(temporaries, 0);
    for (name, rows) in &found {
        let day = name.split_once('/').expect("a day").0;
        for row in rows {
            let mut date = String::new();
            events::push_date(&mut date, row.time);
            assert_eq!(date, day);
        }
        assert!(rows.is_sorted_by_key(|row| row.index), "{name} is out of order");
    }
    same("all", &sorted(found.values().flatten().cloned().collect()), &expected);

    let before = tree(&world);
    forget(&world);
    assert_eq!(world.deliver(&parquet(&world, true)).await, delivered(count));
    assert!(tree(&world) == before, "another delivery came to other files");
    found
}

#[tokio::test]
async fn a_hundred_dates_by_turns_are_a_hundred_files() {
    let mut feed = Feed::new("acme", MONDAY);
    // More than is held in memory: what is held of any day is never enough for a row group.
    for n in 0..4_000 {
        let (timestamp, time) = day_of_2025(n % 100);
        feed.timed(&timestamp, time, 4_000);
    }
    let found = filed_by_date(&feed).await;
    assert_eq!(found.len(), 100);
    assert!(found.values().all(|rows| rows.len() == 40));
}

#[tokio::test]
async fn a_date_that_comes_again_when_its_file_is_closed_has_a_second_one() {
    let mut feed = Feed::new("acme", MONDAY);
    // Each date has enough for a row group; the first has most, so that its file is begun first, and closed first.
    for n in (0..60).chain([0]) {
        let (timestamp, time) = day_of_2025(n);
        feed.timed(&timestamp, time, if n == 0 { 400_000 } else { 300_000 });
    }
    let found = filed_by_date(&feed).await;
    assert_eq!(found.len(), 61);
    let of_first: Vec<(&String, usize)> = found
        .iter()
        .filter(|(name, _)| name.starts_with("2025-01-01/"))
        .map(|(name, rows)| (name, rows.len()))
        .collect();
    assert!(
        matches!(of_first[..], [(second, _), (_, _)] if second.ends_with("-2.parquet")),
        "{of_first:?}"
    );
}

#[tokio::test]
async fn dates_before_1970_and_far_away() {
    let mut feed = Feed::new("acme", MONDAY);
    feed.timed("0001-01-01T00:00:00Z", -62_135_596_800_000, 0);
    feed.timed("1969-12-31T23:59:59.999Z", -1, 0);
    feed.timed("1970-01-01T00:00:00Z", 0, 0);
    feed.timed("9999-12-31T23:59:59.999Z", 253_402_300_799_999, 0);
    let found = filed_by_date(&feed).await;
    let days: Vec<&str> = found.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    assert_eq!(days, ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"]);
}

#[tokio::test]
async fn a_crash_between_renames_comes_to_the_same_files() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    for n in 0..60 {
        let (timestamp, time) = day_of_2025(n % 3);
        feed.timed(&timestamp, time, 1_000);
    }
    feed.import(&world).await;
    let settings = parquet(&world, true);
    assert_eq!(world.deliver(&settings).await, delivered(60));
    let whole = tree(&world);
    let names: Vec<&String> = whole.keys().collect();
    assert_eq!(names.len(), 3);

    // So many were renamed when the power went; the others have their temporary names, and one is cut short.
    for renamed in 0..=3 {
        for (n, name) in names.iter().enumerate().skip(renamed) {
            let (day, file) = name.split_once('/').expect("a day");
            let temporary = world.path(&format!("lake/{day}/.{file}.part"));
            fs::rename(world.path("lake").join(name), &temporary).expect("not renamed yet");
            if n == 2 {
                fs::write(&temporary, "PAR1").expect("cut short");
            }
        }
        forget(&world);
        assert_eq!(world.deliver(&settings).await, delivered(60));
        assert!(tree(&world) == whole, "after {renamed} renames");
    }
}

#[tokio::test]
async fn what_an_earlier_attempt_left_under_other_names_goes() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    let (timestamp, time) = day_of_2025(0);
    feed.timed(&timestamp, time, 0);
    feed.import(&world).await;
    let settings = parquet(&world, true);
    assert_eq!(world.deliver(&settings).await, delivered(1));
    let whole = tree(&world);
    let name = whole.keys().next().expect("a file");
    let key = name
        .strip_prefix("2025-01-01/")
        .and_then(|file| file.strip_suffix(".parquet"))
        .expect("its key");

    // It had more files, of other days and of the other form; and whatever is not its own stays.
    let stays = [
        "2025-01-01/0123456789abcdef0123456789abcdef.parquet".to_owned(),
        format!("2025-01-01/{key}.notes"),
        format!("somebodys/{key}.parquet"),
    ];
    let goes = [
        format!("2025-01-01/{key}-2.parquet"),
        format!("2025-01-01/{key}-3.parquet"),
        format!("2025-01-01/{key}.ndjson.zst"),
        format!("2025-01-01/.{key}.rows.part"),
        format!("2026-02-03/{key}.ndjson"),
        format!("2026-02-03/{key}.parquet"),
    ];
    for name in stays.iter().chain(&goes) {
        let path = world.path("lake").join(name);
        fs::create_dir_all(path.parent().expect("a day")).expect("a directory");
        fs::write(path, "").expect("a file");
    }
    forget(&world);
    assert_eq!(world.deliver(&settings).await, delivered(1));
    let mut expected = whole.clone();
    expected.extend(stays.map(|name| (name, Vec::new())));
    assert_eq!(
        tree(&world).keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert!(tree(&world) == expected);
}

#[tokio::test]
async fn files_of_the_form_before_stay() {
    let world = World::new();
    let mut monday = Feed::new("acme", MONDAY);
    monday.timed("2026-02-02T00:00:00Z", 1_769_990_400_000, 0);
    monday.import(&world).await;
    let mut settings = parquet(&world, false);
    if let DestinationKind::File { format, .. } = &mut settings.kind {
        *format = FileFormat::Ndjson;
    }
    assert_eq!(world.deliver(&settings).await, delivered(1));
    let before = tree(&world);

    let mut tuesday = Feed::new("acme", TUESDAY);
    tuesday.timed("2026-02-03T00:00:00Z", 1_770_076_800_000, 0);
    tuesday.import(&world).await;
    assert_eq!(world.deliver(&parquet(&world, false)).await, delivered(1));
    let after = tree(&world);
    let endings = |ending: &str| after.keys().filter(|name| name.ends_with(ending)).count();
    assert_eq!((after.len(), endings(".ndjson.zst"), endings(".parquet")), (2, 1, 1));
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));
}

#[tokio::test]
async fn dates_by_turns_are_few_frames_of_ndjson() {
    let world = World::new();
    let mut feed = Feed::new("acme", MONDAY);
    // More days than were ever open at a time, and more text than is held.
    for n in 0..6_000 {
        let (timestamp, time) = day_of_2025(n * 7 % 45);
        feed.timed(&timestamp, time, 2_000);
    }
    let expected = feed.import(&world).await;
    for zstd_level in [3, 0] {
        let mut settings = parquet(&world, true);
        if let DestinationKind::File {
            format,
            zstd_level: level,
            ..
        } = &mut settings.kind
        {
            *format = FileFormat::Ndjson;
            *level = zstd_level;
        }
        assert_eq!(world.deliver(&settings).await, delivered(6_000));
        let found = tree(&world);
        assert_eq!(found.len(), 45);
        let mut rows = Vec::new();
        for (name, bytes) in &found {
            let text = match zstd_level {
                0 => bytes.clone(),
                _ => zstd::decode_all(&bytes[..]).expect("zstd"),
            };
            let magic_numbers = bytes
                .windows(4)
                .filter(|four| *four == [0x28, 0xb5, 0x2f, 0xfd])
                .count();
            assert!(magic_numbers <= 4, "{name} has {magic_numbers} frames");
            let day = name.split_once('/').expect("a day").0;
            let lines: Vec<Line> = serde_json::Deserializer::from_slice(&text)
                .into_iter()
                .map(|line| line.expect("a line"))
                .collect();
            assert!(lines.is_sorted_by_key(|line| line.index), "{name} is out of order");
            assert!(lines.iter().all(|line| line.body.timestamp.starts_with(day)), "{name}");
            rows.extend(lines.into_iter().map(|line| (line.index, line.id)));
        }
        rows.sort();
        assert!(
            rows.into_iter()
                .eq(expected.iter().map(|row| (row.index, row.id.clone())))
        );

        forget(&world);
        assert_eq!(world.deliver(&settings).await, delivered(6_000));
        assert!(tree(&world) == found, "another delivery came to other files");
        forget(&world);
    }
}
