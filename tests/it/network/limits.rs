//! Servers that let in few at a time, that end sessions when they are idle, and accounts that are shut for a while.

use super::*;
use crate::house::archives::Archive;
use crate::house::gate::Daemon;
use crate::house::sshd::keygen;
use std::process::{Command, Stdio};

fn drop_into(sshd: &Sshd, digits: &str) {
    let (name, bytes) = Archive::feed(digits, &format!(r#"[{{"event":"Purchase","id":"{digits}"}}]"#));
    let beside = sshd.dir().join("upload");
    fs::write(&beside, bytes).expect("writing an upload");
    fs::rename(beside, sshd.root().join(name)).expect("putting an upload into place");
}

/// Nothing was worth a word.
fn assert_no_trouble(daemon: &Daemon) {
    assert!(!daemon.stderr().contains("trouble"), "{}", daemon.stderr());
}

#[test]
fn sessions_that_are_ended_while_idle_are_no_trouble() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd, "");
    let daemon = gate.run();
    for (count, digits) in ["20260401000000", "20260402000000", "20260403000000"]
        .into_iter()
        .enumerate()
    {
        wait_until_well(&gate);
        sshd.end_sessions();
        drop_into(&sshd, digits);
        wait_for_events(&gate, count + 1);
    }
    assert_eq!(daemon.stop().code, 0);

    // By the server itself, after each poll.
    let sshd = Sshd::start_with("ChannelTimeout *=1s\nUnusedConnectionTimeout 1s\n");
    let gate = gate_over(&sshd, "poll_interval = \"3s\"\n");
    let daemon = gate.run();
    wait_until_well(&gate);
    wait_until("the end of an idle session", || sshd.sessions() == 0);
    drop_into(&sshd, "20260401000000");
    wait_for_events(&gate, 1);
    wait_until("the end of another", || sshd.sessions() == 0);
    assert_no_trouble(&daemon);
    assert_eq!(daemon.stop().code, 0);
}

/// One login at a time, as some hosters have it: what we do fits into one, and while somebody else has it, we wait.
#[test]
fn a_single_login_at_a_time_is_enough() {
    let lock = tempfile::tempdir().unwrap();
    let lock = lock.path().join("lock");
    let one = format!(
        "Subsystem sftp /usr/bin/flock --nonblock {} /usr/lib/openssh/sftp-server\n",
        lock.display()
    );
    let sshd = Sshd::start_with(&one);
    let gate = gate_over(&sshd, "");
    let daemon = gate.run();
    drop_into(&sshd, "20260401000000");
    wait_for_events(&gate, 1);
    assert_no_trouble(&daemon);
    assert!(sshd.sessions() <= 1);

    // Somebody else is quicker than we are.
    let mut other = Command::new("flock")
        .arg(&lock)
        .args(["sleep", "600"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    sshd.end_sessions();
    wait_for_trouble(&gate, &["starting SFTP as"]);
    drop_into(&sshd, "20260402000000");
    // Killed with what it started: the lock is held by `sleep`.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", other.id())).unwrap();
    assert!(
        Command::new("kill")
            .args(children.split_whitespace())
            .status()
            .unwrap()
            .success()
    );
    other.wait().unwrap();
    wait_for_events(&gate, 2);
    wait_until_well(&gate);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn a_server_that_lets_in_but_gives_no_session_is_asked_again() {
    let mut sshd = Sshd::start_with("MaxSessions 0\n");
    let gate = gate_over(&sshd, "timeout = \"3s\"\n");
    let daemon = gate.run();
    wait_for_trouble(&gate, &["starting SFTP as", "channel"]);
    let lines = sshd.dir().join("lines");
    let open = fs::read_to_string(&lines).unwrap().replace("MaxSessions 0", "");
    fs::write(&lines, open).unwrap();
    sshd.restart();
    drop_into(&sshd, "20260401000000");
    wait_for_events(&gate, 1);
    wait_until("a single session", || sshd.sessions() == 1);
    assert_eq!(daemon.stop().code, 0);
}

/// The account's key is taken away and given back; the server's is another for a while. Nobody touches the configuration.
#[test]
fn keys_that_change_and_change_back() {
    let mut sshd = Sshd::start();
    let gate = gate_over(&sshd, "");
    let daemon = gate.run();
    wait_until_well(&gate);
    let (authorized, kept) = (sshd.dir().join("authorized_keys"), sshd.dir().join("kept"));
    fs::rename(&authorized, &kept).unwrap();
    sshd.end_sessions();
    wait_for_trouble(&gate, &["not let in", "private key"]);
    fs::rename(&kept, &authorized).unwrap();
    wait_until_well(&gate);

    let host_key = |kind: &str| sshd.dir().join(format!("host_{kind}"));
    let keys: Vec<_> = ["ed25519", "ecdsa", "rsa"].map(|kind| (kind, host_key(kind))).into();
    sshd.stop();
    for (kind, path) in &keys {
        fs::rename(path, path.with_extension("kept")).unwrap();
        keygen(path, &["-t", kind]);
    }
    sshd.restart();
    let told = wait_for_trouble(&gate, &["host key"]);
    assert!(!told.is_empty());
    drop_into(&sshd, "20260401000000");
    sshd.stop();
    for (_, path) in &keys {
        fs::rename(path.with_extension("kept"), path).unwrap();
    }
    sshd.restart();
    wait_for_events(&gate, 1);
    wait_until_well(&gate);
    assert_eq!(daemon.stop().code, 0);
}

/// Frozen in mid-poll, a server is given up after the deadline, also when all it ever does again is to take connections.
#[test]
fn a_server_that_takes_connections_and_says_nothing() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd, "timeout = \"1s\"\n");
    let daemon = gate.run();
    wait_until_well(&gate);
    sshd.freeze();
    drop_into(&sshd, "20260401000000");
    wait_for_trouble(&gate, &["connecting to", "within 1s"]);
    sshd.thaw();
    wait_for_events(&gate, 1);
    wait_until("a single session", || sshd.sessions() <= 1);
    assert_eq!(daemon.stop().code, 0);
}
