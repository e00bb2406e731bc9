//! The demo, as a newcomer runs it, and its SFTP server against the clients that people have.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use feedgate::demo::keys::KeyPair;
use feedgate::demo::{Account, Server, Setup};

use crate::house::far_end::{FarEnd, Fault, Op, StatusCode};

/// A server with one account, and what OpenSSH's client needs to get in.
struct Site {
    house: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn open() -> Site {
        let house = tempfile::tempdir().unwrap();
        let dir = house.path().join("root");
        fs::create_dir(&dir).unwrap();
        let key = KeyPair::generate("somebody");
        fs::write(house.path().join("key"), key.private_openssh()).unwrap();
        fs::set_permissions(house.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let account = Account {
            user: "partner".to_owned(),
            password: Some("open sesame".to_owned()),
            key: Some(key),
            dir,
        };
        let server = Server::start(Setup {
            accounts: vec![account],
            ..Setup::default()
        })
        .unwrap();
        fs::write(house.path().join("known_hosts"), server.known_hosts_line() + "\n").unwrap();
        Site { house, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.house.path().join(name)
    }

    fn root(&self, name: &str) -> PathBuf {
        self.path("root").join(name)
    }

    fn ssh_options(&self, command: &mut Command) {
        let known_hosts = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", &known_hosts]);
        command.args(["-P", &self.server.addr().port().to_string()]);
    }

    /// What OpenSSH's `sftp` makes of a batch, with the key.
    fn sftp(&self, batch: &str) -> Output {
        let mut command = Command::new("sftp");
        self.ssh_options(&mut command);
        command
            .args(["-b", "-", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.path("key"))
            .arg("partner@127.0.0.1");
        run(command, self.house.path(), batch)
    }

    /// The same with a password, which OpenSSH asks a program for.
    fn sftp_with_password(&self, user: &str, password: &str, batch: &str) -> Output {
        let asked = self.path("askpass");
        fs::write(&asked, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&asked, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("sftp");
        self.ssh_options(&mut command);
        command.args([
            "-o",
            "PreferredAuthentications=password",
            "-o",
            "NumberOfPasswordPrompts=1",
        ]);
        command
            .env("SSH_ASKPASS", &asked)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .arg(format!("{user}@127.0.0.1"));
        run(command, self.house.path(), batch)
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

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn openssh_puts_gets_and_tidies_up() {
    let site = Site::open();
    let bytes = pattern(3_000_001);
    fs::write(site.path("here"), &bytes).unwrap();
    fs::set_permissions(site.path("here"), fs::Permissions::from_mode(0o640)).unwrap();

    let done = site.sftp(
        "put -p here there\nget -p there back\nmkdir sub\nrename there sub/moved\nls -l sub\nls\npwd\nput here sub/second\n\
         -rename sub/second nowhere/x\nrm sub/second\ncd sub\nget moved ../again\nput -f here synced\nrm synced\n",
    );
    let said = text(&done);
    assert!(done.status.success(), "{said}");
    assert_eq!(fs::read(site.path("back")).unwrap(), bytes);
    assert_eq!(fs::read(site.root("sub/moved")).unwrap(), bytes);
    let (here, there) = (
        fs::metadata(site.path("here")).unwrap(),
        fs::metadata(site.root("sub/moved")).unwrap(),
    );
    assert_eq!(here.permissions().mode() & 0o777, there.permissions().mode() & 0o777);
    let seconds = |found: &fs::Metadata| {
        found
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    assert_eq!(seconds(&here), seconds(&there));
    assert!(said.contains("-rw-r-----") && said.contains("3000001"), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
    assert!(!site.root("sub/second").exists() && !site.root("sub/synced").exists());

    let done = site.sftp("rm sub/moved\nrmdir sub\n");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(fs::read_dir(site.path("root")).unwrap().count(), 0);
}

#[test]
fn a_rename_never_goes_over_another_but_for_posix_rename() {
    let site = Site::open();
    fs::write(site.root("a"), "a").unwrap();
    fs::write(site.root("b"), "b").unwrap();
    // `rename -l` is the protocol's own; without it OpenSSH uses `posix-rename@openssh.com` where the server has it.
    let refused = site.sftp("rename -l a b\n");
    assert!(!refused.status.success());
    assert!(text(&refused).contains("Failure"), "{}", text(&refused));
    assert_eq!(fs::read(site.root("b")).unwrap(), b"b");

    let done = site.sftp("rename a b\n");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(fs::read(site.root("b")).unwrap(), b"a");
    assert!(!site.root("a").exists());
}

#[test]
fn nobody_gets_out_of_the_account() {
    let site = Site::open();
    fs::write(site.path("secret"), "s").unwrap();
    std::os::unix::fs::symlink("../secret", site.root("link")).unwrap();
    std::os::unix::fs::symlink("..", site.root("up")).unwrap();
    let refused = |batch: &str, why: &str| {
        let output = site.sftp(batch);
        assert!(!output.status.success(), "{batch}: {}", text(&output));
        assert!(text(&output).contains(why), "{batch}: {}", text(&output));
    };
    fs::write(site.path("evil"), "evil").unwrap();
    refused("get ../../../secret got\n", "not found");
    refused("get link got\n", "ermission denied");
    refused("get up/secret got\n", "not found");
    refused("put evil link\n", "ermission denied");
    refused("put evil up/new\n", "ermission denied");
    refused("ln -s /etc/passwd p\n", "unsupported");
    assert_eq!(fs::read(site.path("secret")).unwrap(), b"s");
    assert!(!site.path("got").exists() && !site.path("new").exists());
}

#[test]
fn a_password_is_as_good_as_a_key_and_a_wrong_one_is_not() {
    let site = Site::open();
    let pwd = |user: &str, password: &str| site.sftp_with_password(user, password, "pwd\n");
    let right = pwd("partner", "open sesame");
    assert!(
        right.status.success() && text(&right).contains("working directory: /"),
        "{}",
        text(&right)
    );
    for (user, password) in [("partner", "open"), ("partner", ""), ("somebody", "open sesame")] {
        let wrong = pwd(user, password);
        assert!(!wrong.status.success(), "{user} {password}: {}", text(&wrong));
        assert!(text(&wrong).contains("Permission denied"), "{}", text(&wrong));
    }
    let other = KeyPair::generate("other");
    fs::write(site.path("key"), other.private_openssh()).unwrap();
    let wrong = site.sftp("pwd\n");
    assert!(text(&wrong).contains("Permission denied"), "{}", text(&wrong));
}

#[test]
fn a_long_listing_comes_whole() {
    let site = Site::open();
    for i in 0..1_234 {
        fs::write(site.root(&format!("f{i:05}")), "").unwrap();
    }
    let listed = site.sftp("ls -1\n");
    assert_eq!(text(&listed).matches("\nf").count(), 1_234);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_open() {
    let site = Site::open();
    fs::write(site.root("big"), pattern(1 << 20)).unwrap();
    let mut command = Command::new("sftp");
    site.ssh_options(&mut command);
    command
        .args(["-o", "IdentitiesOnly=yes", "-i"])
        .arg(site.path("key"))
        .arg("partner@127.0.0.1");
    // OpenSSH's client is killed in the middle of a session, as by a lid that is shut.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the client is in", || site.server.connections() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("it is gone", || site.server.connections() == 0);
    assert!(site.sftp("ls\n").status.success());
    wait_until("the next is gone too", || site.server.connections() == 0);
}

#[test]
fn rubbish_on_the_port_hurts_nobody() {
    let site = Site::open();
    for rubbish in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0xff; 70_000],
        b"",
        b"SSH-2.0-x\r\n\xff\xff\xff\xff",
    ] {
        let mut stream = std::net::TcpStream::connect(site.server.addr()).unwrap();
        // It may close on us while we write, which is an answer.
        stream.write_all(rubbish).ok();
    }
    assert!(site.sftp("ls\n").status.success());
    wait_until("they are gone", || site.server.connections() == 0);
}

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

/// OpenSSH's client against the scripted far end.
fn sftp_to(far: &FarEnd, batch: &str) -> std::process::Child {
    let dir = far.key_file().parent().unwrap().to_owned();
    let mut child = Command::new("sftp")
        .args([
            "-F",
            "none",
            "-b",
            "-",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-P", &far.port().to_string(), "-i"])
        .arg(far.key_file())
        .arg("acme@127.0.0.1")
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
    child
}

#[test]
fn faults_strike_where_they_are_laid() {
    let mut far = FarEnd::start();
    let got = far.key_file().with_file_name("got");
    let bytes = pattern(300_000);
    far.upload("a", &bytes);
    let succeeds = |far: &FarEnd, batch: &str| sftp_to(far, batch).wait().unwrap().success();

    far.always(Op::Read, Fault::Short(1_000))
        .latency(std::time::Duration::from_millis(5));
    assert!(succeeds(&far, "get a got\n"));
    assert_eq!(fs::read(&got).unwrap(), bytes);
    assert!(far.count(Op::Read) >= 300);

    far.forget();
    far.on(Op::Open, 2, Fault::Answer(StatusCode::PermissionDenied));
    assert!(succeeds(&far, "get a got\n-get a got\nget a got\n"));
    assert!(!succeeds(&far, "get b got\n"));
    assert_eq!(far.count(Op::Open), 3);

    far.forget();
    far.on(Op::PosixRename, 1, Fault::CutBefore)
        .on(Op::PosixRename, 2, Fault::CutAfter);
    assert!(!succeeds(&far, "rename a b\n"));
    assert_eq!(far.names(""), ["a"]);
    assert!(!succeeds(&far, "rename a b\n"));
    assert_eq!(far.names(""), ["b"]);
    let renames: Vec<_> = far
        .journal()
        .into_iter()
        .filter(|seen| seen.op == Op::PosixRename)
        .collect();
    assert_eq!((renames[1].path.as_str(), renames[1].to.as_deref()), ("/a", Some("/b")));

    for fault in [Fault::Stall, Fault::LoseReply] {
        far.forget();
        far.on_path(Op::MkDir, "/d", 1, fault);
        let mut hanging = sftp_to(&far, "-mkdir c\nmkdir d\n");
        wait_until("the request came", || far.count(Op::MkDir) == 2);
        assert_eq!(hanging.try_wait().unwrap(), None, "no reply, and no end");
        far.cut_all();
        assert!(!hanging.wait().unwrap().success());
    }
    assert_eq!(far.names(""), ["b", "c", "d"]);

    far.forget();
    far.stop();
    assert!(!succeeds(&far, "ls\n"));
    let known = far.host_key();
    far.restart();
    assert!(succeeds(&far, "ls\n"));
    assert_eq!(far.host_key(), known);
    far.restart_with_another_host_key();
    assert!(succeeds(&far, "ls\n"));
    assert_ne!(far.host_key(), known);
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !so() {
        assert!(
            started.elapsed() < std::time::Duration::from_secs(60),
            "in vain: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
