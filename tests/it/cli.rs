//! The command line, as a person or a script meets it: stdout, stderr and exit code.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::house::archives::Archive;
use crate::house::gate::{Gate, Output};
use crate::house::sshd::Sshd;

/// A gate with one local source and a SQLite destination, and the source's root.
fn gate() -> (Gate, PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    std::fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    (gate, root)
}

/// Drops an archive of a feed, and returns its name.
fn drop_feed(root: &Path, digits: &str, feed: &str) -> String {
    let (name, bytes) = Archive::feed(digits, feed);
    std::fs::write(root.join(&name), bytes).unwrap();
    name
}

const TWO_EVENTS: &str = r#"[{"event": "Purchase", "id": "1"}, {"event": "Return", "id": "2"}]"#;

/// Three entries, of which the second is rejected.
const ONE_REJECT: &str = "[{\"event\": \"Purchase\", \"id\": \"1\"},\n {\"event\": \"\", \"id\": \"2\"},\n {\"event\": \"Return\", \"id\": \"3\"}]";

/// The table's line that holds `text`, its columns one blank apart.
fn line_with(output: &Output, text: &str) -> String {
    let line = output.stdout.lines().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("no line with `{text}`: {output}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn help_names_every_command() {
    let gate = Gate::new();
    let help = gate.cli(["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{help}");
    for command in [
        "run",
        "once",
        "check",
        "pack",
        "status",
        "events",
        "retry",
        "dead-letters",
        "tickets",
        "keys",
        "demo",
        "completions",
        "man",
    ] {
        let is_listed = help
            .stdout
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(
            is_listed || help.stdout.contains(&format!("\n  {command}\n")),
            "{command}: {help}"
        );
        let own = gate.cli([command, "--help"]);
        assert_eq!((own.code, own.stderr.as_str()), (0, ""), "{own}");
        assert!(own.stdout.contains("Usage: feedgate"), "{own}");
    }
    let version = gate.cli(["--version"]);
    assert_eq!(version.stdout, concat!("feedgate ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn misuse_is_2_and_says_what_was_meant() {
    let gate = Gate::new();
    let check = |args: &[&str], expect: &str| {
        let output = gate.cli(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output}");
        assert!(output.stderr.contains(expect), "{args:?}: {output}");
    };
    check(&["statsu"], "similar subcommand exists: 'status'");
    check(&["status", "--faield"], "'--failed'");
    check(&["status", "1", "--failed"], "cannot be used with");
    check(&["retry"], "required arguments");
    check(&["retry", "x", "--failed"], "cannot be used with");
    check(&["events", "--import", "x"], "invalid value 'x'");
    check(&["events", "--since", "yesterday"], "reading `--since`");
    check(&["--log-format", "xml", "status"], "possible values: text, json");
    check(
        &["--log", "feedgate=loud", "status"],
        "feedgate: reading the log level `feedgate=loud`",
    );
    check(&[], "Usage: feedgate");
}

#[test]
fn completions_and_the_manual_are_made_here() {
    let gate = Gate::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = gate.cli(["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script}");
        assert!(
            script.stdout.contains("feedgate") && script.stdout.contains("dead-letters"),
            "{shell}"
        );
    }
    let page = gate.cli(["man"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{page}");
    assert!(page.stdout.contains(".TH feedgate 1"), "{page}");
    assert!(page.stdout.contains("\\-\\-dead\\-letters"), "{page}");
}

#[test]
fn a_broken_configuration_is_told_on_stderr_and_is_2() {
    let (mut gate, _) = gate();
    gate.section("[limits]\nratioo = 3\ndepth = 'deep'");
    for command in ["run", "once", "check"] {
        let output = gate.cli([command]);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert!(
            lines[0].starts_with("feedgate: reading the configuration `"),
            "{output}"
        );
        assert!(lines[0].ends_with("feedgate.toml`: 2 problems"), "{output}");
        assert!(
            lines[1].ends_with("there is no key \"ratioo\" in `limits`: did you mean `ratio`?"),
            "{output}"
        );
        assert!(
            lines[2].contains("`depth` is `\"deep\"`: a whole number is wanted"),
            "{output}"
        );
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (gate, _) = gate();
    let check = |name: &[u8], text: &[u8], command: &str, expect: &str| {
        let output = gate
            .command()
            .arg(command)
            .env(OsStr::from_bytes(name), OsStr::from_bytes(text))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expect), "{command}: {said}");
        let is_refused = said.contains("UTF-8");
        assert_eq!(
            output.status.code(),
            Some(if is_refused { 2 } else { 0 }),
            "{command}: {said}"
        );
        is_refused
    };
    let value =
        "feedgate: reading the configuration: FEEDGATE__STATE_DIR: its value is not UTF-8; write it so, or unset it\n";
    check(b"FEEDGATE__STATE_DIR", b"/x\xff", "once", value);
    check(b"FEEDGATE__STATE_DIR", b"/x\xff", "status", value);
    let name = "feedgate: reading the configuration: FEEDGATE__STATE_\u{fffd}: its name is not UTF-8; write it so, or unset it\n";
    check(b"FEEDGATE__STATE_\xff", b"/x", "once", name);
    // Set to nothing, it is not set; and the environment is not ours alone.
    assert!(!check(b"FEEDGATE__STATE_DIR\xff", b"", "once", ""));
    assert!(!check(b"SOMEBODYS\xff", b"\xff", "once", ""));
}

#[test]
fn nothing_to_poll_is_refused_with_what_to_add() {
    let gate = Gate::new();
    for command in ["run", "once"] {
        let output = gate.cli([command]);
        assert_eq!(output.code, 2, "{output}");
        assert!(
            output
                .stderr
                .contains("the configuration has no source; add a `[[source]]`"),
            "{output}"
        );
        assert!(output.stderr.contains("FEEDGATE__SOURCE__0__URL"), "{output}");
    }
    let check = gate.cli(["check"]);
    assert_eq!(check.code, 2, "{check}");
    assert!(
        check.stdout.starts_with("no source: there is nothing to poll"),
        "{check}"
    );
    assert!(!gate.state_dir().exists(), "`check` changes nothing");
}

#[test]
fn without_a_configuration_it_says_where_it_looked() {
    let gate = Gate::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = gate
        .command()
        .arg("once")
        .env_remove("FEEDGATE_CONFIG")
        .current_dir(&elsewhere)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // A machine may have one in /etc; then there is nothing to say.
    if !Path::new("/etc/feedgate/feedgate.toml").exists() {
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains("`config/feedgate.toml`, `/etc/feedgate/feedgate.toml`"),
            "{stderr}"
        );
    }
    let output = gate.command().args(["-c", "nowhere.toml", "status"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        stderr,
        "feedgate: reading the configuration `nowhere.toml`: No such file or directory (os error 2)\n"
    );
}

#[test]
fn looking_needs_a_ledger_and_says_how_to_get_one() {
    let (gate, _) = gate();
    for args in [&["status"][..], &["events"], &["retry", "--failed"]] {
        let output = gate.cli(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        assert!(
            output
                .stderr
                .contains("there is none; `feedgate run` or `feedgate once` makes it"),
            "{output}"
        );
    }
    assert!(!gate.state_dir().exists());
}

#[test]
fn once_takes_everything_in_and_status_tells_of_it() {
    let (gate, root) = gate();
    let good = drop_feed(&root, "20260101000000", TWO_EVENTS);
    let once = gate.once();
    assert_eq!((once.code, once.stdout.as_str()), (0, ""), "{once}");
    let status = gate.cli(["status"]);
    assert_eq!((status.code, status.stderr.as_str()), (0, ""), "{status}");
    assert_eq!(
        line_with(&status, &good),
        format!("1 processed acme {good} 2 0 processed/")
    );
    assert_eq!(line_with(&status, "sqlite"), "events sqlite idle 2 0 0");

    // Once more: nothing new, nothing wrong.
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 1);
}

#[test]
fn once_is_1_for_what_it_found_itself() {
    let (gate, root) = gate();
    drop_feed(&root, "20261301000000", TWO_EVENTS);
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert_eq!(gate.cli(["status"]).code, 1, "a failed archive needs attention");
    // The failed archive is still there, but it is not this pass that found it.
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
}

#[test]
fn status_json_has_what_programs_rely_on() {
    let (gate, root) = gate();
    let name = drop_feed(&root, "20260101000000", ONE_REJECT);
    gate.once();
    let status = gate.status();
    let import = &status["imports"][0];
    assert_eq!(import["id"], 1);
    assert_eq!(import["source"], "acme");
    assert_eq!(import["archive"], name.as_str());
    assert_eq!(import["status"], "processed");
    assert_eq!(import["imported"], true);
    assert_eq!(
        (&import["entries"], &import["accepted"], &import["rejected"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert_eq!(import["violations"], serde_json::json!([]));
    assert_eq!(import["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(import["disposition"], "moved");
    assert_eq!(import["path"], format!("processed/{name}"));
    assert_eq!(import["error"], serde_json::Value::Null);
    assert_eq!(status["destinations"][0]["name"], "events");

    let full = gate.import_in_full(&name);
    assert_eq!(full["rejects"][0]["code"], "event_invalid");
    assert_eq!(
        (&full["rejects"][0]["index"], &full["rejects"][0]["line"]),
        (&1.into(), &2.into())
    );
    assert_eq!(gate.import_in_full("1"), full);
}

#[test]
fn one_import_is_explained_in_full() {
    let (gate, root) = gate();
    let (name, _) = Archive::feed("20260101000000", "");
    let bytes = Archive::of("other.json", ONE_REJECT).bytes();
    std::fs::write(root.join(&name), bytes).unwrap();
    gate.once();
    let status = gate.cli(["status", &name]);
    assert_eq!((status.code, status.stderr.as_str()), (1, ""), "{status}");
    let says = |text: &str| assert!(status.stdout.contains(text), "`{text}`: {status}");
    says(&format!("import 1: {name} from acme\n"));
    says("failed; its events are imported all the same");
    says("3, of these 2 accepted and 1 rejected");
    says("member_name: the data file is named `other.json`");
    says("pack the same data again under the same name");
    says("rejects: 1 event_invalid");
    let unknown = gate.cli(["status", "nothing.zip"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""), "{unknown}");
    assert!(
        unknown
            .stderr
            .contains("looking for the import `nothing.zip`: there is none"),
        "{unknown}"
    );
    assert_eq!(gate.cli(["status", "99"]).code, 2);
}

#[test]
fn status_shows_what_is_asked_for() {
    let (mut gate, root) = gate();
    let second = gate.dir().join("second");
    std::fs::create_dir(&second).unwrap();
    gate.source_local("beta", &second);
    for hour in 0..5 {
        drop_feed(&root, &format!("202601010{hour}0000"), TWO_EVENTS);
    }
    let failed = drop_feed(&second, "20261301000000", TWO_EVENTS);
    gate.once();
    let archives = |args: &[&str]| -> Vec<String> {
        let all = [&["status", "--json"], args].concat();
        let imports = gate.cli(all).json()["imports"].as_array().unwrap().clone();
        imports
            .iter()
            .map(|import| import["archive"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(archives(&[]).len(), 6);
    assert_eq!(archives(&["--failed"]), [failed.as_str()]);
    assert_eq!(archives(&["--source", "beta"]), [failed.as_str()]);
    assert_eq!(archives(&["--source", "acme"]).len(), 5);
    let newest = archives(&["--source", "acme", "--limit", "2"]);
    let expect = [
        "event_history_20260101030000.json.zip",
        "event_history_20260101040000.json.zip",
    ];
    assert_eq!(newest, expect, "the newest, oldest first");

    assert_eq!(archives(&["--limit", "0"]), [""; 0]);
    let none = gate.cli(["status", "--limit", "0"]);
    assert!(none.stdout.starts_with("No imports asked for.\n"), "{none}");
    for command in [
        &["status", "--source", "typo"][..],
        &["status", "--source", "typo", "--json"],
        &["events", "--source", "typo"],
    ] {
        let output = gate.cli(command);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        let expect = "feedgate: looking for the source `typo`: the ledger knows none of this name";
        assert!(output.stderr.starts_with(expect), "{output}");
    }
    // One that has imported nothing is there all the same.
    let events = gate.cli(["events", "--source", "beta"]);
    assert_eq!((events.code, events.stdout.as_str()), (0, ""), "{events}");
}

#[test]
fn what_waits_is_listed_with_its_reason() {
    let (gate, root) = gate();
    std::fs::write(root.join("event_history_20260101000000.json.zip"), "PK\u{3}\u{4}half").unwrap();
    let once = gate.once();
    assert_eq!(once.code, 0, "an upload in progress is no failure: {once}");
    let status = gate.cli(["status"]);
    assert!(status.stdout.starts_with("No imports yet.\n"), "{status}");
    assert!(
        line_with(&status, "event_history_").contains("acme 8 incomplete"),
        "{status}"
    );
    let one = gate.cli(["status", "event_history_20260101000000.json.zip"]);
    assert_eq!(one.code, 0, "{one}");
    assert!(one.stdout.contains("in acme waits: incomplete"), "{one}");
}

#[test]
fn hostile_names_cannot_move_the_cursor() {
    let (gate, root) = gate();
    std::fs::write(root.join("event_history_\u{1b}[2J\nfoo.zip"), "x").unwrap();
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    for output in [
        once,
        gate.cli(["status"]),
        gate.cli(["status", "1"]),
        gate.cli(["status", "--json"]),
    ] {
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(!text.contains('\u{1b}'), "{output}");
        assert!(!text.contains("\nfoo"), "{output}");
        assert!(text.is_empty() || text.contains("foo.zip"), "{output}");
    }
}

#[test]
fn events_come_one_a_line_as_given() {
    let (gate, root) = gate();
    let name = drop_feed(
        &root,
        "20260101000000",
        "[{\"event\": \"Purchase\",\n \"id\": \"1\", \"price\": 5.00}]",
    );
    gate.once();
    let output = gate.cli(["events"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    let event: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "import", "archive", "index", "event", "body"]);
    assert_eq!(event["archive"], name.as_str());
    assert_eq!(
        (&event["import"], &event["index"], &event["event"]),
        (&1.into(), &0.into(), &"Purchase".into())
    );
    assert!(output.stdout.contains("5.00"), "{output}");
    assert_eq!(gate.cli(["events", "--event", "Return"]).stdout, "");
    assert_eq!(
        gate.cli(["events", "--source", "acme", "--import", "1", "--since", "1d"])
            .stdout,
        output.stdout
    );
    assert_eq!(gate.cli(["events", "--import", "7"]).code, 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (gate, root) = gate();
    let many: Vec<String> = (0..20_000)
        .map(|n| format!("{{\"event\": \"E\", \"id\": \"{n}\"}}"))
        .collect();
    drop_feed(&root, "20260101000000", &format!("[{}]", many.join(",")));
    gate.once();
    let mut child = gate
        .command()
        .arg("events")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting feedgate");
    let mut start = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn check_vets_an_archive_without_any_configuration() {
    let gate = Gate::new();
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| -> Output {
        let output = gate
            .command()
            .arg("check")
            .args(args)
            .env_remove("FEEDGATE_CONFIG")
            .current_dir(&dir)
            .output()
            .unwrap();
        Output {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    };
    let good = drop_feed(dir.path(), "20260101000000", TWO_EVENTS);
    let output = check(&[&good]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    assert_eq!(
        output.stdout,
        format!("{good}: processed: 2 events would be imported\n")
    );

    let bad = drop_feed(dir.path(), "20260101000001", ONE_REJECT);
    let output = check(&[&good, &bad]);
    assert_eq!(output.code, 1, "{output}");
    assert!(
        output.stdout.contains("entry 1, line 2, column 2: event_invalid"),
        "{output}"
    );

    let receipt = check(&["--json", &bad]).json();
    assert_eq!(
        (&receipt["status"], &receipt["import"]),
        (&"processed".into(), &serde_json::Value::Null)
    );
    assert_eq!((&receipt["accepted"], &receipt["rejected"]), (&2.into(), &1.into()));
    assert_eq!(receipt["rejects"][0]["index"], 1);
    assert!(receipt["how_to_fix"]["event_invalid"].is_string());

    std::fs::write(dir.path().join("notes.zip"), "x").unwrap();
    let output = check(&["notes.zip"]);
    assert_eq!(output.code, 1, "{output}");
    assert!(
        output
            .stdout
            .starts_with("notes.zip: would be ignored: its name is no feed's"),
        "{output}"
    );

    // One that cannot be read does not hide what is to be said of the others.
    let output = check(&["nowhere.zip", &good, "."]);
    assert_eq!(output.code, 2, "{output}");
    assert!(output.stdout.contains("2 events would be imported"), "{output}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(
        lines[0].starts_with("feedgate: checking `nowhere.zip`: No such file"),
        "{output}"
    );
    assert_eq!(lines[1], "checking `.`: it has no file name", "{output}");

    // Opening a pipe would wait for ever.
    for pipe in ["event_history_20260101000002.json.zip", "pipe"] {
        let path = dir.path().join(pipe);
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let output = check(&[pipe]);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        let expect = format!("feedgate: checking `{pipe}`: it is no regular file");
        assert!(output.stderr.starts_with(&expect), "{output}");
    }
}

#[test]
fn check_uses_the_rules_of_the_source_that_is_named() {
    let (mut gate, root) = gate();
    gate.source_local_with(
        "strict",
        &gate.dir().join("strict"),
        "packaging = 'strict'\nreceipts = false",
    );
    let name = "event_history_20260101000000.json.zip";
    std::fs::write(root.join(name), Archive::of("other.json", TWO_EVENTS).bytes()).unwrap();
    let path = root.join(name).display().to_string();
    let imported = |args: &[&str]| gate.cli([&["check", "--json", &path], args].concat()).json()["imported"].clone();
    assert_eq!(imported(&["--source", "acme"]), true);
    assert_eq!(imported(&["--source", "strict"]), false);
    let unknown = gate.cli(["check", &path, "--source", "gamma"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("looking for the source `gamma`"), "{unknown}");
}

#[test]
fn check_dials_everything_and_changes_nothing() {
    let (mut gate, root) = gate();
    drop_feed(&root, "20260101000000", TWO_EVENTS);
    let output = gate.cli(["check"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    assert!(
        output
            .stdout
            .contains(&format!("source acme: well, 1 file in file://{}", root.display())),
        "{output}"
    );
    assert!(output.stdout.contains("destination events (sqlite): well"), "{output}");
    assert!(!gate.state_dir().exists());
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);

    gate.source_local("gone", Path::new("/nowhere/at/all"));
    gate.destination("picky", "type = 'console'\nsources = ['acmee']");
    let output = gate.cli(["check"]);
    assert_eq!(output.code, 2, "{output}");
    assert!(output.stdout.contains("source acme: well"), "{output}");
    assert!(output.stdout.contains("source gone: "), "{output}");
    assert!(
        output
            .stdout
            .contains("it wants events of `acmee`, and no source has this name"),
        "{output}"
    );
    assert!(output.stderr.contains("1 of what it names will not do"), "{output}");
    let json = gate.cli(["check", "--json"]).json();
    let well: Vec<(&str, bool)> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["well"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        well,
        [("acme", true), ("gone", false), ("events", true), ("picky", true)]
    );
}

#[test]
fn keys_shows_the_line_that_the_configuration_wants() {
    let sshd = Sshd::start();
    let gate = Gate::new();
    let host = format!("127.0.0.1:{}", sshd.port());
    let pin = sshd.host_key_pin();
    for url in [format!("sftp://{host}"), sshd.url(), host] {
        let output = gate.cli(["keys", &url]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
        assert!(output.stdout.contains(&pin), "{pin}: {output}");
        assert!(output.stdout.contains("\n  host_key = \"SHA256:"), "{output}");
    }
    let json = gate.cli(["keys", &sshd.url(), "--json"]).json();
    assert_eq!(json["port"], sshd.port());
    assert!(
        json["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["fingerprint"] == pin.as_str()),
        "{json}"
    );

    let refused = gate.cli(["keys", "sftp://acme:hunter2@127.0.0.1"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused}");
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
    let nobody = gate.cli(["keys", "127.0.0.1:1"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (2, ""), "{nobody}");
    assert!(nobody.stderr.starts_with("feedgate: asking `127.0.0.1:1`"), "{nobody}");
}

#[test]
fn check_dials_the_server_and_names_a_key_that_is_not_the_one() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &sshd.toml());
    let output = gate.cli(["check"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    assert!(
        output.stdout.starts_with("source acme: well, 0 files in sftp://"),
        "{output}"
    );

    gate.clear();
    let other = "SHA256:uNiVztksCsDhcc0u9e8BrmJwPfjKCXdxpLJ3ETDSfbE";
    gate.source_toml("acme", &sshd.toml().replace(&sshd.host_key_pin(), other));
    let output = gate.cli(["check"]);
    assert_eq!(output.code, 2, "{output}");
    assert!(output.stdout.starts_with("source acme: "), "{output}");
    assert!(
        output.stdout.contains(&sshd.host_key_pin()),
        "the key that was seen: {output}"
    );
}

#[test]
fn pack_makes_what_check_approves_of() {
    let gate = Gate::new();
    let feed = gate.dir().join("feed.json");
    std::fs::write(&feed, TWO_EVENTS).unwrap();
    let path = feed.display().to_string();
    let output = gate.cli(["pack", &path, "--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    let receipt = output.json();
    assert_eq!(
        (&receipt["status"], &receipt["accepted"]),
        (&"processed".into(), &2.into())
    );
    let archive = gate.dir().join(receipt["archive"].as_str().unwrap());
    assert_eq!(gate.cli(["check", &archive.display().to_string()]).code, 0);

    std::fs::write(gate.dir().join("bad.json"), ONE_REJECT).unwrap();
    let bad = gate.dir().join("bad.json").display().to_string();
    let out = gate.dir().join("out");
    std::fs::create_dir(&out).unwrap();
    let output = gate.cli(["pack", &bad, "--dir", &out.display().to_string()]);
    assert_eq!(output.code, 1, "it is packed, and told what is in it: {output}");
    assert!(
        output.stdout.contains("entry 1, line 2, column 2: event_invalid"),
        "{output}"
    );
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(gate.cli(["pack", "/nowhere.json"]).code, 2);

    // One after the other within a second, and one whose time is none.
    for _ in 0..3 {
        assert_eq!(gate.cli(["pack", &path]).code, 0);
    }
    let odd = gate.dir().join("event_history_20201301000000.json");
    std::fs::write(&odd, TWO_EVENTS).unwrap();
    let output = gate.cli(["pack", &odd.display().to_string()]);
    assert_eq!(output.code, 0, "{output}");
    let told = output.stdout.lines().next().unwrap_or_default();
    assert!(told.contains("there is no month 13"), "{output}");
    assert!(told.ends_with("named by the present time, in UTC"), "{output}");
}

#[test]
fn retry_says_what_will_happen() {
    let (gate, root) = gate();
    let failed = drop_feed(&root, "20261301000000", TWO_EVENTS);
    let good = drop_feed(&root, "20260101000000", TWO_EVENTS);
    gate.once();
    let output = gate.cli(["retry", "--failed"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(
        output.stdout,
        format!("{failed} in acme is read and judged anew with the next turn\n")
    );
    let once = gate.once();
    assert_eq!(once.code, 1, "judged anew, and failed anew: {once}");
    let output = gate.cli(["retry", &good]);
    assert_eq!(output.code, 1, "{output}");
    assert!(output.stdout.contains("is processed, and moved"), "{output}");
    let output = gate.cli(["retry", "nothing.zip"]);
    assert_eq!(output.code, 2, "{output}");
    let output = gate.cli(["retry", "--dead-letters", "events", "--json"]);
    assert_eq!(
        (output.code, &output.json()["dead_letters"]),
        (0, &0.into()),
        "{output}"
    );
    let output = gate.cli(["retry", "--dead-letters", "nobody"]);
    assert_eq!(output.code, 2, "{output}");
}

#[test]
fn the_daemon_runs_until_it_is_told_to_stop() {
    let (gate, root) = gate();
    assert_eq!(gate.cli(["status", "--health"]).code, 1, "there is no daemon yet");
    let daemon = gate.run();
    let health = gate.cli(["status", "--health"]);
    assert_eq!(health.code, 0, "{health}");
    assert!(health.stdout.starts_with("alive: "), "{health}");

    let second = gate.cli(["run"]);
    assert_eq!(second.code, 2, "{second}");
    assert!(
        second.stderr.contains(&format!("{}", daemon.id())),
        "the process that holds it is named: {second}"
    );

    let name = drop_feed(&root, "20260101000000", TWO_EVENTS);
    let status = gate.wait_for_imports(1);
    assert_eq!(status["imports"][0]["archive"], name.as_str());
    daemon.wait_for_log("processed");
    let ended = daemon.stop();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended}");
    // Where nobody looks, the log is for machines.
    for line in ended.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["at"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_broken_one_refused() {
    let (mut gate, _) = gate();
    let second = gate.dir().join("second");
    std::fs::create_dir(&second).unwrap();
    let daemon = gate.run();

    gate.section("[limits]\nratio = 'all'");
    gate.config();
    daemon.signal("HUP");
    daemon.wait_for_log("the changed configuration is refused");
    daemon.wait_for_log("a whole number is wanted");

    gate.clear();
    gate.source_local("beta", &second);
    gate.config();
    daemon.wait_for_log("the changed configuration is taken over");
    let name = drop_feed(&second, "20260101000000", TWO_EVENTS);
    let status = gate.wait_for_imports(1);
    assert_eq!(
        (&status["imports"][0]["source"], &status["imports"][0]["archive"]),
        (&"beta".into(), &name.into())
    );
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn the_log_takes_the_form_that_is_asked_for() {
    let (gate, root) = gate();
    drop_feed(&root, "20260101000000", TWO_EVENTS);
    let text = gate.cli(["once", "--log-format", "text"]);
    assert!(text.stderr.contains(" INFO  processed"), "{text}");
    assert!(
        !text.stderr.contains('\u{1b}'),
        "no colours where there is no terminal: {text}"
    );
    drop_feed(&root, "20260101000001", TWO_EVENTS);
    let quiet = gate.cli(["once", "--log", "error"]);
    assert_eq!(quiet.stderr, "", "{quiet}");
    drop_feed(&root, "20260101000002", TWO_EVENTS);
    let quiet = gate.command().arg("once").env("FEEDGATE_LOG", "off").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
}

#[test]
fn secrets_stay_secret_wherever_the_program_speaks() {
    let mut gate = Gate::new();
    gate.variable("PW", "hunter2");
    // Nothing listens on port 1: the login is never reached, but everything else is said.
    let keys = "url = 'sftp://acme@127.0.0.1:1/'\npassword_env = 'PW'\ntimeout = '2s'\n\
                host_key = 'SHA256:uNiVztksCsDhcc0u9e8BrmJwPfjKCXdxpLJ3ETDSfbE'";
    gate.source_toml("acme", keys);
    for args in [
        &["check"][..],
        &["once", "--log", "trace"],
        &["status", "--json"],
        &["status"],
    ] {
        let output = gate.cli(args);
        assert!(!format!("{output}").contains("hunter2"), "{args:?}: {output}");
    }
    let check = gate.cli(["check"]);
    assert_eq!(check.code, 2, "{check}");
    assert!(check.stdout.starts_with("source acme: "), "{check}");
    let once = gate.once();
    assert_eq!(once.code, 2, "no source could be reached: {once}");
}
