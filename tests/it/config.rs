//! What the configuration may say, and what is said of it when it is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use feedgate::config::load_state_dir;
use feedgate::config::resolve::{
    After, DestinationKind, FileFormat, Location, MaxRejected, Packaging, Settings, SftpSettings, Start,
};
use feedgate::feed::DuplicateKeys;

mod bento;
mod capillary;
mod destinations;
mod example;
mod http;

/// A pin that has the right form.
const PIN: &str = "SHA256:uNiVztksCsDhcc0u9e8BrmJwPfjKCXdxpLJ3ETDSfbE";

/// Loads a text as the file, with some variables; an error comes as its lines, the first one's path taken out.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feedgate.toml");
    std::fs::write(&path, text).unwrap();
    let variables = variables
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Settings::load(Some(&path), variables).map_err(|error| {
        let lead = format!("reading the configuration `{}`: ", path.display());
        let text = error.to_string();
        let text = text.strip_prefix(&lead).unwrap_or(&text);
        text.lines().map(|line| line.trim().to_owned()).collect()
    })
}

/// A configuration with one SFTP source, let in by a variable, and these keys added to it.
fn with_source(keys: &str) -> String {
    format!("[[source]]\nname='a'\nurl='sftp://u@h/'\nhost_key='{PIN}'\npassword_env='PW'\n{keys}")
}

const PASSWORD: &[(&str, &str)] = &[("PW", "hunter2")];

fn sftp_of(settings: &Settings) -> &SftpSettings {
    match &settings.sources[0].location {
        Location::Sftp(sftp) => sftp,
        Location::Local { dir } => panic!("local: {}", dir.display()),
    }
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

#[test]
fn defaults_are_what_the_manual_says() {
    let settings = load(&with_source("[[destination]]\nname='events'\ntype='sqlite'"), PASSWORD).unwrap();
    assert_eq!(settings.state_dir, Path::new("/var/lib/feedgate"));
    let source = &settings.sources[0];
    assert_eq!(source.name, "a");
    assert_eq!(source.poll_interval, Duration::from_secs(15));
    assert_eq!(source.settle, Duration::from_secs(5));
    assert_eq!(source.incomplete_grace, Duration::from_secs(600));
    assert_eq!(source.timeout, Duration::from_secs(30));
    assert_eq!(source.packaging, Packaging::Lenient);
    assert_eq!(source.after, After::Move);
    assert_eq!(source.processed_dir, "processed");
    assert_eq!(source.failed_dir, None);
    assert!(source.receipts);
    assert_eq!(source.receipts_dir, "receipts");
    assert_eq!(source.default_business_unit, None);
    assert_eq!(source.duplicate_keys, DuplicateKeys::Reject);
    assert_eq!(source.max_rejected, None);
    let sftp = sftp_of(&settings);
    assert_eq!(
        (sftp.host.as_str(), sftp.port, sftp.user.as_str(), sftp.root.as_str()),
        ("h", 22, "u", "/")
    );
    assert_eq!(sftp.host_keys, [PIN]);
    let limits = settings.limits;
    assert_eq!((limits.archive_bytes, limits.unpacked_bytes), (2 << 30, 16 << 30));
    assert_eq!(
        (
            limits.ratio,
            limits.entry_bytes,
            limits.depth,
            limits.concurrent_imports
        ),
        (200, 16 << 20, 128, 2)
    );
    assert_eq!(settings.spool.retention, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.spool.max_lag, Duration::from_secs(90 * 86_400));
    assert_eq!(settings.spool.max_bytes, None);
    assert_eq!(settings.spool.free_bytes_min, 256 << 20);
    assert_eq!(
        (settings.import_log.rotate_bytes, settings.import_log.keep),
        (64 << 20, 10)
    );
    let destination = &settings.destinations[0];
    assert_eq!(destination.start, Start::Oldest);
    let path = PathBuf::from("/var/lib/feedgate/events.db");
    assert_eq!(destination.kind, DestinationKind::Sqlite { path });
}

#[test]
fn every_key_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let key = file(
        "key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n",
    );
    let (passphrase, password) = (file("passphrase", "open sesame\r\n"), file("password", " pass word \n"));
    let known_hosts = file("known_hosts", "");
    let text = format!(
        "state_dir = '/s'
        [[source]]
        name = 'acme-1'
        url = 'sftp://me%40corp@[::1]:2222/~/in%20box'
        private_key_file = '{key}'
        private_key_passphrase_file = '{passphrase}'
        password_file = '{password}'
        agent = true
        host_key = ['{PIN}', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 comment']
        known_hosts = '{known_hosts}'
        poll_interval = '1m'
        settle = '0s'
        incomplete_grace = '1h'
        timeout = '5s'
        packaging = 'strict'
        after = 'leave'
        processed_dir = 'done/{{yyyy}}/{{mm}}'
        failed_dir = 'bad/'
        receipts = false
        receipts_dir = 'said'
        default_business_unit = 'de'
        duplicate_keys = 'last'
        max_rejected = '2.5%'
        [[source]]
        name = 'b'
        url = 'file:///data/in'
        max_rejected = 7
        [[destination]]
        name = 'f'
        type = 'file'
        path = '/f'
        start = 'now'
        was = 'g'
        events = 'Purchase'
        sources = ['b', 'acme-1']
        partition = 'event_date'
        compression = 'none'
        [[destination]]
        name = 'c'
        type = 'console'
        [limits]
        archive_bytes = '1MiB'
        unpacked_bytes = 1048576
        ratio = 2
        entry_bytes = '1KiB'
        depth = 10
        concurrent_imports = 4
        [spool]
        retention = '1d'
        max_lag = '2d'
        max = '1TiB'
        free_min = 0
        [import_log]
        rotate = '1MB'
        keep = 0"
    );
    let settings = load(&text, &[]).unwrap();
    let sftp = sftp_of(&settings);
    assert_eq!(
        (sftp.host.as_str(), sftp.port, sftp.user.as_str(), sftp.root.as_str()),
        ("::1", 2222, "me@corp", "in box")
    );
    assert_eq!(sftp.password.as_ref().unwrap().reveal(), " pass word ");
    let private_key = sftp.private_key.as_ref().unwrap();
    assert!(private_key.text.reveal().ends_with("KEY-----\n"));
    assert_eq!(private_key.passphrase.as_ref().unwrap().reveal(), "open sesame");
    assert!(sftp.agent);
    assert_eq!(sftp.host_keys, [PIN, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"]);
    assert_eq!(sftp.known_hosts.as_deref(), Some(Path::new(&known_hosts)));
    let source = &settings.sources[0];
    assert_eq!((source.packaging, source.after), (Packaging::Strict, After::Leave));
    assert_eq!(source.processed_dir, "done/{yyyy}/{mm}");
    assert_eq!(source.failed_dir.as_deref(), Some("bad"));
    assert_eq!((source.receipts, source.receipts_dir.as_str()), (false, "said"));
    assert_eq!(source.default_business_unit.as_deref(), Some("de"));
    assert_eq!(source.duplicate_keys, DuplicateKeys::Last);
    assert_eq!(source.max_rejected, Some(MaxRejected::Share(0.025)));
    assert_eq!(settings.sources[1].max_rejected, Some(MaxRejected::Count(7)));
    assert_eq!(settings.sources[1].location, Location::Local { dir: "/data/in".into() });
    let file = &settings.destinations[0];
    let kind = DestinationKind::File {
        format: FileFormat::Ndjson,
        dir: "/f".into(),
        by_event_date: true,
        zstd_level: 0,
    };
    assert_eq!(
        (&file.kind, file.start, file.was.as_deref()),
        (&kind, Start::Now, Some("g"))
    );
    assert_eq!(
        (&file.events[..], &file.sources[..]),
        (&["Purchase".to_owned()][..], &["b".to_owned(), "acme-1".to_owned()][..])
    );
    assert_eq!(settings.destinations[1].start, Start::Now);
    assert_eq!((settings.limits.unpacked_bytes, settings.limits.depth), (1 << 20, 10));
    assert_eq!(
        (settings.spool.max_bytes, settings.spool.free_bytes_min),
        (Some(1 << 40), 0)
    );
    assert_eq!(
        (settings.import_log.rotate_bytes, settings.import_log.keep),
        (1_000_000, 0)
    );
}

#[test]
fn the_environment_alone_will_do() {
    let variables = [
        ("FEEDGATE__STATE_DIR", "/s"),
        ("FEEDGATE__SOURCE__0__NAME", "acme"),
        ("FEEDGATE__SOURCE__0__URL", "sftp://u@h"),
        ("FEEDGATE__SOURCE__0__HOST_KEY", PIN),
        ("FEEDGATE__SOURCE__0__PASSWORD_ENV", "PW"),
        ("FEEDGATE__SOURCE__0__RECEIPTS", "false"),
        ("FEEDGATE__SOURCE__0__FAILED_DIR", ""),
        ("FEEDGATE__SOURCE__1__NAME", "local"),
        ("FEEDGATE__SOURCE__1__URL", "file:///in"),
        ("FEEDGATE__DESTINATION__0__NAME", "events"),
        ("FEEDGATE__DESTINATION__0__TYPE", "sqlite"),
        ("FEEDGATE__LIMITS__RATIO", "7"),
        ("FEEDGATE__LIMITS__ENTRY_BYTES", "2MiB"),
        ("PW", "hunter2"),
    ];
    let settings = load("", &variables).unwrap();
    assert_eq!(
        settings
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect::<Vec<_>>(),
        ["acme", "local"]
    );
    assert!(!settings.sources[0].receipts);
    assert_eq!(sftp_of(&settings).password.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!((settings.limits.ratio, settings.limits.entry_bytes), (7, 2 << 20));
    let path = PathBuf::from("/s/events.db");
    assert_eq!(settings.destinations[0].kind, DestinationKind::Sqlite { path });
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = with_source("poll_interval='1m'\n[limits]\nratio=5\ndepth=6");
    let variables = [
        ("PW", "hunter2"),
        ("FEEDGATE__SOURCE__0__POLL_INTERVAL", "2m"),
        ("FEEDGATE__LIMITS__RATIO", "7"),
    ];
    let settings = load(&text, &variables).unwrap();
    assert_eq!(settings.sources[0].poll_interval, Duration::from_secs(120));
    assert_eq!((settings.limits.ratio, settings.limits.depth), (7, 6));
}

/// Each snippet, and the one message it comes to.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |text: &str, expect: &str| {
        let found = load(text, PASSWORD).unwrap_err();
        assert_eq!(found, [expect], "{text}");
    };
    check(
        "state_dri = '/x'",
        "line 1: there is no key \"state_dri\" at the top of the file: did you mean `state_dir`?",
    );
    check(
        "\n[limit]\nratio = 1",
        "line 2: there is no key \"limit\" at the top of the file: did you mean `limits`?",
    );
    check(
        "[limits]\nretention = '1d'",
        "line 2: there is no key \"retention\" in `limits`: it belongs in `spool`",
    );
    check(
        "[limits]\nstate_dir = '/x'",
        "line 2: there is no key \"state_dir\" in `limits`: it belongs at the top of the file, before the first `[`",
    );
    check(
        "[spool]\ncolour = 'red'",
        "line 2: there is no key \"colour\" in `spool`: the keys are retention, max_lag, max, free_min",
    );
    check(
        "[http]\nlisten = 'x'",
        "line 1: there is no key \"http\" at the top of the file: this version has no HTTP yet; leave it out",
    );
    check(
        &with_source("pol_interval='1s'"),
        "line 6: there is no key \"pol_interval\" in `source`: did you mean `poll_interval`?",
    );
    check(
        &with_source("Settle='1s'"),
        "line 6: there is no key \"Settle\" in `source`: did you mean `settle`?",
    );
    check(
        &with_source("password='hunter2'"),
        "line 6: there is no key \"password\" in `source`: secrets stand in files or in the environment: use \
         `password_file` or `password_env`",
    );
    check(
        &with_source("port=22"),
        "line 6: there is no key \"port\" in `source`: it is part of `url`: `sftp://user@host:port/path`",
    );

    check(
        "state_dir = 5",
        "line 1: `state_dir` is `5`: a text in quotes is wanted",
    );
    check(
        "state_dir = ''",
        "line 1: `state_dir` is `\"\"`: it is empty; leave the key out instead",
    );
    check("limits = 3", "line 1: `limits` is `3`: a table is wanted, `[limits]`");
    check(
        "[source]\nname='a'",
        "line 1: `source` is a list of tables: write `[[source]]`, with two brackets",
    );
    check(
        "[limits]\nratio = '200'",
        "line 2: `ratio` is `\"200\"`: a whole number is wanted, without quotes",
    );
    check(
        "[limits]\nratio = 1.5",
        "line 2: `ratio` is `1.5`: a whole number is wanted, without quotes",
    );
    check(
        "[limits]\nratio = 0",
        "line 2: `ratio` is 0: from 1 to 1000000 is wanted",
    );
    check(
        "[limits]\ndepth = 100000",
        "line 2: `depth` is 100000: from 2 to 1024 is wanted",
    );
    check(
        "[limits]\nentry_bytes = '2GiB'",
        "line 2: `entry_bytes` is 2.0 GiB: from 1.0 KiB to 1.0 GiB is wanted",
    );
    check(
        "[limits]\narchive_bytes = '2 gigs'",
        "line 2: `archive_bytes` is `\"2 gigs\"`: a size is wanted, such as \"64MiB\", \"2GiB\", \"10MB\", or a number of bytes",
    );
    check(
        &with_source("settle = 5"),
        "line 6: `settle` is `5`: a duration is wanted, such as \"15s\", \"10m\", \"500ms\", \"30d\"",
    );
    check(
        &with_source("poll_interval = '0s'"),
        "line 6: `poll_interval` is 0s: from 100ms to 1day is wanted",
    );
    check(
        &with_source("receipts = 'yes'"),
        "line 6: `receipts` is `\"yes\"`: true or false is wanted, without quotes",
    );
    check(
        &with_source("after = 'keep'"),
        "line 6: `after` is `\"keep\"`: \"move\", \"delete\" or \"leave\" is wanted",
    );
    check(
        &with_source("max_rejected = '10'"),
        "line 6: `max_rejected` is `\"10\"`: a share such as \"10%\", or a whole number, is wanted",
    );
    check(
        &with_source("processed_dir = '../up'"),
        "line 6: `processed_dir` is `\"../up\"`: a directory below the root is wanted, without `.`, `..` or empty parts",
    );
    check(
        &with_source("receipts_dir = 'processed/'"),
        "line 6: `receipts_dir` and `processed_dir` are the same directory; give each its own",
    );
    check(
        &with_source("processed_dir = 'receipts'"),
        "line 1: `receipts_dir` and `processed_dir` are the same directory; give each its own",
    );
}

#[test]
fn a_source_says_who_and_where_and_how() {
    let check = |source: &str, expect: &[&str]| {
        let found = load(&format!("[[source]]\n{source}"), PASSWORD).unwrap_err();
        let count = format!("{} problems", expect.len());
        let mut all = vec![count.as_str()];
        all.extend(expect);
        let expect = if expect.len() == 1 { expect } else { &all[..] };
        assert_eq!(found, expect, "{source}");
    };
    let rest = format!("host_key='{PIN}'\npassword_env='PW'");
    check(
        "",
        &[
            "line 1: `name` is missing from this `[[source]]`",
            "line 1: `url` is missing from this `[[source]]`",
        ],
    );
    check(
        &format!("name='Acme Corp'\nurl='sftp://u@h'\n{rest}"),
        &[
            "line 2: `name` is `\"Acme Corp\"`: a name is wanted: a to z, 0 to 9, `_` and `-`, at most 64, a letter or digit first",
        ],
    );
    check(
        &format!("name='a'\nurl='sftp://u:hunter2@h'\n{rest}"),
        &["line 3: `url`: it holds a password; take it out and use `password_file` or `password_env`"],
    );
    check(
        &format!("name='a'\nurl='sftp://h/'\n{rest}"),
        &["line 3: `url` names no user: write `sftp://user@host/path`"],
    );
    check(
        "name='a'\nurl='sftp://u@h:2222/'\npassword_env='PW'",
        &[
            "line 3: the server cannot be told from an impostor: add `host_key` or `known_hosts`; `feedgate keys sftp://h:2222` shows the server's keys",
        ],
    );
    check(
        "name='a'\nurl='sftp://u@h/'\nhost_key=[]\npassword_env='PW'",
        &[
            "line 3: the server cannot be told from an impostor: add `host_key` or `known_hosts`; `feedgate keys sftp://h` shows the server's keys",
        ],
    );
    check(
        &format!("name='a'\nurl='sftp://u@h/'\nhost_key='{PIN}'"),
        &[
            "line 3: nothing says how to be let in: add `private_key_file`, `password_file`, `password_env` or `agent = true`",
        ],
    );
    check(
        "name='a'\nurl='sftp://u@h/'\nhost_key='SHA256:x'\npassword_env='PW'",
        &[
            "line 4: `host_key`: after `SHA256:` 43 letters are wanted, as `ssh-keygen -l` and `feedgate keys` show them",
        ],
    );
    check(
        &format!("name='a'\nurl='sftp://u@h/'\nhost_key='{PIN}'\npassword_env='hunter2'"),
        &["line 5: `password_env`: the variable it names is not set, or empty (it wants a name, not the secret)"],
    );
    check(
        &format!("name='a'\nurl='sftp://u@h/'\npassword_file='/nowhere/pw'\n{rest}"),
        &["line 6: `password_file` and `password_env` are both given; leave one out"],
    );
    check(
        &format!("name='a'\nurl='sftp://u@h/'\nprivate_key_passphrase_env='PW'\n{rest}"),
        &["line 4: a passphrase without a key: add `private_key_file`"],
    );
    check(
        &format!("name='a'\nurl='sftp://u@h/'\nprivate_key_file='/nowhere/key'\n{rest}"),
        &["line 4: `private_key_file`: reading `/nowhere/key`: No such file or directory (os error 2)"],
    );
    check(
        "name='a'\nurl='file:///in'\nhost_key='SHA256:x'\ntimeout='1s'",
        &[
            "line 4: `host_key` is for `sftp://` sources; this one is a local directory",
            "line 5: `timeout` is for `sftp://` sources; this one is a local directory",
        ],
    );
    check(
        "name='a'\nurl='file:///in'\n[[source]]\nname='a'\nurl='file:///in2'",
        &["line 5: there are two of the name `a` in `[[source]]`"],
    );
    let same_root = "source `a` has the same root, and every archive in it would be imported twice; leave one out";
    check(
        "name='a'\nurl='file:///in'\n[[source]]\nname='b'\nurl='file:///in/'\n[[source]]\nname='c'\nurl='file:///in/c'",
        &[&format!("line 6: {same_root}")],
    );
    let sftp = |user: &str, host: &str| format!("url='sftp://{user}@{host}/'\nagent=true\nhost_key='{PIN}'");
    check(
        &format!(
            "name='a'\n{}\n[[source]]\nname='b'\n{}\n[[source]]\nname='c'\n{}",
            sftp("u", "h"),
            sftp("v", "h"),
            sftp("u", "H:22")
        ),
        &[&format!("line 13: {same_root}")],
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = "stat_dir='/x'\n[limits]\nratio='x'\n[[source]]\nname='a'\nurl='ftp://x'\n";
    let variables = [
        ("FEEDGATE__LIMITS__DEPT", "3"),
        ("FEEDGATE__LIMITS__DEPTH", "deep"),
        ("FEEDGATE__SOURCE__9__NAME", "x"),
    ];
    let found = load(text, &variables).unwrap_err();
    let expect = [
        "6 problems",
        "line 1: there is no key \"stat_dir\" at the top of the file: did you mean `state_dir`?",
        "line 3: `ratio` is `\"x\"`: a whole number is wanted, without quotes",
        "line 6: `url`: FTP is not spoken here; write `sftp://user@host/path` if the server has SFTP",
        "FEEDGATE__SOURCE__9__NAME: there are 1 before it: the next one has index 1",
        "FEEDGATE__LIMITS__DEPT: there is no key \"dept\" in `limits`: did you mean `depth`?",
        "FEEDGATE__LIMITS__DEPTH: `depth` is `\"deep\"`: a whole number is wanted, without quotes",
    ];
    assert_eq!(found, expect);
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let found = load("state_dir = '/x'\n[limits\nratio = 1\n", &[]).unwrap_err();
    assert!(found[0].starts_with("line 2: not TOML: "), "{found:?}");
    let found = load("state_dir = '/x'\nstate_dir = '/y'\n", &[]).unwrap_err();
    assert!(found[0].starts_with("line 2: not TOML: duplicate key"), "{found:?}");
}

#[test]
fn rubbish_is_refused_and_nothing_worse() {
    for seed in 0..300u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut text = example::example().into_bytes();
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..text.len());
            match random.u8(..3) {
                0 => text[at] = random.u8(..),
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, *random.choice(b"[]{}=\"'\n#.,0").unwrap()),
            }
        }
        // Whatever it comes to: it must not panic, and an error must say something.
        if let Err(lines) = load(&String::from_utf8_lossy(&text), PASSWORD) {
            assert!(!lines.join("").is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhunter2\n").unwrap();
    let text = with_source(&format!(
        "private_key_file='{}'\nprivate_key_passphrase_env='PW'",
        key.display()
    ));
    let settings = load(&text, PASSWORD).unwrap();
    assert_eq!(sftp_of(&settings).password.as_ref().unwrap().reveal(), "hunter2");
    let shown = format!("{settings:?} {settings:#?}");
    assert!(shown.contains("(secret)"));
    assert!(!shown.contains("hunter2"), "{shown}");

    // The secret in places where it does not belong: no message repeats it.
    let wrong = [
        "password = 'hunter2'",
        "password_env = 'hunter2'",
        "password_file = ['hunter2']",
        "private_key_passphrase_env = 'hunter2'",
        "private_key_passphrase_file = [1, 'hunter2']",
        "url = 'sftp://u:hunter2@h/'",
        "url = 'sftp://u:hunter2'",
        "url = ['hunter2']",
        "passphrase = hunter2",
        "url = 'sftp://hunter2\n",
    ];
    for line in wrong {
        let text = format!("[[source]]\nname = 'a'\nhost_key = '{PIN}'\n{line}\n");
        let found = load(&text, &[]).unwrap_err();
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_key_of_the_wrong_kind_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let check = |text: &str, expect: &str| {
        std::fs::write(&path, text).unwrap();
        let found = load(
            &with_source(&format!("private_key_file='{}'", path.display())),
            PASSWORD,
        )
        .unwrap_err();
        assert_eq!(
            found,
            [format!("line 6: `private_key_file`: `{}` {expect}", path.display())]
        );
    };
    check(
        "ssh-ed25519 AAAA me",
        "is a public key; name the private one, the file without `.pub`",
    );
    check(
        "PuTTY-User-Key-File-3: x",
        "is in PuTTY's form; `puttygen KEY -O private-openssh -o NEW` converts it",
    );
    check("hunter2", "holds no private key: `-----BEGIN …` is wanted");
    let large = "x".repeat(70_000);
    std::fs::write(&path, large).unwrap();
    let found = load(
        &with_source(&format!("private_key_file='{}'", path.display())),
        PASSWORD,
    )
    .unwrap_err();
    assert!(
        found[0].ends_with("larger than 65536 bytes, and so not what belongs here"),
        "{found:?}"
    );
}

#[test]
fn status_needs_no_more_than_the_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feedgate.toml");
    std::fs::write(&path, "state_dir = '/s'\ntypo = 1\n[[source]]\nname = 5\n").unwrap();
    assert_eq!(load_state_dir(Some(&path), []).unwrap(), Path::new("/s"));
    let variables = [("FEEDGATE__STATE_DIR".to_owned(), "/t".to_owned())];
    assert_eq!(load_state_dir(Some(&path), variables).unwrap(), Path::new("/t"));
    std::fs::write(&path, "state_dir = 5").unwrap();
    assert!(load_state_dir(Some(&path), []).is_err());
}

#[test]
fn a_missing_file_is_named() {
    let error = Settings::load(Some(Path::new("/nowhere/feedgate.toml")), []).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("reading the configuration `/nowhere/feedgate.toml`: No such file"),
        "{text}"
    );
    let variables = [("FEEDGATE_CONFIG".to_owned(), "/nowhere/else.toml".to_owned())];
    let text = Settings::load(None, variables).unwrap_err().to_string();
    assert!(text.contains("/nowhere/else.toml"), "{text}");
}
