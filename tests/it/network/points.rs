//! A fault at each of many bytes, of either stream: lost, stalled, half-closed, corrupted, slowed to a trickle. After each
//! the daemon goes on by itself and comes to what it would have come to without.
//!
//! The dice are seeded, and the seed is printed: `NETWORK_SEED=…` throws the same faults again (what is on its way at a byte
//! is the machine's affair). `NETWORK_POINTS=1000` makes a long run.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::house::archives::{Archive, Method};
use crate::house::faulty::{Fault, FaultyNetwork, Strike, Way};
use crate::house::gate::Daemon;

/// Worlds side by side: most of their time they wait for deadlines.
const WORLDS: u64 = 12;

/// The source's deadline. Long for an answer over loopback, short to wait for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Longest way back: a dial and an operation that both run into the deadline, the waits between tries, and much for a machine
/// that is busy. A test that takes the default deadline of 30 s, or hangs, fails.
const RECOVERED_WITHIN: Duration = Duration::from_secs(25);

/// Small archives in each drop; beside them a large one.
const SMALL: usize = 5;

/// Entries of the large one, of a kilobyte each: it takes several reads.
const LARGE: usize = 300;

/// Its own, and the two ends of the bell that wakes its thread.
const SOCKETS_OF_A_CONNECTION: usize = 3;

/// One daemon for a long time, and one `sshd` behind a network that fails.
struct World {
    sshd: Sshd,
    network: FaultyNetwork,
    gate: Gate,
    daemon: Daemon,
    dice: fastrand::Rng,
    /// Archives dropped so far, and events in them.
    archives: usize,
    events: usize,
    /// Bytes of a drop without faults, each way.
    bytes: [u64; 2],
}

/// What a world has to tell.
#[derive(Debug, Default)]
struct Tally {
    points: u64,
    struck: u64,
    slowest: Duration,
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn a_fault_at_any_byte_is_recovered_from_without_a_restart() {
    let number = |variable: &str, default: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().expect("a number in the variable"))
    };
    let seed = number("NETWORK_SEED", fastrand::u64(..));
    let points = number("NETWORK_POINTS", 108);
    println!("NETWORK_SEED={seed} NETWORK_POINTS={points}");
    let worlds: Vec<_> = (0..WORLDS)
        .map(|world| {
            let share = points / WORLDS + u64::from(world < points % WORLDS);
            std::thread::spawn(move || World::new(seed.wrapping_add(world)).walk(share))
        })
        .collect();
    let mut sum = Tally::default();
    for world in worlds {
        let tally = world.join().expect("a world that ended well");
        sum.points += tally.points;
        sum.struck += tally.struck;
        sum.slowest = sum.slowest.max(tally.slowest);
    }
    println!("{sum:?}");
    assert!(sum.struck * 10 >= sum.points * 8, "most faults meet something: {sum:?}");
}

impl World {
    fn new(seed: u64) -> World {
        let sshd = Sshd::start();
        let network = FaultyNetwork::to(sshd.port());
        let here = |port: u16| format!("127.0.0.1:{port}");
        let keys = sshd.toml().replace(&here(sshd.port()), &here(network.port()));
        let mut gate = Gate::new();
        gate.source_toml("acme", &format!("{keys}timeout = \"{}s\"\n", TIMEOUT.as_secs()));
        gate.destination_sqlite("events");
        let daemon = gate.run();
        World {
            sshd,
            network,
            gate,
            daemon,
            dice: fastrand::Rng::with_seed(seed),
            archives: 0,
            events: 0,
            bytes: [0; 2],
        }
    }

    fn walk(mut self, points: u64) -> Tally {
        let mut tally = Tally::default();
        // Twice: the first drop also makes `processed/` and `receipts/`.
        for _ in 0..2 {
            self.point(Vec::new());
            self.bytes = [Way::ToServer, Way::ToClient].map(|way| self.network.passed(way));
        }
        wait_until_well(&self.gate);
        let before = self.held();
        for _ in 0..points {
            let strikes = self.strikes();
            let began = Instant::now();
            tally.struck += u64::from(self.point(strikes) > 0);
            tally.points += 1;
            tally.slowest = tally.slowest.max(began.elapsed());
        }
        self.network.arm(Vec::new());
        wait_until_well(&self.gate);
        let now = self.held();
        // A connection may be about to be closed or made, and the ledger's own come as they are needed. What every fault
        // left behind would be more.
        let sockets_max = before.sockets + SOCKETS_OF_A_CONNECTION;
        let is_little = now.sockets <= sockets_max && now.files <= before.files + 8 && now.threads <= 2;
        assert!(
            is_little && now.kilobytes <= before.kilobytes + 24 * 1024,
            "{before:?} {now:?}"
        );
        self.check_all();
        let World { sshd, daemon, .. } = self;
        let ended = daemon.stop();
        assert_eq!(ended.code, 0, "{ended}");
        wait_until("the end of the last session", || sshd.sessions() == 0);
        tally
    }

    /// One fault, now and then another on the connection that is dialled after it.
    fn strikes(&mut self) -> Vec<Strike> {
        let mut strikes = vec![self.strike(0)];
        if self.dice.u8(..4) == 0 {
            strikes.push(self.strike(1));
        }
        strikes
    }

    fn strike(&mut self, connection: usize) -> Strike {
        let (way, bytes) = match self.dice.bool() {
            true => (Way::ToServer, self.bytes[0]),
            false => (Way::ToClient, self.bytes[1]),
        };
        // Handshake and login are the first few kilobytes, and would hardly be met in a large file's shadow.
        let offset = match self.dice.bool() {
            true => self.dice.u64(..bytes.min(5000)),
            false => self.dice.u64(..bytes * 9 / 10),
        };
        let fault = match self.dice.u8(..8) {
            0 => Fault::Reset,
            1 => Fault::Close,
            2 => Fault::Stall,
            3 => Fault::HalfClose,
            4 | 5 => Fault::Flip(self.dice.u8(..8)),
            6 => Fault::Drop(self.dice.usize(1..40)),
            _ => Fault::Trickle,
        };
        Strike {
            connection,
            way,
            offset,
            fault,
        }
    }

    /// Drops archives over a network with these faults, waits until all is done, and says how many faults struck.
    fn point(&mut self, strikes: Vec<Strike>) -> usize {
        let what = format!("{strikes:?}");
        let uploads = self.uploads();
        self.network.arm(strikes);
        let began = Instant::now();
        for (beside, name) in &uploads {
            fs::rename(beside, self.sshd.root().join(name)).expect("putting an upload into place");
        }
        loop {
            let missing = self.missing(&uploads);
            if missing.is_empty() {
                break;
            }
            assert!(
                began.elapsed() < RECOVERED_WITHIN,
                "not recovered within {RECOVERED_WITHIN:?}: {missing}\nafter {what}\ntrouble: {}\nthe daemon said\n{}",
                trouble(&self.gate),
                self.daemon.stderr()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        self.check(&uploads, &what);
        // Whatever was cut or stalled, the server has no more sessions of ours than we have connections.
        let is_one = || self.network.open() <= 1 && self.sshd.sessions() <= 1;
        wait_until(&format!("a single session, after {what}"), is_one);
        self.network.struck()
    }

    /// Archives for one drop, not yet where the daemon looks.
    fn uploads(&mut self) -> Vec<(PathBuf, String)> {
        let mut uploads = Vec::new();
        for number in 0..=SMALL {
            let minutes = self.archives;
            let digits = format!(
                "2026{:02}{:02}{:02}{:02}00",
                1 + minutes / 40_320,
                1 + minutes / 1440 % 28,
                minutes / 60 % 24,
                minutes % 60
            );
            let member = format!("event_history_{digits}.json");
            let (entries, padding) = if number == SMALL {
                (LARGE, 1000)
            } else {
                (1 + number, 10)
            };
            let noise: String = (0..padding).map(|_| self.dice.alphanumeric()).collect();
            let entries: Vec<String> = (0..entries)
                .map(|entry| format!(r#"{{"event":"Purchase","id":"{digits}-{entry}","note":"{noise}"}}"#))
                .collect();
            self.events += entries.len();
            self.archives += 1;
            // A reject beside them, so that the receipts have something to say.
            let feed = format!("[{},{{}}]", entries.join(","));
            let archive = Archive::empty().packed(Method::Stored, &member, feed.as_bytes());
            let beside = self.sshd.dir().join(format!("upload-{number}"));
            fs::write(&beside, archive.bytes()).expect("writing an upload");
            uploads.push((beside, format!("{member}.zip")));
        }
        uploads
    }

    /// What has not happened yet, if anything.
    fn missing(&self, uploads: &[(PathBuf, String)]) -> String {
        let root = self.sshd.root();
        for (_, name) in uploads {
            if !root.join("processed").join(name).exists() {
                return format!("{name} in processed/");
            }
            if !root.join(format!("receipts/{name}.receipt.json")).exists() {
                return format!("the receipt of {name}");
            }
        }
        let pending =
            "SELECT count(*) FROM imports WHERE status = 'importing' OR disposition = 'pending' OR recheck = 1";
        if ask(&self.gate.ledger(), pending) != ["0"] {
            return "the end of all moves".to_owned();
        }
        if delivered(&self.gate) < self.events {
            return format!("{} of {} events", self.events - delivered(&self.gate), self.events);
        }
        trouble(&self.gate)
    }

    /// The end that a world without faults comes to.
    fn check(&self, uploads: &[(PathBuf, String)], what: &str) {
        let root = self.sshd.root();
        assert_eq!(files(root), Vec::<String>::new(), "the root after {what}");
        for (_, name) in uploads {
            let path = root.join(format!("receipts/{name}.receipt.json"));
            let receipt: Value = serde_json::from_slice(&fs::read(path).expect("a receipt")).expect("JSON");
            assert_eq!(receipt["status"], "processed", "{receipt}");
        }
        assert_eq!(delivered(&self.gate), self.events, "events after {what}");
    }

    fn check_all(&self) {
        let root = self.sshd.root();
        let events = self.gate.state_dir().join("events.db");
        let twice = "SELECT archive FROM events GROUP BY archive, \"index\" HAVING count(*) > 1";
        assert_eq!(ask(&events, twice), Vec::<String>::new());
        let once =
            "SELECT count(*) FROM imports WHERE status = 'processed' AND disposition = 'moved' AND receipt = 'written'";
        let ledger = self.gate.ledger();
        assert_eq!(ask(&ledger, once), [self.archives.to_string()]);
        assert_eq!(
            ask(&ledger, "SELECT count(*) FROM imports"),
            [self.archives.to_string()]
        );
        assert_eq!(files(&root.join("processed")).len(), self.archives);
        // No file written beside its place has stayed there.
        assert_eq!(files(&root.join("receipts")).len(), self.archives);
        let spooled = "SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL ORDER BY 1";
        assert_eq!(
            files(&self.gate.state_dir().join("spool")),
            ask(&ledger, spooled),
            "the spool"
        );
    }

    fn held(&self) -> Held {
        Held::by(self.daemon.id())
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    sockets: usize,
    files: usize,
    /// Those of connections; the runtime's own come and go.
    threads: usize,
    kilobytes: u64,
}

impl Held {
    fn by(pid: u32) -> Held {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let listed = |dir: &str| {
            fs::read_dir(proc.join(dir))
                .expect("a process that lives")
                .filter_map(Result::ok)
        };
        let links: Vec<_> = listed("fd").filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
        let is_socket = |link: &&PathBuf| link.to_string_lossy().starts_with("socket:");
        let sockets = links.iter().filter(is_socket).count();
        let is_ours = |name: String| name.starts_with("sftp ");
        let names = listed("task").filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        let status = fs::read_to_string(proc.join("status")).expect("a process that lives");
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = anonymous.and_then(|rest| rest.split_whitespace().next());
        Held {
            sockets,
            files: links.len() - sockets,
            threads: names.filter(|name| is_ours(name.clone())).count(),
            kilobytes: kilobytes.map_or(0, |text| text.parse().expect("a number")),
        }
    }
}
