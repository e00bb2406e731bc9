//! The demo, as a newcomer runs it; and its SFTP server, against the clients that people have.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod far_end; // the scripted far end: faults strike where they are laid
mod server; // the server, against OpenSSH's own client

use crate::house::gate::wait_until;

/// `feedgate demo`, with a temporary directory of its own to be watched.
fn demo(tmp: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedgate"));
    command.arg("demo").args(arguments).current_dir(tmp).env("TMPDIR", tmp);
    // A newcomer may have settings of another installation lying about.
    command
        .env("FEEDGATE_CONFIG", "/nonexistent")
        .env("FEEDGATE__LIMITS__DEPTH", "1");
    command
}

fn left_in(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(dir).unwrap().map(name).collect()
}

#[test]
fn a_newcomer_sees_what_became_of_each_and_nothing_is_left_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let shown = run(demo(tmp.path(), &[]), tmp.path(), "");
    let said = text(&shown);
    assert_eq!(shown.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8_lossy(&shown.stderr), "");
    for line in [
        "All 22 files came to what they should",
        "event_history_20260301080000.json.zip          processed     1000     1000        0  processed/",
        "event_history_20260301083000.json.zip          processed       10        3        7  processed/",
        "left in place: member_name",
        "left in place: not_one_file",
        "left in place: zip_truncated",
        "left in place: json_syntax",
        "left in place: all_rejected",
        "\"code\": \"identity_missing\"",
        "line 16, column 5",
        "`businessUnit` is there twice",
        "\"body\":{\"event\": \"",
        "100  Placed Order",
        "    event_history_20260301121500.json.zip.filepart\n",
        "    event_history_20260301080000.json.zip.receipt.json\n",
    ] {
        assert!(said.contains(line), "missing {line:?} in:\n{said}");
    }
    assert!(!said.contains('\x1b'), "no colours for a file");
    assert_eq!(left_in(tmp.path()), [""; 0]);
}

#[test]
fn a_demo_that_stays_tells_of_what_is_dropped_and_ends_clean() {
    let tmp = tempfile::tempdir().unwrap();
    let kept = tmp.path().join("kept");
    let said = tmp.path().join("said");
    let mut command = demo(tmp.path(), &["--stay", "--keep", "kept"]);
    let demo_running = Running::start(command.stdout(fs::File::create(&said).unwrap()));
    let told = || fs::read_to_string(&said).unwrap();
    wait_until("the story is told", || told().contains("stay until Ctrl-C"));

    // A good sample under another name: the file inside no longer has the archive's name.
    let [samples, _] = feedgate::demo::samples::waves();
    let name = "event_history_20260401000000.json.zip";
    fs::write(tmp.path().join(name), &samples[0].bytes).unwrap();
    // The very command that is printed, with a batch in place of a person.
    let story = told();
    let line = story.lines().find(|line| line.starts_with("  sftp -P")).unwrap();
    let mut words = line.split_whitespace();
    let mut sftp = Command::new(words.next().unwrap());
    sftp.args(["-F", "none", "-b", "-"]).args(words);
    let dropped = run(sftp, tmp.path(), &format!("put {name}\n"));
    assert!(dropped.status.success(), "{}", text(&dropped));
    wait_until("it is told of", || {
        told().contains(&format!("{name}          failed        1000     1000"))
    });
    assert!(told().contains("\n    member_name: "), "{}", told());

    let daemon = story
        .split("daemon  process ")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    let daemon = PathBuf::from(format!("/proc/{daemon}"));
    assert!(daemon.exists());
    let ended = demo_running.end("-INT");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended));
    assert!(!daemon.exists(), "the daemon has ended");

    let mut status = Command::new(env!("CARGO_BIN_EXE_feedgate"));
    status.args(["status", "--json", "-c"]).arg(kept.join("feedgate.toml"));
    let status = run(status, tmp.path(), "");
    assert!(text(&status).contains(name), "{}", text(&status));
    assert!(kept.join("sftp").join(name).exists());
    assert!(!left_in(tmp.path()).iter().any(|name| name.starts_with("feedgate-demo")));

    let again = run(demo(tmp.path(), &["--keep", "kept"]), tmp.path(), "");
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again).contains("not empty"), "{}", text(&again));
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    for signal in ["-INT", "-TERM"] {
        let demo_running = Running::start(demo(tmp.path(), &[]).stdout(Stdio::null()));
        // In the middle of it: some archives have been put away.
        wait_until("the daemon is at work", || {
            let worlds = left_in(tmp.path());
            worlds
                .iter()
                .any(|world| tmp.path().join(world).join("sftp/processed").exists())
        });
        let ended = demo_running.end(signal);
        assert_eq!(ended.status.code(), Some(2));
        assert!(text(&ended).contains("interrupted"), "{}", text(&ended));
        assert_eq!(left_in(tmp.path()), [""; 0]);
    }
}

#[test]
fn a_demo_whose_daemon_is_killed_says_so_and_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let said = tmp.path().join("said");
    let demo_running = Running::start(demo(tmp.path(), &[]).stdout(fs::File::create(&said).unwrap()));
    let told = || fs::read_to_string(&said).unwrap();
    wait_until("the daemon is there", || told().contains("The partner uploads"));
    let story = told();
    let daemon = story
        .split("daemon  process ")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    assert!(Command::new("kill").args(["-KILL", daemon]).status().unwrap().success());
    let ended = demo_running.ended();
    assert_eq!(ended.status.code(), Some(2));
    let words = text(&ended);
    assert!(
        words.contains("the daemon ended by itself") && words.contains("log ends with"),
        "{words}"
    );
    assert_eq!(left_in(tmp.path()), ["said"]);
}

/// A demo under way. It is ended when dropped: a test that fails leaves none running.
struct Running(std::process::Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: &str) -> bool {
        Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status()
            .unwrap()
            .success()
    }

    /// Sends it a signal, and waits for its end.
    fn end(self, signal: &str) -> Output {
        assert!(self.signal(signal));
        self.ended()
    }

    fn ended(mut self) -> Output {
        wait_until("it has ended", || self.0.try_wait().unwrap().is_some());
        let mut stderr = Vec::new();
        std::io::Read::read_to_end(&mut self.0.stderr.take().unwrap(), &mut stderr).unwrap();
        Output {
            status: self.0.wait().unwrap(),
            stdout: Vec::new(),
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.signal("-TERM") {
            self.0.wait().ok();
        }
    }
}

fn run(mut command: Command, dir: &Path, input: &str) -> Output {
    let mut child = command
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("starting {:?}: {e}", command.get_program()));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
