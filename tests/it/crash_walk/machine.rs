//! A machine of its own: the real binary, a state directory, and a source that is a directory beside it; so that everything the
//! program does to the outside is a system call.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use feedgate::config::resolve::Settings;
use serde_json::Value;

use super::super::house::calls::{self, Call, Calls};
use super::super::house::gate::Gate;
use super::super::house::power::Tree;
use super::{
    GOOD, LARGE, LARGE_BYTES, NO_JSON, STARTS_MAX, WRONG_MEMBER, column, files, noise, pass, time_passes, zip,
};

/// Longest that a pass may take on a busy machine. One that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every archive's mtime, so that it is the same when it was put together anew.
const DROPPED_AT: Duration = Duration::from_secs(1_700_000_000);

pub(super) struct Machine {
    pub(super) gate: Gate,
}

/// How a pass of the binary ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    ByItself,
    Killed,
    /// Only after it was killed for being stuck.
    Stuck,
}

impl Machine {
    /// Nothing has been dropped yet.
    pub(super) fn empty() -> Machine {
        let mut gate = Gate::new();
        gate.section("[spool]\nfree_min = \"1MiB\"\n");
        let source = gate.dir().join("source");
        fs::create_dir(&source).expect("the source");
        gate.source_local("acme", &source);
        gate.destination_sqlite("events");
        gate.destination("files", "type = \"file\"");
        Machine { gate }
    }

    /// The same four archives as over SFTP.
    pub(super) fn new() -> Machine {
        let machine = Machine::empty();
        let good = r#"[{"event":"A","id":"1"},{"event":"B","id":"2"},{"event":"C"}]"#;
        let large = format!(r#"[{{"event":"E","id":"5","x":"{}"}}]"#, noise(LARGE_BYTES));
        machine.drop_archive(GOOD, &zip(&[(GOOD, good)]));
        machine.drop_archive(WRONG_MEMBER, &zip(&[("other.json", r#"[{"event":"D","id":"4"}]"#)]));
        machine.drop_archive(NO_JSON, &zip(&[(NO_JSON, "[{]")]));
        machine.drop_archive(LARGE, &zip(&[(LARGE, &large)]));
        machine
    }

    /// What was left of another machine's files, which had this directory for its own.
    pub(super) fn of(tree: Tree, dir: &Path) -> Machine {
        let machine = Machine::empty();
        for (path, bytes) in tree {
            let path = machine
                .gate
                .dir()
                .join(path.strip_prefix(dir).expect("below the directory"));
            match bytes {
                None => fs::create_dir_all(&path).expect("a directory"),
                Some(bytes) => write(&path, &bytes),
            }
        }
        machine
    }

    fn drop_archive(&self, data: &str, bytes: &[u8]) {
        write(&self.source().join(format!("{data}.zip")), bytes);
    }

    pub(super) fn source(&self) -> PathBuf {
        self.gate.dir().join("source")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.gate.state_dir()
    }

    /// Where its calls are written down: beside all that they are about.
    pub(super) fn log(&self) -> PathBuf {
        self.gate.dir().with_extension("calls")
    }

    /// Calls that concern its files.
    pub(super) fn calls(&self) -> Calls {
        Calls::below(self.gate.dir()).log(&self.log())
    }

    /// One pass of the binary, with its calls watched.
    pub(super) fn pass(&self, calls: Calls, patience: Duration) -> Ended {
        let mut command = self.gate.command();
        calls.watch(&mut command);
        let mut child = command
            .arg("once")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting feedgate");
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = child.try_wait().expect("waiting for feedgate") {
                return match status.code() {
                    Some(_) => Ended::ByItself,
                    None => Ended::Killed,
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killing feedgate");
        child.wait().expect("waiting for feedgate");
        Ended::Stuck
    }

    /// One pass that is given all the time it may need.
    pub(super) fn patient_pass(&self, calls: Calls) -> Ended {
        self.pass(calls, PATIENCE)
    }

    /// What was written down so far.
    pub(super) fn seen(&self) -> Vec<Call> {
        calls::read(&self.log())
    }

    /// Starts the program, within this process, until nothing is left to do.
    pub(super) fn comes_to_rest(&self) -> Result<(), String> {
        let toml = fs::read_to_string(self.gate.config()).expect("the configuration");
        let settings = Settings::parse(&toml).expect("settings");
        for _ in 0..STARTS_MAX {
            time_passes(&self.gate.ledger());
            if pass(&settings, Default::default()) {
                return Ok(());
            }
        }
        Err(format!("no rest after {STARTS_MAX} starts"))
    }

    /// All that can be seen from outside.
    pub(super) fn summary(&self, with_receipts: bool) -> String {
        let (source, ledger) = (self.source(), self.gate.ledger());
        let mut summary = format!(
            "root {:?}\nprocessed {:?}\n",
            files(&source),
            names(&source.join("processed"))
        );
        if with_receipts {
            summary += &format!("receipts {:?}\n", names(&source.join("receipts")));
        }
        let imports =
            "SELECT archive || ' ' || status || ' ' || imported || ' ' || accepted || ' ' || disposition || ' ' || path
                       FROM imports ORDER BY archive, id";
        summary += &format!("imports {:#?}\n", column(&ledger, imports));
        let events = "SELECT id || ' ' || event || ' ' || archive || ' ' || \"index\" FROM events ORDER BY 1";
        summary += &format!("events {:#?}\n", column(&self.state().join("events.db"), events));
        summary += &format!("files {:#?}\n", self.lines_in_files());
        let unlogged: Vec<String> = self.outcomes().difference(&self.logged()).cloned().collect();
        summary += &format!("not logged {unlogged:?}\n");
        let referred = "SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL ORDER BY 1";
        summary += &format!(
            "spool holds what is referred to: {}\n",
            names(&self.state().join("spool")) == column(&ledger, referred)
        );
        summary
    }

    /// The lines of the `file` destination, less the import's number, which is another when an archive was claimed twice.
    fn lines_in_files(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for day in fs::read_dir(self.state().join("files")).into_iter().flatten() {
            let day = day.expect("an entry").path();
            for name in names(&day) {
                if !name.ends_with(".ndjson.zst") {
                    lines.push(format!("left behind: {name}"));
                    continue;
                }
                let mut text = String::new();
                let unpacked = zstd::Decoder::new(File::open(day.join(&name)).expect("a file"));
                let read = unpacked.and_then(|mut unpacked| unpacked.read_to_string(&mut text));
                if let Err(error) = read {
                    lines.push(format!("unreadable: {name}: {error}"));
                }
                for line in text.lines() {
                    let line: Value = serde_json::from_str(line).expect("a line of JSON");
                    lines.push(format!("{} {} {}", line["id"], line["event"], line["archive"]));
                }
            }
        }
        lines.sort();
        lines
    }

    /// What became of every archive, as the ledger has it.
    fn outcomes(&self) -> BTreeSet<String> {
        let sql = "SELECT id || ' ' || archive || ' ' || status || ' ' || disposition FROM imports";
        column(&self.gate.ledger(), sql).into_iter().collect()
    }

    /// The same as the log has it. A crash may repeat a line of it or leave half of one, and loses none.
    fn logged(&self) -> BTreeSet<String> {
        let log = fs::read(self.state().join("imports.jsonl")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let outcome = |line: Value| {
            let (archive, status) = (text(&line, "archive"), text(&line, "status"));
            format!("{} {archive} {status} {}", line["id"], text(&line, "disposition"))
        };
        lines.map(outcome).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It lies beside the directory that goes by itself; without a watched pass there is none.
        fs::remove_file(self.log()).ok();
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("writing a file");
    let file = File::options().write(true).open(path).expect("the file");
    file.set_modified(SystemTime::UNIX_EPOCH + DROPPED_AT)
        .expect("its time");
}

/// Regular files in a directory, sorted; none if it is not there.
fn names(dir: &Path) -> Vec<String> {
    match dir.is_dir() {
        true => files(dir),
        false => Vec::new(),
    }
}
