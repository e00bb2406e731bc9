//! What the program finds around it: no rights, no `/tmp`, a root that cannot be written, no passwd entry, few files.

use std::process::{Command, Stdio};

use super::*;

/// The world of a container, as `compose.yaml` has it: user 65532 without name or rights, `/` read-only, nothing but the state
/// to be written, no `/tmp`, no passwd, no resolver, nothing in the environment, the daemon process 1. `$1` is the directory of
/// the gate, `$2` the program.
const CONTAINER: &str = r#"set -eu
mount --make-rprivate /
: > "$1/program"
mount --bind "$2" "$1/program"
mount --rbind "$1" /mnt
mount -t tmpfs -o size=64k tmpfs /tmp
mkdir -p "$1"
mount --rbind /mnt "$1"
umount --recursive /mnt
mount -o remount,ro /tmp
for missing in /etc/passwd /etc/group /etc/resolv.conf /etc/hosts; do
    [ ! -e $missing ] || mount --bind /dev/null $missing
done
mount -o remount,bind,ro /
cd /
exec env -i setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all \
    "$1/program" run -c "$1/feedgate.toml"
"#;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "whoever reads the test's output must not think that it was tried"
)]
fn as_a_container_has_it() {
    let tried = ["unshare --mount --pid --fork true", "setpriv --version"]
        .iter()
        .all(|line| {
            Command::new("sh")
                .args(["-c", line])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
    // The gate must lie where it can be mounted anew, or there is no telling whether `/tmp` is missed.
    if !tried || !std::env::temp_dir().starts_with("/tmp") {
        println!(
            "NOT TRIED: this machine makes no worlds of mounts, so nothing is known of a container's surroundings"
        );
        return;
    }
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    // The key must lie where the world of the container has it.
    let key = gate.dir().join("key");
    fs::copy(far.key_file(), &key).unwrap();
    let config = fs::read_to_string(gate.config()).unwrap();
    let config = config.replace(&far.key_file().display().to_string(), &key.display().to_string());
    fs::create_dir(gate.state_dir()).unwrap();
    let config_file = gate.dir().join("feedgate.toml");
    fs::write(&config_file, config).unwrap();
    let owned = Command::new("chown")
        .args(["-R", "65532:65532"])
        .arg(gate.dir())
        .status();
    assert!(owned.is_ok_and(|status| status.success()), "giving the gate away");

    let program = Path::new(env!("CARGO_BIN_EXE_feedgate"));
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        CONTAINER,
        "container",
    ]);
    command
        .arg(gate.dir())
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let container = gate.spawn(&mut command);
    container.wait_for_log("feedgate is running");
    far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 3)).1);
    container.wait_for_log("processed and moved");
    container.wait_for_log("\"delivered\"");
    // The health check of the image.
    let health = Command::new(program)
        .args(["status", "--health", "-c"])
        .arg(&config_file)
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(0), "{health:?}");
    let inner = fs::read_to_string(format!("/proc/{0}/task/{0}/children", container.id())).expect("its children");
    assert!(
        Command::new("kill")
            .args(["-TERM", inner.trim()])
            .status()
            .unwrap()
            .success()
    );
    let ended = container.wait_for_end();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(!ended.stderr.contains("\"level\":\"error\""), "{ended}");
    assert_eq!(far.names("processed"), [name_of(MONDAY)]);
}

#[test]
fn with_few_files_allowed_many_archives_come_in_all_the_same() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    for n in 0..300 {
        drop_into(
            &root,
            &format!("2026020100{:02}{:02}", n / 60, n % 60),
            &feed(&format!("a{n:03}"), 1),
        );
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" once -c \"$1\""]);
    shell.arg(env!("CARGO_BIN_EXE_feedgate")).arg(gate.config());
    let once = shell.output().unwrap();
    assert_eq!(once.status.code(), Some(0), "{}", String::from_utf8_lossy(&once.stderr));
    assert_eq!(delivered(&gate).len(), 300);
}

#[test]
fn what_is_in_the_way_of_the_state_directory_is_said_with_what_to_do() {
    let gate = Gate::new();
    let mut gate_with_source = Gate::new();
    gate_with_source.source_local("acme", gate.dir());
    let state = gate_with_source.state_dir();
    let check = |expect: &str| {
        let refused = gate_with_source.once();
        assert_eq!(refused.code, 2, "{refused}");
        assert!(refused.stderr.contains("locking the state directory `"), "{refused}");
        assert!(refused.stderr.contains(expect), "{refused}");
    };
    fs::write(&state, "").unwrap();
    check("something that is no directory is in its way");
    fs::remove_file(&state).unwrap();
    std::os::unix::fs::symlink(gate.dir().join("nowhere"), &state).unwrap();
    check("a link that leads nowhere");
    fs::remove_file(&state).unwrap();
    // A link that leads somewhere is as good as a directory.
    fs::create_dir(gate.dir().join("somewhere")).unwrap();
    std::os::unix::fs::symlink(gate.dir().join("somewhere"), &state).unwrap();
    assert_eq!(gate_with_source.once().code, 0);
}

#[test]
fn a_working_directory_that_was_removed_is_no_hindrance() {
    let mut gate = Gate::new();
    let root = gate.dir().join("a root with blanks, ünï and \u{1f4e6}");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", Path::new(&root.display().to_string().replace(' ', "%20")));
    gate.destination_sqlite("events");
    drop_into(&root, MONDAY, &feed("a", 1));
    let (gone, config) = (gate.dir().join("gone"), gate.config());
    fs::create_dir(&gone).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "rmdir \"$2\"; exec \"$0\" once -c \"$1\""]);
    let output = shell
        .arg(env!("CARGO_BIN_EXE_feedgate"))
        .arg(config)
        .arg(&gone)
        .current_dir(&gone)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(delivered(&gate), ["a-0"]);
}
