//! The gallery: every hazard of zip and JSON that we know, and what the program answers to it.
//!
//! Each row is an archive somebody could upload, and the answer the specification gives. All of them are imported by one
//! daemon and vetted by one `check`, the real program both: afterwards it is well, has explained each, and never took 64 MiB.
//! Nothing large is kept: archives are written when they are needed. The finer tests of every rule, without a process, are in
//! `archives` and `feeds`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::archives::{Archive, Method};
use crate::house::gate::{Daemon, Gate, wait_until};

mod bombs; // more out than in, and more asked for than given
mod feeds; // JSON, as a whole
mod large; // entries of about the size that is allowed, delivered
mod members; // names, kinds, methods, encryption
mod records; // records that lie
mod uv; // the rules of August 2025
mod values; // JSON, within an entry

/// The figure to hold: the peak of the whole process, whatever the archive.
const PEAK_BYTES_MAX: u64 = (64 << 20) + UNOPTIMISED_BYTES;

/// An unoptimised program is larger itself, by about so much.
const UNOPTIMISED_BYTES: u64 = if cfg!(debug_assertions) { 16 << 20 } else { 0 };

/// Far more than all of it takes, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(240);

/// Two events, where it does not matter which.
const FEED: &str = r#"[{"event":"order","id":"1"},{"event":"order","id":"2"}]"#;

/// Writes an archive whose data file should have this name.
type Pack = dyn Fn(&str) -> Vec<u8>;

/// Something that could be uploaded.
struct Hazard {
    /// What is hostile about it.
    what: String,
    /// What it comes to: `processed`, or `failed` and the codes; then the events taken in and the entries rejected. `…` where
    /// there is more than one right answer, or none that anybody would miss.
    answer: String,
    archive: Box<Pack>,
}

impl Hazard {
    /// Whether this is the answer.
    fn expects(&self, answer: &str) -> bool {
        match self.answer.strip_suffix('…') {
            Some(beginning) => answer.starts_with(beginning),
            None => answer == self.answer,
        }
    }
}

/// A hazard as bytes.
fn hazard(what: &str, answer: &str, archive: impl Fn(&str) -> Vec<u8> + 'static) -> Hazard {
    Hazard {
        what: what.to_owned(),
        answer: answer.to_owned(),
        archive: Box::new(archive),
    }
}

/// An honest archive of two events, made into a hazard.
fn spoilt(what: &str, answer: &str, spoil: impl Fn(Archive, &str) -> Archive + 'static) -> Hazard {
    hazard(what, answer, move |data| spoil(Archive::of(data, FEED), data).bytes())
}

/// A data file in an honest archive.
fn feed(what: &str, answer: &str, feed: impl Into<Vec<u8>>) -> Hazard {
    let feed = feed.into();
    hazard(what, answer, move |data| {
        Archive::empty().packed(Method::Deflate, data, &feed).bytes()
    })
}

/// The time in an archive's name: a second later for each.
fn digits(number: usize) -> String {
    format!(
        "202001{:02}{:02}{:02}{:02}",
        1 + number / 86_400,
        number / 3_600 % 24,
        number / 60 % 60,
        number % 60
    )
}

/// What a status or a receipt says, in the words of a row.
fn answer(said: &Value) -> String {
    let codes: Vec<&str> = said["violations"]
        .as_array()
        .expect("violations")
        .iter()
        .map(|violation| violation["code"].as_str().expect("a code"))
        .collect();
    let mut answer = [&[said["status"].as_str().expect("a status")], &codes[..]]
        .concat()
        .join(" ");
    if said["imported"] == true {
        answer += &format!(", {} events", said["accepted"]);
    }
    match &said["rejected"] {
        none if *none == 0 => {}
        rejected => answer += &format!(", {rejected} rejects"),
    }
    answer
}

/// The peak of a process so far, in bytes, as the kernel keeps it.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Says what a peak was, for the table of figures.
#[expect(clippy::print_stdout, reason = "a figure of this run")]
fn tell(what: &str, highest: u64) {
    println!("{what}: the daemon's peak was {} KiB", highest / 1024);
}

/// Runs a command to its end, and says what it printed and what its peak was: looked at often, and the kernel keeps the
/// highest.
fn measured(gate: &Gate, args: &[&std::ffi::OsStr]) -> (String, u64) {
    let mut command = gate.command();
    let out = gate.dir().join("printed");
    command
        .args(args)
        .stdout(fs::File::create(&out).expect("a file"))
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("starting feedgate");
    let (mut highest, began) = (0, Instant::now());
    while child.try_wait().expect("waiting").is_none() {
        highest = highest.max(peak(child.id()).unwrap_or(0));
        assert!(began.elapsed() < PATIENCE, "it never ends: {args:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    (fs::read_to_string(out).expect("what it printed"), highest)
}

/// Writes the archives of these hazards into a directory, under names in their order.
fn hang(hazards: &[Hazard], root: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(root).expect("a directory");
    let write = |(number, hazard): (usize, &Hazard)| {
        let data = format!("event_history_{}.json", digits(number));
        let path = root.join(format!("{data}.zip"));
        fs::write(&path, (hazard.archive)(&data)).expect("writing an archive");
        path
    };
    hazards.iter().enumerate().map(write).collect()
}

/// Has one daemon import these, and one `check` vet them, and holds both against the rows. Returns the gate, for further looks.
#[track_caller]
fn visit(hazards: &[Hazard]) -> Gate {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    let paths = hang(hazards, &root);
    // What has no end is said to be incomplete, and waited for, if there is a grace.
    gate.source_local_with("partner", &root, "incomplete_grace = \"0s\"");
    gate.destination("lines", "type = \"console\"\nstart = \"oldest\"");

    let checked = vetted(&gate, &paths);
    let daemon = gate.run();
    let status = wait_for_receipts(&gate, &daemon, hazards.len());
    let mut wrong = Vec::new();
    for ((hazard, path), checked) in hazards.iter().zip(&paths).zip(&checked) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        let imports = status["imports"].as_array().expect("imports");
        let import = imports
            .iter()
            .find(|import| import["archive"] == name)
            .expect("an import");
        for (who, said) in [("the daemon", import), ("check", checked)] {
            if !hazard.expects(&answer(said)) {
                let violations = &said["violations"];
                wrong.push(format!("{}: {who} says: {} {violations}", hazard.what, answer(said)));
            }
            for violation in said["violations"].as_array().expect("violations") {
                let detail = violation["detail"].as_str().expect("words");
                if detail.len() > 1_000 || detail.chars().any(char::is_control) {
                    wrong.push(format!("{}: not fit to be shown: {detail:?}", hazard.what));
                }
            }
        }
        if path.exists() != hazard.answer.starts_with("failed") {
            wrong.push(format!("{}: it lies where it should not", hazard.what));
        }
        if !root.join(format!("receipts/{name}.receipt.json")).exists() {
            wrong.push(format!("{}: there is no receipt", hazard.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // After all that it is well: what an honest partner sends is imported and delivered.
    let (name, bytes) = Archive::feed("20210101000000", r#"[{"event":"still well","id":"1"}]"#);
    fs::write(root.join(&name), bytes).expect("writing an archive");
    wait_until("an event behind all of them", || daemon.stdout().contains("still well"));
    let highest = peak(daemon.id()).expect("it runs");
    let log = daemon.stderr();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains('\0'), "{log}");
    assert!(highest < PEAK_BYTES_MAX, "the daemon's peak: {highest} bytes");
    tell(&format!("{} archives", hazards.len()), highest);
    daemon.stop();
    gate
}

/// Waits until every archive has its outcome, lies where it should, and has its receipt.
#[track_caller]
fn wait_for_receipts(gate: &Gate, daemon: &Daemon, count: usize) -> Value {
    let began = Instant::now();
    loop {
        let status = gate.status();
        let imports = status["imports"].as_array().expect("imports");
        let is_put_away = |import: &Value| import["status"] != "importing" && import["disposition"] != "pending";
        let receipts = fs::read_dir(gate.dir().join("root/receipts")).map_or(0, Iterator::count);
        if imports.len() == count && imports.iter().all(is_put_away) && receipts == count {
            return status;
        }
        let log = daemon.stderr();
        assert!(
            began.elapsed() < PATIENCE,
            "{} of {count}, {receipts} receipts; it said\n{log}",
            imports.len()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What `check --json` says of each.
fn vetted(gate: &Gate, paths: &[PathBuf]) -> Vec<Value> {
    let args: Vec<&std::ffi::OsStr> = ["check".as_ref(), "--json".as_ref()]
        .into_iter()
        .chain(paths.iter().map(|path| path.as_os_str()))
        .collect();
    let (printed, highest) = measured(gate, &args);
    assert!(highest < PEAK_BYTES_MAX, "the peak of `check`: {highest} bytes");
    let receipts = serde_json::Deserializer::from_str(&printed).into_iter();
    let receipts: Vec<Value> = receipts.map(|receipt| receipt.expect("a receipt")).collect();
    assert_eq!(receipts.len(), paths.len(), "a receipt for each");
    receipts
}
