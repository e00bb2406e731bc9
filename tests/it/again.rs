//! What somebody asks of all who read on in the log: an import delivered once more, an import taken back, a person erased.
//!
//! The real binary, a local directory as source, real stores, an HTTP receiver.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use rusqlite::Connection;
use serde_json::Value;

use crate::house::archives::Archive;
use crate::house::gate::{Daemon, Gate, Output, wait_until};
use crate::house::http_server::HttpServer;

mod erased; // a person, wherever there is something of them
mod killed; // at random moments, while all of it is asked for
mod replayed; // retry --import
mod undone; // undo

/// A feed of a source, and every kind of destination.
struct World {
    gate: Gate,
    inbox: PathBuf,
    server: HttpServer,
}

/// A row of a SQLite destination: number, id, import, user, e-mail, body.
type Row = (i64, String, i64, Option<String>, Option<String>, String);

impl World {
    fn new() -> World {
        World::with("")
    }

    /// With more keys for the source.
    fn with(keys: &str) -> World {
        let mut gate = Gate::new();
        let inbox = gate.dir().join("inbox");
        fs::create_dir(&inbox).expect("the inbox");
        gate.source_local_with("acme", &inbox, keys);
        let world = World {
            server: HttpServer::start(),
            gate,
            inbox,
        };
        world.with_destinations()
    }

    fn with_destinations(mut self) -> World {
        let gate = &mut self.gate;
        gate.destination_sqlite("events");
        gate.destination("lines", "type = \"file\"");
        gate.destination(
            "days",
            "type = \"file\"\npartition = \"event_date\"\ncompression = \"none\"",
        );
        gate.destination("table", "type = \"file\"\nformat = \"parquet\"");
        let url = format!("type = \"http\"\nurl = \"{}/in\"", self.server.url());
        gate.destination("crm", &url);
        self
    }

    /// Drops an archive, by the digits in its name.
    fn upload(&self, digits: &str, feed: &str) -> String {
        let (name, bytes) = Archive::feed(digits, feed);
        fs::write(self.inbox.join(&name), bytes).expect("an upload");
        name
    }

    /// One pass, which must go well.
    #[track_caller]
    fn once(&self) -> Output {
        let once = self.gate.once();
        assert_eq!(once.code, 0, "{once}");
        once
    }

    #[track_caller]
    fn well(&self, args: &[&str]) -> Output {
        let output = self.gate.cli(args);
        assert_eq!(output.code, 0, "{args:?}: {output}");
        output
    }

    /// Could not be done: what was said of it.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let output = self.gate.cli(args);
        assert_eq!(output.code, 2, "{args:?}: {output}");
        output.stderr
    }

    /// The rows of the SQLite destination, in their order.
    fn rows(&self) -> Vec<Row> {
        rows(&self.gate.state_dir().join("events.db"))
    }

    /// The ids of all events that the file destination of this name has, in order.
    fn ids_in(&self, name: &str) -> Vec<String> {
        let mut ids: Vec<String> = files(&self.gate.state_dir().join(name))
            .iter()
            .flat_map(|(path, bytes)| ids_of(path, bytes))
            .collect();
        ids.sort();
        ids
    }

    /// The ids of all events that every store has, which is the same for all.
    #[track_caller]
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.rows().into_iter().map(|row| row.1).collect();
        ids.sort();
        for name in ["lines", "days", "table"] {
            assert_eq!(self.ids_in(name), ids, "{name}");
        }
        ids
    }

    /// The ids of all events that were posted, as they came.
    fn posted(&self) -> Vec<String> {
        let requests = self.server.stored();
        let lines = requests.iter().flat_map(|request| {
            String::from_utf8_lossy(&request.body)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        lines.map(|line| id_of(&line)).collect()
    }

    fn trees(&self) -> BTreeMap<String, BTreeMap<PathBuf, Vec<u8>>> {
        let tree = |name: &str| (name.to_owned(), files(&self.gate.state_dir().join(name)));
        ["lines", "days", "table"].into_iter().map(tree).collect()
    }

    /// What `status` says of a request.
    fn request(&self, id: &str) -> Value {
        self.well(&["status", id, "--json"]).json()
    }

    /// Waits until nothing is left to be done of any request.
    fn all_done(&self) {
        wait_until("every request to be done", || {
            let status = self.gate.status();
            let requests = status["requests"].as_array().expect("requests");
            requests.iter().all(|request| request["done"] == true)
        });
    }
}

fn rows(path: &Path) -> Vec<Row> {
    let database = Connection::open(path).expect("the database");
    let mut select = database
        .prepare("SELECT n, id, import, user_id, email, body FROM events ORDER BY n")
        .expect("the table");
    let rows = select.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
        ))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// Every file below a directory that holds events, by its path in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(days) = fs::read_dir(dir) else { return found };
    for day in days.map(|day| day.expect("a day").path()).filter(|day| day.is_dir()) {
        for file in fs::read_dir(&day)
            .expect("a day")
            .map(|file| file.expect("a file").path())
        {
            let path = file.strip_prefix(dir).expect("below").to_owned();
            found.insert(path, fs::read(&file).expect("a file"));
        }
    }
    found
}

fn ids_of(path: &Path, bytes: &[u8]) -> Vec<String> {
    let name = path.to_string_lossy();
    if name.ends_with(".parquet") {
        return parquet_rows(bytes).iter().map(|row| row["id"].clone()).collect();
    }
    let text = match name.ends_with(".zst") {
        true => zstd::decode_all(bytes).expect("zstd"),
        false => bytes.to_vec(),
    };
    String::from_utf8(text).expect("text").lines().map(id_of).collect()
}

fn id_of(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("a line of JSON");
    line["id"].as_str().expect("an id").to_owned()
}

/// A feed of so many events of one person each, on two days by turns.
fn feed(prefix: &str, count: usize) -> String {
    let entries: Vec<String> = (0..count)
        .map(|n| {
            let day = 4 + n % 2;
            format!(
                r#"{{"event":"purchase","id":"{prefix}-{n}","timestamp":"2026-02-0{day}T10:00:00.000Z","total":{n}}}"#
            )
        })
        .collect();
    format!("[{}]", entries.join(",\n"))
}

/// The daemon, once it has come to everything there is.
fn run_until_idle(world: &World) -> Daemon {
    let daemon = world.gate.run();
    wait_until("every destination to be idle", || {
        let status = world.gate.status();
        let destinations = status["destinations"].as_array().expect("destinations");
        let imports = status["imports"].as_array().expect("imports");
        !imports.is_empty()
            && imports.iter().all(|import| import["status"] == "processed")
            && destinations
                .iter()
                .all(|destination| destination["state"] == "idle" && destination["lag_imports"] == 0)
    });
    daemon
}

/// What a Parquet file's rows say: name and text of every column.
fn parquet_rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let rows = reader.get_row_iter(None).expect("rows");
    let text = |field: &Field| match field {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    };
    rows.map(|row| {
        let row = row.expect("a row");
        let columns = row.get_column_iter();
        columns.map(|(name, field)| (name.clone(), text(field))).collect()
    })
    .collect()
}
