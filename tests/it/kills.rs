//! Killed at random moments, while archives are dropped; and at the end everything is where it belongs, once.
//!
//! A real `sshd`, the real binary, SIGKILL. The dice are seeded, and the seed is printed: `KILLS_SEED=… ` throws the same
//! archives and the same waits again (what the machine does in between is its own affair). `KILLS=1000 KILLS_ARCHIVES=800`
//! makes a long run, of more than 100,000 entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use serde_json::Value;

use crate::house::archives::{Archive, Method};
use crate::house::gate::{Gate, wait_until};
use crate::house::http_server::HttpServer;
use crate::house::sshd::Sshd;

/// What a partner sends, and what must become of it.
struct Sent {
    name: String,
    bytes: Vec<u8>,
    /// How many entries are in it.
    entries: usize,
    /// The accepted entries: index and text.
    events: Vec<(u64, String)>,
    /// Failed archives stay in the root.
    stays: bool,
    /// How many files of it there are, in all places together.
    copies: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Good,
    /// The wrong name inside: imported, failed, not moved.
    Lenient,
    /// Two files: likewise.
    TwoFiles,
    /// No JSON: nothing is imported.
    Broken,
    /// An upload that was cut off and never goes on.
    CutOff,
    /// Too large to share a spool file.
    Large,
}

const KINDS: [Kind; 9] = [
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Lenient,
    Kind::TwoFiles,
    Kind::Broken,
    Kind::CutOff,
    Kind::Large,
];

struct World {
    sshd: Sshd,
    server: HttpServer,
    gate: Gate,
    events_db: PathBuf,
    dice: fastrand::Rng,
    sent: Vec<Sent>,
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn killed_at_random_moments_every_event_is_there_once_and_every_archive_in_one_place() {
    let seed = number("KILLS_SEED", fastrand::u64(..));
    let kills = number("KILLS", 25);
    let archives = number("KILLS_ARCHIVES", 60);
    println!("KILLS_SEED={seed} KILLS={kills} KILLS_ARCHIVES={archives}");
    let begun = Instant::now();
    let mut world = World::new(seed);
    for kill in 0..kills {
        let daemon = world.gate.start();
        let due = archives * (kill + 1) / kills;
        // All at once, one after the other, or slowly.
        let pace = [1, 40, 200][world.dice.usize(..3)];
        while (world.sent.len() as u64) < due {
            world.send();
            world.pause(pace);
        }
        world.send_something_again();
        // Now hardly started, now in the middle of it, now long idle.
        let patience = [100, 400, 900][world.dice.usize(..3)];
        world.pause(patience);
        daemon.kill();
        world.check_after_a_kill(kill);
    }
    let daemon = world.gate.run();
    world.comes_to_rest();
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    let again = world.gate.once();
    assert_eq!(again.code, 0, "nothing was left to do: {again}");
    let repeated = world.check_at_the_end();
    let entries: usize = world.sent.iter().map(|sent| sent.entries).sum();
    let (archives, took) = (world.sent.len(), begun.elapsed().as_secs());
    println!("{kills} kills, {archives} archives, {entries} entries, {repeated} sent twice over HTTP, {took} s");
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a number in the variable"))
}

impl World {
    fn new(seed: u64) -> World {
        let sshd = Sshd::start();
        let mut gate = Gate::new();
        let quick = "settle = \"0s\"\nincomplete_grace = \"1s\"\npoll_interval = \"100ms\"\n";
        gate.source_toml("acme", &format!("{}{quick}", sshd.toml()));
        let events_db = gate.destination_sqlite("events");
        gate.destination("files", "type = \"file\"");
        let server = HttpServer::start();
        let url = format!("url = \"{}/in\"", server.url());
        gate.destination("crm", &format!("type = \"http\"\nstart = \"oldest\"\n{url}"));
        World {
            sshd,
            server,
            gate,
            events_db,
            dice: fastrand::Rng::with_seed(seed),
            sent: Vec::new(),
        }
    }

    fn pause(&mut self, millis_max: u64) {
        std::thread::sleep(Duration::from_millis(self.dice.u64(..millis_max)));
    }

    /// The partner drops another archive.
    fn send(&mut self) {
        let number = self.sent.len();
        // Each kind at least once, then as the dice fall.
        let kind = match KINDS.get(number) {
            Some(kind) => *kind,
            None => KINDS[self.dice.usize(..KINDS.len())],
        };
        let sent = self.archive(number, kind);
        self.upload(&sent.name, &sent.bytes, number as u64);
        self.sent.push(sent);
    }

    fn archive(&mut self, number: usize, kind: Kind) -> Sent {
        let digits = format!(
            "202401{:02}{:02}{:02}00",
            1 + number / 1440,
            number / 60 % 24,
            number % 60
        );
        let member = format!("event_history_{digits}.json");
        let name = format!("{member}.zip");
        let (entries, padding) = match kind {
            Kind::Large => (self.dice.usize(1000..2000), 300),
            _ => (self.dice.usize(2..40), 10),
        };
        let (feed, events) = self.feed(number, entries, padding);
        let archive = match kind {
            Kind::Good | Kind::CutOff => Archive::of(&member, &feed),
            Kind::Lenient => Archive::of("feed.json", &feed),
            Kind::TwoFiles => Archive::of(&member, &feed).file("readme.txt", "hello"),
            Kind::Broken => Archive::of(&member, &feed[..feed.len() - 1]),
            Kind::Large => Archive::empty().packed(Method::Stored, &member, feed.as_bytes()),
        };
        let mut bytes = archive.bytes();
        if matches!(kind, Kind::CutOff) {
            bytes.truncate(bytes.len() - 30);
        }
        Sent {
            name,
            bytes,
            entries,
            events: match kind {
                Kind::Broken | Kind::CutOff => Vec::new(),
                _ => events,
            },
            stays: !matches!(kind, Kind::Good | Kind::Large),
            copies: 1,
        }
    }

    /// A feed, and what must be accepted of it: text that a reader which understood it would not give back as it came.
    fn feed(&mut self, number: usize, entries: usize, padding: usize) -> (String, Vec<(u64, String)>) {
        let mut texts = Vec::new();
        let mut events = Vec::new();
        for index in 0..entries {
            let noise: String = (0..padding).map(|_| self.dice.alphanumeric()).collect();
            if index > 0 && self.dice.u8(..) < 20 {
                texts.push(format!(r#"{{"event":"","id":"{noise}"}}"#));
                continue;
            }
            let text =
                format!(r#"{{"event":"Purchase","id":"{number}-{index}","total":5.00,"note":"\u0041 {noise} ü"}}"#);
            events.push((index as u64, text.clone()));
            texts.push(text);
        }
        (format!("[{}]", texts.join(",\n")), events)
    }

    /// Whole and at once, as a partner does who renames. Each upload has a time of its own.
    fn upload(&self, name: &str, bytes: &[u8], age: u64) {
        let beside = self.sshd.dir().join("upload");
        fs::write(&beside, bytes).expect("writing an upload");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + age);
        let file = File::options().write(true).open(&beside).expect("the upload");
        file.set_modified(time).expect("its time");
        fs::rename(beside, self.sshd.root().join(name)).expect("putting an upload into place");
    }

    /// The partner is not sure, and sends the same bytes again.
    fn send_something_again(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let which = self.dice.usize(..self.sent.len());
        let age = 100_000 + self.sent.iter().map(|sent| sent.copies as u64).sum::<u64>();
        let (root, sent) = (self.sshd.root(), &self.sent[which]);
        let receipt = root.join(format!("receipts/{}.receipt.json", sent.name));
        if !receipt.exists() {
            return; // nothing has become of it yet
        }
        match (root.join(&sent.name).exists(), sent.stays) {
            (false, false) => self.sent[which].copies += 1,
            // Over the one that lies there. If its events are in, this one is a duplicate, and put away.
            (true, true) => self.sent[which].stays = sent.events.is_empty(),
            _ => return,
        }
        let sent = &self.sent[which];
        self.upload(&sent.name, &sent.bytes, age);
    }

    fn check_after_a_kill(&self, kill: u64) {
        let ledger = self.gate.ledger();
        if !ledger.exists() {
            return; // it did not get that far
        }
        let status = self.gate.cli(["status", "--json"]);
        assert!(status.code < 2, "after kill {kill}: {status}");
        for database in [ledger, self.events_db.clone()] {
            assert_eq!(ask(&database, "PRAGMA integrity_check"), ["ok"], "after kill {kill}");
        }
        if !ask(&self.events_db, "SELECT name FROM sqlite_schema WHERE name = 'events'").is_empty() {
            let twice = "SELECT archive FROM events GROUP BY archive, \"index\" HAVING count(*) > 1 LIMIT 3";
            assert_eq!(ask(&self.events_db, twice), Vec::<String>::new(), "after kill {kill}");
        }
        // A rename that was on its way takes effect after the daemon's death.
        wait_until(&format!("every archive in one place, after kill {kill}"), || {
            let places = self.places();
            let copies = |sent: &Sent| places.get(stem(&sent.name)).map_or(0, Vec::len);
            self.sent.iter().all(|sent| copies(sent) == sent.copies)
        });
    }

    /// Where archives lie, by what their names begin with.
    fn places(&self) -> BTreeMap<String, Vec<String>> {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for dir in ["", "processed/"] {
            for name in names(&self.sshd.root().join(dir)) {
                let place = format!("{dir}{name}");
                places.entry(stem(&name).to_owned()).or_default().push(place);
            }
        }
        places
    }

    fn comes_to_rest(&self) {
        let uploads: usize = self.sent.len();
        let mut status = Value::Null;
        let mut rests = || {
            status = self.gate.status();
            let list = |key: &str| status[key].as_array().cloned().unwrap_or_default();
            let imports = list("imports");
            let is_done = |import: &Value| import["status"] != "importing" && import["disposition"] != "pending";
            imports.len() >= uploads
                && imports.iter().all(is_done)
                && list("waiting").is_empty()
                && list("destinations")
                    .iter()
                    .all(|destination| destination["lag_events"] == 0)
                && self.sent.iter().all(|sent| self.is_in_place(sent))
        };
        wait_until("rest", &mut rests);
    }

    fn is_in_place(&self, sent: &Sent) -> bool {
        let in_root = self.sshd.root().join(&sent.name).exists();
        in_root == sent.stays
    }

    /// Answers with how many events were sent more than once to whom it cannot be told otherwise.
    fn check_at_the_end(&self) -> usize {
        let expect = self.expected();
        assert!(expect.len() > self.sent.len(), "the dice sent next to nothing");
        self.check_places_and_receipts();

        let rows = ask(
            &self.events_db,
            "SELECT archive || ' ' || \"index\" || ' ' || body FROM events ORDER BY archive, \"index\"",
        );
        let lines: Vec<String> = expect
            .iter()
            .map(|((archive, index), body)| format!("{archive} {index} {body}"))
            .collect();
        assert_same("the sqlite destination", &rows, &lines);
        // The ids are unique; and the bodies the same byte for byte, from the spool and in the files.
        let ids = ask(&self.events_db, "SELECT id FROM events ORDER BY archive, \"index\"");
        let imports = ask(&self.events_db, "SELECT import FROM events ORDER BY archive, \"index\"");
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "an id for each event"
        );
        let mut expect_lines = Vec::new();
        for (((archive, index), body), (id, import)) in expect.iter().zip(ids.iter().zip(&imports)) {
            expect_lines.push(format!(
                r#"{{"id":"{id}","import":{import},"archive":"{archive}","index":{index},"event":"Purchase","body":{body}}}"#
            ));
        }
        expect_lines.sort();
        let printed = self.gate.cli(["events"]);
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        let mut printed: Vec<String> = printed.stdout.lines().map(str::to_owned).collect();
        printed.sort();
        assert_same("`feedgate events`", &printed, &expect_lines);
        assert_same("the files", &self.lines_in_files(), &expect_lines);

        let referred = ask(
            &self.gate.ledger(),
            "SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL ORDER BY 1",
        );
        assert_eq!(names(&self.gate.state_dir().join("spool")), referred, "the spool");
        self.check_what_came_over_http(&ids)
    }

    /// Every event came, and nothing else did. One whose answer was not read when the daemon was killed came again, with the same id.
    fn check_what_came_over_http(&self, ids: &[String]) -> usize {
        let mut came = Vec::new();
        for request in self.server.stored() {
            let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
            came.extend(request.events().iter().map(id));
        }
        let distinct: BTreeSet<&String> = came.iter().collect();
        let expect: BTreeSet<&String> = ids.iter().collect();
        assert!(
            distinct == expect,
            "{} came over HTTP, of {}",
            distinct.len(),
            expect.len()
        );
        came.len() - distinct.len()
    }

    /// Every event that was sent, by archive and index.
    fn expected(&self) -> BTreeMap<(String, u64), String> {
        let mut expected = BTreeMap::new();
        for sent in &self.sent {
            for (index, body) in &sent.events {
                expected.insert((sent.name.clone(), *index), body.clone());
            }
        }
        expected
    }

    fn check_places_and_receipts(&self) {
        let root = self.sshd.root();
        let places = self.places();
        for sent in &self.sent {
            let places = &places[stem(&sent.name)];
            assert_eq!(places.len(), sent.copies, "{places:?}");
            for place in places {
                assert_eq!(fs::read(root.join(place)).expect("it is there"), sent.bytes, "{place}");
            }
            let receipt = fs::read(root.join(format!("receipts/{}.receipt.json", sent.name))).expect("a receipt");
            let receipt: Value = serde_json::from_slice(&receipt).expect("a receipt is JSON");
            let fits = match sent.stays {
                true => receipt["status"] == "failed",
                false => receipt["status"] == "processed" || receipt["status"] == "duplicate",
            };
            assert!(fits, "{}: {receipt}", sent.name);
        }
        let known: usize = self.sent.iter().map(|sent| sent.copies).sum();
        let found = names(root).len() + names(&root.join("processed")).len();
        assert_eq!(found, known, "no file that nobody sent");
    }

    fn lines_in_files(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let dir = self.gate.state_dir().join("files");
        for day in fs::read_dir(dir).expect("the files' directory") {
            let day = day.expect("a day").path();
            for name in names(&day) {
                assert!(name.ends_with(".ndjson.zst"), "{name} was left behind");
                let mut text = String::new();
                let file = File::open(day.join(&name)).expect("a file");
                let mut unpacked = zstd::Decoder::new(file).expect("zstd");
                unpacked.read_to_string(&mut text).expect("text");
                lines.extend(text.lines().map(str::to_owned));
            }
        }
        lines.sort();
        lines
    }
}

/// What an archive's name begins with, whatever was put behind it since another was in its place.
fn stem(name: &str) -> &str {
    let length = "event_history_".len() + 14;
    name.get(..length).unwrap_or(name)
}

/// Compares without printing megabytes.
fn assert_same(what: &str, found: &[String], expect: &[String]) {
    let differ = found.iter().zip(expect).find(|(found, expect)| found != expect);
    if let Some((found, expect)) = differ {
        panic!("{what}: found {found:.300}, expected {expect:.300}");
    }
    assert_eq!(found.len(), expect.len(), "{what}: events");
}

/// Regular files in a directory, sorted; none if it is not there.
fn names(dir: &Path) -> Vec<String> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let files = listed.filter_map(Result::ok).filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The first column of an answer.
fn ask(database: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(database).expect("a database");
    let mut select = connection.prepare(sql).expect("a question");
    let text = |row: &rusqlite::Row<'_>| match row.get_ref(0)? {
        rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
        other => Ok(other.as_str()?.to_owned()),
    };
    let rows = select.query_map([], text).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}
