//! The scripted far end: the demo's SFTP server, with faults laid for chosen requests and a journal of all.
//!
//! ```ignore
//! let far = FarEnd::start();
//! far.upload("event_history_20260101000000.json.zip", &bytes);
//! far.on(Op::Rename, 1, Fault::CutAfter); // the first rename takes place, but nobody hears of it
//! // … let the program have its turn …
//! assert_eq!(far.names("processed"), ["event_history_20260101000000.json.zip"]);
//! assert_eq!(far.count(Op::Rename), 1);
//! ```
//!
//! A fault counts the requests it is meant for from the moment when it is laid, and strikes once, unless it is laid with
//! [`always`](FarEnd::always). Uploads here go straight to the directory, since they are not what is tried.

// A harness offers more than each test takes.
#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use feedgate::demo::keys::KeyPair;
use feedgate::demo::script::Script;
pub use feedgate::demo::script::{Fault, Op, Request, StatusCode};
use feedgate::demo::{Account, Server, Setup};

/// An SFTP server with one account, `acme`, that does as it is told.
pub struct FarEnd {
    house: tempfile::TempDir,
    host_key: KeyPair,
    account: Account,
    plot: Arc<Plot>,
    server: Option<Server>,
    port: u16,
}

impl FarEnd {
    /// Starts on a free port of 127.0.0.1, with a fresh host key and an empty root. Dropping it ends everything.
    pub fn start() -> FarEnd {
        let house = tempfile::tempdir().expect("a temporary directory");
        let dir = house.path().join("root");
        fs::create_dir(&dir).expect("creating the root");
        let key = KeyPair::generate("acme");
        let key_file = house.path().join("key");
        fs::write(&key_file, key.private_openssh()).expect("writing the key");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("closing the key");
        let mut far = FarEnd {
            house,
            host_key: KeyPair::generate("far end"),
            account: Account {
                user: "acme".to_owned(),
                password: Some("secret of acme".to_owned()),
                key: Some(key),
                dir,
            },
            plot: Arc::default(),
            server: None,
            port: 0,
        };
        far.restart();
        far
    }

    /// The root of the account on this machine.
    pub fn root(&self) -> &Path {
        &self.account.dir
    }

    /// The account's root as a source's `url`.
    pub fn url(&self) -> String {
        format!("sftp://acme@127.0.0.1:{}/", self.port)
    }

    /// The port, the same after every restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account's password.
    pub fn password(&self) -> &str {
        self.account.password.as_deref().unwrap_or_default()
    }

    /// The account's private key, in a file.
    pub fn key_file(&self) -> PathBuf {
        self.house.path().join("key")
    }

    /// The host key's fingerprint, for `host_key`.
    pub fn host_key(&self) -> String {
        self.host_key.fingerprint()
    }

    /// The lines of a `[[source]]` that reaches it. More keys may follow.
    pub fn source_toml(&self, name: &str) -> String {
        format!(
            "[[source]]\nname = {name:?}\nurl = {:?}\nprivate_key_file = {:?}\nhost_key = {:?}\n",
            self.url(),
            self.key_file(),
            self.host_key(),
        )
    }

    /// Lays a fault for the `nth` request of this kind from now on; the next one is the first.
    pub fn on(&self, op: Op, nth: usize, fault: Fault) -> &FarEnd {
        self.lay(Some(op), None, Which::Nth(nth), fault)
    }

    /// The same, counting only requests on this path (absolute, as `/a.zip`).
    pub fn on_path(&self, op: Op, path: &str, nth: usize, fault: Fault) -> &FarEnd {
        self.lay(Some(op), Some(path), Which::Nth(nth), fault)
    }

    /// Lays a fault for the `nth` request of whatever kind from now on: what a walk over all calls sweeps.
    pub fn on_any(&self, nth: usize, fault: Fault) -> &FarEnd {
        self.lay(None, None, Which::Nth(nth), fault)
    }

    /// Lays a fault for the `nth` request of whatever kind from now on, and for all that follow it.
    pub fn on_any_from(&self, nth: usize, fault: Fault) -> &FarEnd {
        self.lay(None, None, Which::FromNthOn(nth), fault)
    }

    /// Lays a fault for every request of this kind.
    pub fn always(&self, op: Op, fault: Fault) -> &FarEnd {
        self.lay(Some(op), None, Which::Every, fault)
    }

    /// Every reply comes this much later, from now on: a long line. Requests still overlap, as they do on a real one.
    pub fn latency(&self, delay: Duration) -> &FarEnd {
        self.lay(None, None, Which::Every, Fault::Delay(delay))
    }

    /// Takes back every fault, and clears the journal.
    pub fn forget(&self) {
        *self.plot.lock() = Plan::default();
    }

    /// Every request seen, in order, whatever became of it.
    pub fn journal(&self) -> Vec<Request> {
        self.plot.lock().journal.clone()
    }

    /// How many requests of this kind were seen.
    pub fn count(&self, op: Op) -> usize {
        self.plot.lock().journal.iter().filter(|seen| seen.op == op).count()
    }

    /// Puts a file into the root, whole and at once.
    pub fn upload(&self, name: &str, bytes: &[u8]) {
        let beside = self.house.path().join("upload");
        fs::write(&beside, bytes).expect("writing an upload");
        fs::rename(beside, self.root().join(name)).expect("putting an upload into place");
    }

    /// The bytes of a file, if it is there. The path is relative to the root.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.root().join(path)).ok()
    }

    /// The names in a directory (`""` is the root), sorted; none if it is not there.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let Ok(listed) = fs::read_dir(self.root().join(dir)) else {
            return Vec::new();
        };
        let name =
            |entry: std::io::Result<fs::DirEntry>| entry.expect("a name").file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = listed.map(name).collect();
        names.sort();
        names
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.as_ref().map_or(0, Server::connections)
    }

    /// Cuts every connection, and goes on listening.
    pub fn cut_all(&self) {
        if let Some(server) = &self.server {
            server.cut_all();
        }
    }

    /// Cuts every connection and listens no more: dialling is refused.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again on the same port, with the same host key; faults and journal are kept.
    pub fn restart(&mut self) {
        self.stop();
        let setup = || Setup {
            accounts: vec![self.account.clone()],
            host_key: Some(self.host_key.clone()),
            port: self.port,
            script: Some(self.plot.clone()),
        };
        // The port is free as soon as the old listener is dropped, which its runtime does in its own time.
        let server = (0..100).find_map(|_| {
            let started = Server::start(setup());
            if started.is_err() {
                std::thread::sleep(Duration::from_millis(20));
            }
            started.ok()
        });
        self.server = Some(server.expect("starting the far end"));
        self.port = self.server.as_ref().map_or(0, |server| server.addr().port());
    }

    /// Listens again on the same port as if it were another machine: with another host key.
    pub fn restart_with_another_host_key(&mut self) {
        self.host_key = KeyPair::generate("another far end");
        self.restart();
    }

    fn lay(&self, op: Option<Op>, path: Option<&str>, which: Which, fault: Fault) -> &FarEnd {
        self.plot.lock().traps.push(Trap {
            op,
            path: path.map(str::to_owned),
            which,
            seen: 0,
            fault,
        });
        self
    }
}

/// What goes on behind the server's back.
#[derive(Default)]
struct Plot(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    traps: Vec<Trap>,
    journal: Vec<Request>,
}

/// A fault that is laid.
struct Trap {
    op: Option<Op>,
    path: Option<String>,
    which: Which,
    seen: usize,
    fault: Fault,
}

/// Which of the requests that a fault is meant for it strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Every,
    Nth(usize),
    FromNthOn(usize),
}

impl Plot {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        // A test that failed with the lock in hand has said so already.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Script for Plot {
    fn judge(&self, request: &Request) -> Option<Fault> {
        let mut plan = self.lock();
        plan.journal.push(request.clone());
        // Every trap counts, and of those that strike the one laid first does; one for a single request goes before a
        // lasting one, so that a fault can be laid on a slow line.
        let struck: Vec<(bool, Fault)> = plan.traps.iter_mut().filter_map(|trap| trap.strikes(request)).collect();
        let single = struck.iter().find(|(single, _)| *single).or(struck.first());
        single.map(|(_, fault)| fault.clone())
    }
}

impl Trap {
    /// The fault, and whether it was meant for certain requests rather than for all.
    fn strikes(&mut self, request: &Request) -> Option<(bool, Fault)> {
        let meant =
            self.op.is_none_or(|op| op == request.op) && self.path.as_ref().is_none_or(|path| *path == request.path);
        if !meant {
            return None;
        }
        self.seen += 1;
        let strikes = match self.which {
            Which::Every => true,
            Which::Nth(nth) => self.seen == nth,
            Which::FromNthOn(nth) => self.seen >= nth,
        };
        strikes.then(|| (self.which != Which::Every, self.fault.clone()))
    }
}
