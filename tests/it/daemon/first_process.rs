//! As process 1 of a container: no signal has an effect that the program does not listen to.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::*;
use crate::house::gate::Output;

/// Runs a command as process 1 of its own world, and tells it to end when `begun` says so. `None`, and said, where this
/// machine allows no such worlds.
#[expect(
    clippy::print_stdout,
    reason = "whoever reads the test's output must not think that it was tried"
)]
fn as_first_process(gate: &Gate, command: &str, begun: impl FnOnce()) -> Option<Output> {
    let world = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare")
        .args(world)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("NOT TRIED: this machine makes no process worlds, so nothing is known of being process 1");
        return None;
    }
    let feedgate = gate.command();
    let child = Command::new("unshare")
        .args(world)
        .arg(feedgate.get_program())
        .arg(command)
        .env_clear()
        .envs(feedgate.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(gate.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting unshare");
    begun();
    let inner = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).expect("its children");
    let killed = Command::new("kill").args(["-TERM", inner.trim()]).status();
    assert!(killed.expect("running kill").success(), "{inner:?}");
    let output = child.wait_with_output().expect("its end");
    Some(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[test]
fn the_daemon_ends_when_told_to() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    drop_into(&root, MONDAY, &feed("a", 2));
    let ended = as_first_process(&gate, "run", || {
        wait_for_events(&gate, 2);
    });
    let Some(ended) = ended else { return };
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stderr.contains("stopping"), "{ended}");
    assert_eq!(gate.once().code, 0);
}

#[test]
fn a_command_that_waits_ends_as_anywhere_else() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut gate = Gate::new();
    gate.variable("PASSWORD", "secret");
    let port = dead.local_addr().unwrap().port();
    gate.source_toml(
        "acme",
        &format!("url = \"sftp://acme@127.0.0.1:{port}\"\npassword_env = \"PASSWORD\"\nhost_key = \"SHA256:UT2FjmbljxQiFoZUOE6dALa8AGRiApvT1pq/u7Es/EY\"\ntimeout = \"10m\""),
    );
    let mut call = None;
    let ended = as_first_process(&gate, "check", || call = dead.accept().ok());
    let Some(ended) = ended else { return };
    assert_eq!(ended.code, 128 + 15, "{ended}");
}
