//! Destinations of type `http`.

use std::time::Duration;

use feedgate::config::resolve::{
    Authorization, DestinationKind, DestinationSettings, Endpoint, HttpCompression, HttpFormat, HttpSettings, Secret,
    Start, StatusMeaning,
};

use super::destinations::{BENTO, CERTIFICATE, HTTP, check, file, only, owned};

fn http_of(text: &str) -> HttpSettings {
    match only(text).kind {
        DestinationKind::Http(http) => *http,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_an_http() {
    let dir = tempfile::tempdir().unwrap();
    let (token, key) = (
        file(dir.path(), "token", "t0k+en==\r\n"),
        file(dir.path(), "key", " k e y \n"),
    );
    let (value, roots) = (
        file(dir.path(), "value", "s3cret value\n"),
        file(dir.path(), "ca.pem", CERTIFICATE),
    );
    let text = format!(
        "[[destination]]
        name = 'collector'
        type = 'http'
        url = 'HTTPS://Example.com:8443/In?key=A%20b'
        start = 'oldest'
        was = 'old'
        events = ['A', 'B']
        sources = 'acme'
        rename = {{ 'A b' = 'a_b', 'C' = '$c' }}
        dead_letters_max = 7
        format = 'array'
        compression = 19
        ca_file = '{roots}'
        timeout = '10m'
        batch_events = 10000
        batch_bytes = '64MiB'
        bearer_file = '{token}'
        signing_key_file = '{key}'
        statuses = {{ 409 = 'delivered', '410' = 'refused', '431' = 'too_large', 302 = 'unavailable', 404 = 'barred' }}
        [destination.headers]
        X-Tenant = 'acme, inc'
        user-agent = 'other/1'
        [destination.header_files]
        X-Api-Key = '{value}'
        "
    );
    let secret = |text: &str| Secret::new(text);
    let expect = DestinationSettings {
        name: "collector".to_owned(),
        kind: DestinationKind::Http(Box::new(HttpSettings {
            endpoint: Endpoint {
                url: "https://example.com:8443/In?key=A%20b".to_owned(),
                roots: Some(CERTIFICATE.to_owned()),
                timeout: Duration::from_secs(600),
            },
            headers: vec![
                ("X-Tenant".to_owned(), secret("acme, inc")),
                ("user-agent".to_owned(), secret("other/1")),
                ("X-Api-Key".to_owned(), secret("s3cret value")),
            ],
            authorization: Some(Authorization::Bearer(secret("t0k+en=="))),
            signing_key: Some(secret(" k e y ")),
            format: HttpFormat::Array,
            compression: HttpCompression::Zstd(19),
            batch_events: 10_000,
            batch_bytes: 64 << 20,
            statuses: vec![
                (409, StatusMeaning::Delivered),
                (410, StatusMeaning::Refused),
                (431, StatusMeaning::TooLarge),
                (302, StatusMeaning::Unavailable),
                (404, StatusMeaning::Barred),
            ],
        })),
        start: Start::Oldest,
        was: Some("old".to_owned()),
        events: vec!["A".to_owned(), "B".to_owned()],
        sources: vec!["acme".to_owned()],
        actions: Vec::new(),
        rename: owned([("A b", "a_b"), ("C", "$c")]),
        dead_letters_max: 7,
    };
    assert_eq!(only(&text), expect);
}

#[test]
fn an_http_of_few_words() {
    let expect = DestinationSettings {
        name: "a".to_owned(),
        kind: DestinationKind::Http(Box::new(HttpSettings {
            endpoint: Endpoint {
                url: "https://example.com/in".to_owned(),
                roots: None,
                timeout: Duration::from_secs(30),
            },
            headers: Vec::new(),
            authorization: None,
            signing_key: None,
            format: HttpFormat::Ndjson,
            compression: HttpCompression::None,
            batch_events: 1_000,
            batch_bytes: 1 << 20,
            statuses: Vec::new(),
        })),
        start: Start::Now,
        was: None,
        events: Vec::new(),
        sources: Vec::new(),
        actions: Vec::new(),
        rename: Vec::new(),
        dead_letters_max: 100_000,
    };
    assert_eq!(only(HTTP), expect);
}

#[test]
fn ways_of_being_let_in() {
    let check = |keys: &str, expect: Option<Authorization>| {
        assert_eq!(http_of(&format!("{HTTP}{keys}")).authorization, expect, "{keys}");
    };
    let basic = Authorization::Basic {
        user: "me".to_owned(),
        password: Secret::new("hunter2"),
    };
    check("", None);
    check("bearer_env='W'", Some(Authorization::Bearer(Secret::new("hunter2"))));
    check("user='me'\npassword_env='W'", Some(basic));
}

#[test]
fn compressions_of_an_http() {
    let check = |keys: &str, expect: HttpCompression| {
        assert_eq!(
            http_of(&format!("{HTTP}compression={keys}")).compression,
            expect,
            "{keys}"
        );
    };
    check("'none'", HttpCompression::None);
    check("'gzip'", HttpCompression::Gzip);
    check("'zstd'", HttpCompression::Zstd(3));
    check("1", HttpCompression::Zstd(1));
}

#[test]
fn headers_that_will_not_do() {
    let token = "a key of `headers`: a header's name is wanted: letters, digits and `-`, at most 128";
    check(
        &format!(
            "{HTTP}[destination.headers]\nAuthorization = 'x'\nContent-Type = 'x'\nFeedgate-Signature = 'x'\n'X A' = 'x'\nX-A = \
             \"a\\u00e4\"\nX-B = \"x\\r\\nX-C: y\"\nX-D = ' '\nX-E = 'fine'\nx-e = 'twice'"
        ),
        &[
            "line 6: a key of `headers`: the header `authorization` is not for here: use `bearer_file`, `bearer_env`, or `user` with \
             `password_file`",
            "line 7: a key of `headers`: the header `content-type` is not for here: Feedgate sets it, by `format`",
            "line 8: a key of `headers`: headers that begin with `Feedgate-` are Feedgate's own; take another name",
            &format!("line 9: {token}"),
            "line 10: `headers.X-A`: visible ASCII is wanted, with blanks only in between",
            "line 11: `headers.X-B`: it holds a control character",
            "line 12: `headers.X-D`: it is empty; leave the key out instead",
            "line 14: the header `x-e` is given twice; leave one out",
        ],
    );
    let dir = tempfile::tempdir().unwrap();
    let (two_lines, empty) = (
        file(dir.path(), "two", "hunter2\nhunter3\n"),
        file(dir.path(), "empty", "\n"),
    );
    check(
        &format!(
            "{HTTP}[destination.headers]\nX-A = 'x'\n[destination.header_files]\nX-B = '{two_lines}'\nX-C = '{empty}'\nX-D = \
             '/nowhere/value'\nhost = '{empty}'\nx-a = '{two_lines}'"
        ),
        &[
            "line 8: `header_files.X-B`: what the file holds: visible ASCII is wanted, with blanks only in between",
            &format!("line 9: `header_files.X-C`: `{empty}` is empty"),
            "line 10: `header_files.X-D`: reading `/nowhere/value`: No such file or directory (os error 2)",
            "line 11: a key of `header_files`: the header `host` is not for here: Feedgate sets it, by `url`",
            "line 12: `header_files.x-a`: what the file holds: visible ASCII is wanted, with blanks only in between",
            "line 12: the header `x-a` is given twice; leave one out",
        ],
    );
}

#[test]
fn a_way_of_being_let_in_is_whole_and_alone() {
    let with = |lines: &str, expect: &[&str]| check(&format!("{HTTP}{lines}"), expect);
    with(
        "user='me'",
        &["line 5: `user` without a password: add `password_file` or `password_env`"],
    );
    with(
        "password_env='W'",
        &["line 5: `password_env` without a user: add `user`"],
    );
    with(
        "bearer_env='W'\nuser='me'\npassword_env='W'",
        &["line 6: `user` and `bearer_env` are both given, and a request is let in by one; leave one out"],
    );
    with(
        "password_env='W'\nbearer_env='W'",
        &["line 5: `password_env` and `bearer_env` are both given, and a request is let in by one; leave one out"],
    );
    with(
        "bearer_env='W'\nuser='me'",
        &["line 6: `user` and `bearer_env` are both given, and a request is let in by one; leave one out"],
    );
    with(
        "bearer_file='/x'\nbearer_env='W'",
        &["line 6: `bearer_file` and `bearer_env` are both given; leave one out"],
    );
    with(
        "user='me:you'\npassword_env='W'",
        &["line 5: `user` holds a colon, and would end there"],
    );
    with(
        "bearer_env='NOT_SET'\nsigning_key_env='NOT_SET'",
        &[
            "line 5: `bearer_env`: the variable it names is not set, or empty (it wants a name, not the secret)",
            "line 6: `signing_key_env`: the variable it names is not set, or empty (it wants a name, not the secret)",
        ],
    );
    let dir = tempfile::tempdir().unwrap();
    let token = file(dir.path(), "token", "Bearer hunter2\n");
    with(
        &format!("bearer_file='{token}'"),
        &[
            "line 5: `bearer_file`: what it leads to holds a blank, or is not all visible ASCII; the secret alone is wanted",
        ],
    );
    let colon = file(dir.path(), "colon", "a:hunter2");
    check(
        &BENTO.replace("publishable_key_env='P'", &format!("publishable_key_file='{colon}'")),
        &[
            "line 5: `publishable_key_file`: it holds a colon; publishable key and secret key are two, each in a place of its own",
        ],
    );
    check(
        &BENTO.replace("secret_key_env='S'", &format!("secret_key_file='{token}'")),
        &[
            "line 6: `secret_key_file`: what it leads to holds a blank, or is not all visible ASCII; the secret alone is wanted",
        ],
    );
}
