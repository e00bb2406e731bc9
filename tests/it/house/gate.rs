//! The feedgate binary, its state directory and its configuration: for stories told from end to end.
//!
//! ```ignore
//! let mut gate = Gate::new();
//! gate.source_local("acme", &root);
//! gate.destination_sqlite("events");
//! let once = gate.once();
//! assert_eq!(once.code, 0, "{once}");
//! assert_eq!(gate.status()["imports"][0]["status"], "processed");
//! ```
//!
//! Files settle at once here and polls are quick, unless a source's own keys say otherwise: a test should wait for what
//! happens, not for time to pass.

// A harness offers more than each test takes.
#![allow(dead_code)]

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for something that should happen soon. Far more than is ever needed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks while waiting.
const LOOK: Duration = Duration::from_millis(30);

/// A feedgate of one's own.
pub struct Gate {
    dir: tempfile::TempDir,
    /// What is written into the configuration, after `state_dir`.
    parts: Vec<String>,
    /// Environment of every command; it starts from nothing but PATH.
    variables: Vec<(String, String)>,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; -1 if it was killed.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

/// For the messages of failed assertions.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exit code {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Output {
    /// Stdout as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }
}

impl Gate {
    /// A state directory, and a configuration without sources and destinations.
    pub fn new() -> Gate {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = std::env::var("PATH").unwrap_or_default();
        Gate {
            dir,
            parts: Vec::new(),
            variables: vec![("PATH".to_owned(), path)],
        }
    }

    /// Where everything of this gate lies.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Its ledger.
    pub fn ledger(&self) -> PathBuf {
        self.state_dir().join("ledger.db")
    }

    /// Adds a source that is a local directory.
    pub fn source_local(&mut self, name: &str, dir: &Path) {
        self.source_local_with(name, dir, "");
    }

    /// Adds a source that is a local directory, with more keys: `packaging = "strict"`.
    pub fn source_local_with(&mut self, name: &str, dir: &Path, keys: &str) {
        let url = format!("url = \"file://{}\"", dir.display());
        self.source_toml(name, &format!("{url}\n{keys}"));
    }

    /// Adds a source from its keys, all but the name: where it is and how to be let in. Quick, unless they say otherwise.
    pub fn source_toml(&mut self, name: &str, keys: &str) {
        let mut section = format!("[[source]]\nname = \"{name}\"\n{keys}\n");
        for (key, quick) in [("settle", "0s"), ("poll_interval", "200ms")] {
            let is_given = keys.lines().any(|line| line.trim_start().starts_with(key));
            if !is_given {
                section.push_str(&format!("{key} = \"{quick}\"\n"));
            }
        }
        self.parts.push(section);
    }

    /// Adds a destination from its keys, all but the name: `type = "console"`.
    pub fn destination(&mut self, name: &str, keys: &str) {
        self.parts.push(format!("[[destination]]\nname = \"{name}\"\n{keys}\n"));
    }

    /// Adds a SQLite destination, and says where its database will be.
    pub fn destination_sqlite(&mut self, name: &str) -> PathBuf {
        self.destination(name, "type = \"sqlite\"");
        self.state_dir().join(format!("{name}.db"))
    }

    /// Adds anything else: a whole section.
    pub fn section(&mut self, toml: &str) {
        self.parts.push(toml.to_owned());
    }

    /// Forgets all sources, destinations and sections.
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Sets a variable for every command from now on.
    pub fn variable(&mut self, name: &str, text: &str) {
        self.variables.push((name.to_owned(), text.to_owned()));
    }

    /// Writes the configuration, and says where it is. Every command does so first.
    pub fn config(&self) -> PathBuf {
        let path = self.dir.path().join("feedgate.toml");
        let text = format!(
            "state_dir = \"{}\"\n{}",
            self.state_dir().display(),
            self.parts.join("\n")
        );
        // Beside it and renamed: a command that was started before may be reading it.
        let beside = self.dir.path().join(format!("feedgate.toml.{}", fastrand::u64(..)));
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &path))
            .expect("writing the configuration");
        path
    }

    /// The binary, with this gate's configuration and environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_feedgate"));
        command
            .env_clear()
            .envs(self.variables.iter().cloned())
            .env("FEEDGATE_CONFIG", self.config());
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn cli<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let output = self.command().args(args).output().expect("starting feedgate");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `feedgate once`.
    pub fn once(&self) -> Output {
        self.cli(["once"])
    }

    /// `feedgate status --all --json`, whatever its exit code.
    pub fn status(&self) -> Value {
        let output = self.cli(["status", "--all", "--json"]);
        assert!(output.code < 2, "{output}");
        output.json()
    }

    /// The only import of an archive, as `status` has it.
    pub fn import(&self, archive: &str) -> Value {
        let status = self.status();
        let imports = status["imports"].as_array().expect("imports");
        let found: Vec<&Value> = imports.iter().filter(|import| import["archive"] == archive).collect();
        assert_eq!(found.len(), 1, "imports of {archive}: {imports:#?}");
        found[0].clone()
    }

    /// `feedgate status ARCHIVE|ID --json`: one import in full.
    pub fn import_in_full(&self, which: &str) -> Value {
        let output = self.cli(["status", which, "--json"]);
        assert!(output.code < 2, "{output}");
        output.json()
    }

    /// `feedgate events`: every event there is.
    pub fn events(&self) -> Vec<Value> {
        let output = self.cli(["events"]);
        assert!(output.code < 2, "{output}");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        output.stdout.lines().map(parse).collect()
    }

    /// Starts the daemon and waits until its heart beats. It is killed when it is dropped.
    pub fn run(&self) -> Daemon {
        let daemon = self.start();
        let heartbeat = self.state_dir().join("heartbeat");
        // One that was killed a moment ago has left a heartbeat too.
        let own = format!("{}\n", daemon.id());
        let beats = || std::fs::read_to_string(&heartbeat).is_ok_and(|id| id == own);
        assert!(wait(beats), "the daemon does not start; it said\n{}", daemon.stderr());
        daemon
    }

    /// Starts the daemon and does not wait.
    pub fn start(&self) -> Daemon {
        self.start_command("run")
    }

    /// Starts a command that may take long, and does not wait: `once`.
    pub fn start_command(&self, command: &str) -> Daemon {
        self.spawn(self.command().arg(command))
    }

    /// Starts a command of one's own making, and does not wait.
    pub fn spawn(&self, command: &mut Command) -> Daemon {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting the daemon");
        Daemon {
            stdout: collect(child.stdout.take().expect("stdout is piped")),
            stderr: collect(child.stderr.take().expect("stderr is piped")),
            child,
        }
    }

    /// Waits until so many imports are closed, and returns the status.
    pub fn wait_for_imports(&self, count: usize) -> Value {
        let closed = |status: &Value| {
            let imports = status["imports"].as_array().map(Vec::as_slice).unwrap_or_default();
            imports.iter().filter(|import| import["status"] != "importing").count()
        };
        let mut status = Value::Null;
        wait_until(&format!("{count} imports"), || {
            // Before its first moments are over the daemon has no ledger that could be asked.
            if self.ledger().exists() {
                let output = self.cli(["status", "--all", "--json"]);
                status = serde_json::from_str(&output.stdout).unwrap_or_default();
            }
            closed(&status) >= count
        });
        status
    }
}

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Daemon {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panicked").clone()
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panicked").clone()
    }

    /// Waits until it has logged something that holds `text`.
    pub fn wait_for_log(&self, text: &str) {
        let said = wait(|| self.stderr().contains(text));
        assert!(said, "the daemon never said `{text}`; it said\n{}", self.stderr());
    }

    /// Sends a signal: `TERM`, `HUP`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.expect("running kill").success(), "signal {name}");
    }

    /// Kills it in mid-stride, as the system does when memory runs out.
    pub fn kill(mut self) {
        self.child.kill().expect("killing the daemon");
        self.child.wait().expect("waiting for the daemon");
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Output {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it ends by itself.
    pub fn wait_for_end(mut self) -> Output {
        self.end()
    }

    fn end(&mut self) -> Output {
        let ended = wait(|| matches!(self.child.try_wait(), Ok(Some(_))));
        let log = self.stderr();
        assert!(ended, "the daemon does not end; it said\n{log}");
        let status = self.child.wait().expect("waiting for the daemon");
        // The readers end with the pipes; what they have not passed on yet is a moment away.
        wait(|| Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1);
        Output {
            code: status.code().unwrap_or(-1),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Most tests end here; that it has ended already is no fault.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads a pipe to its end, beside the test: a full pipe would stop the daemon.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let collected = text.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            collected
                .lock()
                .expect("no reader panicked")
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}

/// Waits until something holds; the test fails if it never does.
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    assert!(wait(holds), "waited in vain for {what}");
}

fn wait(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if holds() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}
