//! Destinations: every key of each type, and what is said of what is wrong.

use std::path::Path;
use std::time::Duration;

use feedgate::config::resolve::{
    Authorization, DestinationKind, DestinationSettings, FileFormat, HttpCompression, Secret, Start,
};

use super::bento::bento_of;
use super::load;

pub(super) const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// What lets us in, in the tests that are not about that.
pub(super) const KEYS: &[(&str, &str)] = &[("P", "publishable"), ("S", "hunter2"), ("W", "hunter2")];

pub(super) const HTTP: &str = "[[destination]]\nname='a'\ntype='http'\nurl='https://example.com/in'\n";

pub(super) const BENTO: &str =
    "[[destination]]\nname='a'\ntype='bento'\nsite_uuid='s'\npublishable_key_env='P'\nsecret_key_env='S'\n";

/// The one destination of a text.
pub(super) fn only(text: &str) -> DestinationSettings {
    let mut settings = load(text, KEYS).unwrap();
    assert_eq!(settings.destinations.len(), 1);
    settings.destinations.remove(0)
}

/// A text to which something is added, and what is then wrong, each with its line.
pub(super) fn check(text: &str, expect: &[&str]) {
    let found = load(text, KEYS).unwrap_err();
    let count = format!("{} problems", expect.len());
    let mut all = vec![count.as_str()];
    all.extend(expect);
    let expect = if expect.len() == 1 { expect } else { &all[..] };
    assert_eq!(found, expect, "{text}");
}

pub(super) fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

pub(super) fn owned<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
}

#[test]
fn files_in_either_format() {
    let check = |keys: &str, expect: (FileFormat, i32)| {
        let settings = only(&format!("[[destination]]\nname='a'\ntype='file'\n{keys}"));
        assert_eq!(settings.start, Start::Oldest);
        let DestinationKind::File { format, zstd_level, .. } = settings.kind else {
            panic!("{:?}", settings.kind);
        };
        assert_eq!((format, zstd_level), expect, "{keys}");
    };
    check("", (FileFormat::Ndjson, 3));
    check("format='ndjson'\ncompression='zstd'", (FileFormat::Ndjson, 3));
    check("compression=22", (FileFormat::Ndjson, 22));
    if cfg!(feature = "parquet") {
        check("format='parquet'", (FileFormat::Parquet, 3));
        check("format='parquet'\ncompression='none'", (FileFormat::Parquet, 0));
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_so() {
    check(
        "[[destination]]\nname='a'\ntype='file'\nformat='parquet'",
        &[
            "line 4: `format`: this program was built without Parquet: build it with the cargo feature `parquet`, or write \
             \"ndjson\"",
        ],
    );
}

#[test]
fn the_environment_alone_will_do_for_an_http_and_a_bento() {
    let variables = [
        ("FEEDGATE__DESTINATION__0__NAME", "collector"),
        ("FEEDGATE__DESTINATION__0__TYPE", "http"),
        ("FEEDGATE__DESTINATION__0__URL", "http://collector:8080/in"),
        ("FEEDGATE__DESTINATION__0__BEARER_ENV", "TOKEN"),
        ("FEEDGATE__DESTINATION__0__COMPRESSION", "9"),
        ("FEEDGATE__DESTINATION__0__BATCH_EVENTS", "50"),
        ("FEEDGATE__DESTINATION__0__TIMEOUT", "5s"),
        ("FEEDGATE__DESTINATION__1__NAME", "bento"),
        ("FEEDGATE__DESTINATION__1__TYPE", "bento"),
        ("FEEDGATE__DESTINATION__1__SITE_UUID", "123"),
        ("FEEDGATE__DESTINATION__1__PUBLISHABLE_KEY_ENV", "TOKEN"),
        ("FEEDGATE__DESTINATION__1__SECRET_KEY_ENV", "TOKEN"),
        ("FEEDGATE__DESTINATION__1__BYPASS_WORKFLOWS", "true"),
        ("FEEDGATE__DESTINATION__1__CURRENCY", "EUR"),
        ("TOKEN", "hunter2"),
    ];
    let settings = load("", &variables).unwrap();
    let [collector, bento] = &settings.destinations[..] else {
        panic!("{settings:?}");
    };
    let DestinationKind::Http(http) = &collector.kind else {
        panic!("{collector:?}");
    };
    assert_eq!(http.endpoint.url, "http://collector:8080/in");
    assert_eq!(http.endpoint.timeout, Duration::from_secs(5));
    assert_eq!((http.compression, http.batch_events), (HttpCompression::Zstd(9), 50));
    assert_eq!(http.authorization, Some(Authorization::Bearer(Secret::new("hunter2"))));
    let DestinationKind::Bento(bento) = &bento.kind else {
        panic!("{bento:?}");
    };
    assert_eq!((bento.site_uuid.as_str(), bento.bypass_workflows), ("123", true));
    assert_eq!(bento.currency.as_deref(), Some("EUR"));
}

#[test]
fn tables_do_not_come_from_the_environment() {
    for table in [
        "rename",
        "headers",
        "header_files",
        "statuses",
        "fields",
        "profile",
        "tags",
        "set_fields",
    ] {
        for below in ["", "__409", "__0", "__X_A"] {
            let variable = format!("FEEDGATE__DESTINATION__0__{}{below}", table.to_uppercase());
            let text = if ["fields", "profile", "tags", "set_fields"].contains(&table) {
                BENTO
            } else {
                HTTP
            };
            let mut variables = KEYS.to_vec();
            variables.push((&variable, "hunter2"));
            assert_eq!(
                load(text, &variables).unwrap_err(),
                [format!(
                    "{variable}: `{table}` is a table, and its keys cannot be spelled in a variable's name: write it in the file"
                )]
            );
        }
    }
}

#[test]
fn a_key_of_another_type_is_refused() {
    // The least that each type is content with, and the keys that it does not know.
    let types = [
        ("sqlite", ""),
        ("file", ""),
        ("console", ""),
        ("http", "url='https://h'"),
        ("bento", "site_uuid='s'\npublishable_key_env='P'\nsecret_key_env='S'"),
        ("capillary", "url='https://h'"),
    ];
    let keys: [(&[&str], &[&str]); 10] = [
        (&["sqlite", "file"], &["path='/x'"]),
        (&["file"], &["partition='import'"]),
        (&["file", "http"], &["format='ndjson'", "compression='none'"]),
        (
            &["http", "bento", "capillary"],
            &["url='https://h'", "ca_file='/x'", "timeout='1s'"],
        ),
        (&["http", "bento"], &["batch_events=1"]),
        (
            &["http", "capillary"],
            &["user='u'", "password_file='/x'", "password_env='X'"],
        ),
        (&["bento", "capillary"], &["burst=1"]),
        (
            &["capillary"],
            &[
                "without_definition='drop'",
                "without_identifier='hold'",
                "till_code='t'",
                "org_resolver={}",
                "requests_per_hour=1",
                "api_url='https://h'",
                "token_file='/x'",
                "token_env='X'",
            ],
        ),
        (
            &["http"],
            &[
                "batch_bytes='1KiB'",
                "headers={}",
                "header_files={}",
                "bearer_file='/x'",
                "bearer_env='X'",
                "signing_key_file='/x'",
                "signing_key_env='X'",
                "statuses={}",
            ],
        ),
        (
            &["bento"],
            &[
                "site_uuid='s'",
                "publishable_key_file='/x'",
                "publishable_key_env='X'",
                "secret_key_file='/x'",
                "secret_key_env='X'",
                "batch_per_hour=1",
                "fetch_per_hour=1",
                "without_email='hold'",
                "currency='EUR'",
                "bypass_workflows=true",
                "fields={}",
                "profile={}",
                "tags={}",
                "set_fields={}",
            ],
        ),
    ];
    for (kind, least) in types {
        for (kinds, lines) in keys.iter().filter(|(kinds, _)| !kinds.contains(&kind)) {
            for line in *lines {
                let key = line.split('=').next().unwrap();
                let kinds = kinds.join("\" and \"");
                let instead = match (key, kind) {
                    ("url", "sqlite" | "file") => "; use `path`",
                    ("path", "http" | "bento" | "capillary") => "; use `url`",
                    _ => "",
                };
                let expect = format!("line 2: `{key}` is for destinations of type \"{kinds}\"{instead}");
                let text = format!("[[destination]]\n{line}\nname='a'\ntype='{kind}'\n{least}");
                check(&text, &[&expect]);
            }
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    check(
        "[[destination]]\nname='a'\ntype='http'",
        &["line 1: `url` is missing from this `[[destination]]`"],
    );
    check(
        "\n[[destination]]\nname='a'\ntype='bento'",
        &[
            "line 2: `site_uuid` is missing from this `[[destination]]`",
            "line 2: `publishable_key_file` or `publishable_key_env` is missing from this `[[destination]]`",
            "line 2: `secret_key_file` or `secret_key_env` is missing from this `[[destination]]`",
        ],
    );
}

#[test]
fn words_and_numbers_of_the_wrong_kind() {
    let with = |text: &str, line: &str, expect: &str| {
        let number = text.lines().count() + 1;
        check(&format!("{text}{line}"), &[&format!("line {number}: {expect}")]);
    };
    let http = |line: &str, expect: &str| with(HTTP, line, expect);
    let bento = |line: &str, expect: &str| with(BENTO, line, expect);
    http(
        "dead_letters_max=0",
        "`dead_letters_max` is 0: from 1 to 10000000 is wanted",
    );
    http(
        "dead_letters_max=10000001",
        "`dead_letters_max` is 10000001: from 1 to 10000000 is wanted",
    );
    http("batch_events=0", "`batch_events` is 0: from 1 to 10000 is wanted");
    http(
        "batch_events=10001",
        "`batch_events` is 10001: from 1 to 10000 is wanted",
    );
    http(
        "batch_bytes=1023",
        "`batch_bytes` is 1023 B: from 1.0 KiB to 64.0 MiB is wanted",
    );
    http(
        "batch_bytes='65MiB'",
        "`batch_bytes` is 65.0 MiB: from 1.0 KiB to 64.0 MiB is wanted",
    );
    http("timeout='999ms'", "`timeout` is 999ms: from 1s to 10m is wanted");
    http("timeout='11m'", "`timeout` is 11m: from 1s to 10m is wanted");
    http(
        "format='csv'",
        "`format` is `\"csv\"`: \"ndjson\", \"array\" or \"parquet\" is wanted",
    );
    http(
        "format='parquet'",
        "`format`: \"parquet\" is for destinations of type \"file\"; an \"http\" has \"ndjson\" or \"array\"",
    );
    http(
        "compression='brotli'",
        "`compression` is `\"brotli\"`: a zstd level, 1 to 22, \"zstd\", \"gzip\" or \"none\" is wanted",
    );
    bento("batch_events=1001", "`batch_events` is 1001: from 1 to 1000 is wanted");
    bento("batch_per_hour=0", "`batch_per_hour` is 0: from 1 to 1000000 is wanted");
    bento(
        "fetch_per_hour=1000001",
        "`fetch_per_hour` is 1000001: from 1 to 1000000 is wanted",
    );
    bento("burst=1001", "`burst` is 1001: from 1 to 1000 is wanted");
    bento(
        "without_email='skip'",
        "`without_email` is `\"skip\"`: \"hold\", \"refuse\" or \"drop\" is wanted",
    );
    bento(
        "currency='eur'",
        "`currency` is `\"eur\"`: three capital letters are wanted, such as \"EUR\"",
    );
    let file = "[[destination]]\nname='a'\ntype='file'\n";
    with(
        file,
        "format='array'",
        "`format`: \"array\" is for destinations of type \"http\"; a \"file\" has \"ndjson\" or \"parquet\"",
    );
    with(
        file,
        "compression='gzip'",
        "`compression`: \"gzip\" is for destinations of type \"http\"; a \"file\" has a zstd level, 1 to 22, or \"none\"",
    );
    check(
        &BENTO.replace("'s'", "'a b'"),
        &["line 4: `site_uuid`: a site's id is wanted, in quotes: letters, digits, `-` and `_`, at most 64"],
    );
}

#[test]
fn tables_of_the_wrong_kind() {
    let name = "a name is wanted, not blank, without control characters, at most 255 characters";
    let long = "x".repeat(256);
    check(
        &format!(
            "{HTTP}[destination.rename]\n'' = 'x'\nA = ' '\nB = 5\nC = '{long}'\n[destination.statuses]\n409 = 'fine'\n99 = \
             'refused'\n'4xx' = 'refused'"
        ),
        &[
            &format!("line 6: `rename.\"\"`: {name}"),
            &format!("line 7: `rename.A` is `\" \"`: {name}"),
            "line 8: `rename.B` is `5`: a text in quotes is wanted",
            &format!("line 9: `rename.C` is `\"{}\"…`: {name}", &long[..60]),
            "line 11: `statuses.409` is `\"fine\"`: \"delivered\", \"refused\", \"too_large\", \"unavailable\" or \"barred\" is wanted",
            "line 12: `statuses.99`: a status is wanted, 200 to 599",
            "line 13: `statuses.4xx`: a status is wanted, 200 to 599",
        ],
    );
    let pointer = "in a JSON Pointer `~` is written `~0`, and `/` in a key `~1`";
    check(
        &format!(
            "{BENTO}[destination.fields]\n'/a~2' = 'x'\na = 'twice'\nb = 'twice'\n[destination.tags]\nA = 'a,b'\nB = []\n\
             [destination.set_fields]\nA = 'x'\n[destination.set_fields.B]\nc = '/~'"
        ),
        &[
            &format!("line 8: `fields.\"/a~2\"`: {pointer}"),
            "line 10: `fields`: two places are written to the field \"twice\"; leave one out",
            "line 12: `tags.A` is `\"a,b\"`: a tag holds no comma; several are a list, `[\"a\", \"b\"]`",
            "line 13: `tags.B` is a list: a tag, or a list of tags, is wanted",
            "line 15: `set_fields.A`: a table is wanted, `set_fields.A = { … = … }`",
            &format!("line 17: `set_fields.B.c` is `\"/~\"`: {pointer}"),
        ],
    );
}

/// The daemon loads the configuration again and again, and takes over what differs: a new token, a renewed certificate.
#[test]
fn what_the_files_hold_is_part_of_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let roots = file(dir.path(), "ca.pem", CERTIFICATE);
    let (token, key, value) = (
        file(dir.path(), "token", "x"),
        file(dir.path(), "key", "x"),
        file(dir.path(), "value", "x"),
    );
    let text = format!(
        "{HTTP}ca_file='{roots}'\nbearer_file='{token}'\nsigning_key_file='{key}'\nheader_files={{ X-A = '{value}' }}\n\
         [definitions]\ndir='{}' # unless named, it lies beside each of the files that are loaded",
        dir.path().display()
    );
    let changes = [
        (&roots, CERTIFICATE.replace("MIIB", "MIIC")),
        (&token, "y".to_owned()),
        (&key, "y".to_owned()),
        (&value, "y".to_owned()),
    ];
    for (path, new) in changes {
        let before = load(&text, KEYS).unwrap();
        assert_eq!(load(&text, KEYS).unwrap(), before);
        std::fs::write(path, new).unwrap();
        assert_ne!(load(&text, KEYS).unwrap(), before, "{path}");
    }
}

#[test]
fn roots_are_certificates_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let check_file = |text: &str, expect: &str| {
        let path = file(dir.path(), "ca.pem", text);
        check(
            &format!("{HTTP}ca_file='{path}'"),
            &[&format!("line 5: `ca_file`: `{path}` {expect}")],
        );
    };
    check_file("", "holds no certificate: `-----BEGIN CERTIFICATE-----` is wanted");
    check_file(
        &format!("{CERTIFICATE}-----BEGIN RSA PRIVATE KEY-----\nhunter2\n"),
        "holds a private key; name a file that holds certificates alone",
    );
    check(
        &format!("{BENTO}ca_file='/nowhere/ca.pem'"),
        &["line 7: `ca_file`: reading `/nowhere/ca.pem`: No such file or directory (os error 2)"],
    );
}

#[test]
fn urls_of_destinations() {
    let http = |url: &str, expect: &str| {
        check(
            &HTTP.replace("https://example.com/in", url),
            &[&format!("line 4: `url`: {expect}")],
        )
    };
    http(
        "https://u:hunter2@h/",
        "it holds a user or a password; take them out and use `user` and `password_file`",
    );
    http("h/in", "it has no scheme; write `https://host/path`");
    http("https://h:99999/", "the port is no number from 1 to 65535");
    let bento = |url: &str, expect: &str| check(&format!("{BENTO}url='{url}'"), &[&format!("line 7: `url`: {expect}")]);
    bento(
        "http://app.bentonow.com/api/v1",
        "`http://` would show the keys to everyone on the way; write `https://`",
    );
    bento(
        "https://h/api/v1?site_uuid=x",
        "the API's base has no query; `site_uuid` is a key of its own",
    );
    for url in ["http://localhost:1/", "http://[::1]:1", "http://127.255.0.1"] {
        let endpoint = bento_of(&format!("{BENTO}url='{url}'")).endpoint;
        assert_eq!(endpoint.url, url.trim_end_matches('/'));
    }
}

#[test]
fn keys_that_people_try() {
    let try_key = |key: &str, advice: &str| {
        check(
            &format!("{HTTP}{key}='hunter2'"),
            &[&format!("line 5: there is no key \"{key}\" in `destination`: {advice}")],
        );
    };
    let stand = "secrets stand in files or in the environment: use";
    try_key("password", &format!("{stand} `password_file` or `password_env`"));
    try_key("token", &format!("{stand} `bearer_file` or `bearer_env`"));
    try_key(
        "signing_key",
        &format!("{stand} `signing_key_file` or `signing_key_env`"),
    );
    try_key("secret_key", &format!("{stand} `secret_key_file` or `secret_key_env`"));
    try_key(
        "publishable_key",
        &format!("{stand} `publishable_key_file` or `publishable_key_env`"),
    );
    for key in ["secret", "api_key", "key"] {
        try_key(
            key,
            "secrets stand in files or in the environment: a bento has `secret_key_file` and `publishable_key_file`, an http has \
             `bearer_file`, `password_file`, `signing_key_file` and `header_files`; each also with `_env`, but for the last",
        );
    }
    try_key("directory", "use `path`");
    try_key("headres", "did you mean `headers`?");
}

#[test]
fn secrets_of_destinations_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let value = file(dir.path(), "value", "hunter2");
    let text = format!(
        "{HTTP}user='me'\npassword_env='W'\nsigning_key_env='W'\nheaders={{ X-A = 'hunter2' }}\nheader_files={{ X-B = '{value}' }}\n\
         {}",
        BENTO.replace("'a'", "'b'").replace("'P'", "'W'")
    );
    let settings = load(&text.replace("/in'", "/in?key=hunter2'"), KEYS).unwrap();
    let shown = format!("{settings:?} {settings:#?}");
    assert!(shown.contains("https://example.com/in"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");

    // The secret in places where it does not belong: no message repeats it.
    let wrong = [
        "url='https://hunter2@h/'",
        "url='hunter2'",
        "url=['hunter2']",
        "url='https://h/in?key=hunter2#x'",
        "headers='hunter2'",
        "headers=['hunter2']",
        "headers={ 'Bearer hunter2' = '' }",
        "headers={ 'hunter2:' = 'x' }",
        "headers={ X-A = \"hunter2\\n\" }",
        "headers={ X-A = ['hunter2'] }",
        "headers={ Authorization = 'Bearer hunter2' }",
        "header_files={ X-A = 'hunter2' }",
        "header_files={ X-A = \"hunter2\\t\" }",
        "header_files={ X-A = { x = 'hunter2' } }",
        "bearer='hunter2'",
        "bearer_file='hunter2'",
        "bearer_file=\"hunter2\\t\"",
        "bearer_env='hunter2'",
        "signing_key_file='hunter2'",
        "signing_key_env=\"hunter2\\t\"",
        "user='me'\npassword_file='hunter2'",
        "type='bento'\nsecret_key_file='hunter2'",
        "type='bento'\nsecret_key_env='hunter2'",
        "type='bento'\nsecret_key_env=\"hunter2\\t\"",
        "type='bento'\npublishable_key_env='hunter2'",
        "type='bento'\nsite_uuid='hunter2 '",
        "statuses='hunter2'",
    ];
    for line in wrong {
        let kind = if line.contains("type=") { "" } else { "type='http'" };
        let text = format!("[[destination]]\nname='a'\n{kind}\n{line}\n");
        let found = load(&text, &[]).unwrap_err();
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn destinations_keep_out_of_each_others_way() {
    let check = |text: &str, expect: &str| {
        assert_eq!(
            load(&format!("state_dir='/s'\n{text}"), &[]).unwrap_err(),
            [expect],
            "{text}"
        );
    };
    let sqlite = "[[destination]]\nname='a'\ntype='sqlite'\n";
    check(
        "[[destination]]\ntype='console'",
        "line 2: `name` is missing from this `[[destination]]`",
    );
    check(
        "[[destination]]\nname='a'\npath='/x'",
        "line 2: `type` is missing from this `[[destination]]`",
    );
    check(
        "[[destination]]\nname='a'\ntype='kafka'",
        "line 4: `type` is `\"kafka\"`: this version does not have it yet; it has \"sqlite\", \"file\", \"console\", \"http\", \"bento\" and \"capillary\"",
    );
    check(
        &format!("{sqlite}{sqlite}path='/x'"),
        "line 6: there are two of the name `a` in `[[destination]]`",
    );
    check(
        &format!("{sqlite}[[destination]]\nname='b'\ntype='sqlite'\npath='/s/a.db'"),
        "line 8: `/s/a.db` belongs to destination `a`; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='ledger'\ntype='sqlite'",
        "line 3: `/s/ledger.db` belongs to Feedgate itself; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='spool'\ntype='file'",
        "line 3: `/s/spool` belongs to Feedgate itself; give this destination another `path`",
    );
    check(
        "[[destination]]\nname='a'\ntype='file'\npath='/s'",
        "line 5: `path` is `state_dir` itself; give this destination a place of its own",
    );
    check(
        &format!("{sqlite}was='a'"),
        "line 5: `was`: there is still a destination `a`",
    );
    check(
        &format!("{sqlite}compression=3"),
        "line 5: `compression` is for destinations of type \"file\" and \"http\"",
    );
    check(
        "[[destination]]\nname='a'\ntype='console'\npath='/x'",
        "line 5: `path` is for destinations of type \"sqlite\" and \"file\"",
    );
    check(
        "[[destination]]\nname='a'\ntype='file'\ncompression=99",
        "line 5: `compression` is `99`: a zstd level, 1 to 22, \"zstd\", \"gzip\" or \"none\" is wanted",
    );
}
