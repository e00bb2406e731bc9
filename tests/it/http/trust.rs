//! Certificates, and secrets that stay secret.

use feedgate::config::resolve::{Authorization, HttpSettings, Secret};
use feedgate::destination::Reply;
use feedgate::destination::receiver::Answer;

use super::{checked, destination, kind, opened, post_three, reason, settings};
use crate::house::http_server::{Certificate, HttpServer, Request, Script};

/// Settings that trust what a server's own authority says.
fn trusting(server: &HttpServer) -> HttpSettings {
    let mut settings = settings(&server.url());
    settings.endpoint.roots = Some(server.ca_pem());
    settings
}

#[test]
fn a_certificate_that_is_vouched_for() {
    let server = HttpServer::start_tls();
    let mut receiver = opened(trusting(&server));
    for _ in 0..5 {
        assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    }
    assert!(server.accepted() < 5, "a connection is used again");
    assert_eq!(server.stored().len(), 5);
    assert_eq!(checked(trusting(&server)), Ok(()));

    // By its address as well, and among other authorities.
    let mut by_address = trusting(&server);
    by_address.endpoint.url = format!("https://127.0.0.1:{}/in", server.port());
    by_address.endpoint.roots = Some(format!("{}{}", HttpServer::start_tls().ca_pem(), server.ca_pem()));
    assert_eq!(post_three(&mut *opened(by_address)), Answer::Delivered);
}

#[test]
fn a_certificate_that_proves_nothing() {
    let check = |server: &HttpServer, settings: HttpSettings, expect: [&str; 2]| {
        let answer = post_three(&mut *opened(settings.clone()));
        assert_eq!(kind(&answer), "barred", "{answer:?}");
        for part in expect {
            assert!(reason(&answer).contains(part), "{part}: {answer:?}");
        }
        let refused = checked(settings);
        assert!(matches!(refused, Err(Reply::Barred { .. })), "{refused:?}");
        assert_eq!(server.requests(), []);
    };
    let (server, other) = (HttpServer::start_tls(), HttpServer::start_tls());
    let mut of_another = trusting(&server);
    of_another.endpoint.roots = Some(other.ca_pem());
    check(&server, of_another, ["UnknownIssuer", "`ca_file`"]);

    let expired = HttpServer::start_tls_with(Certificate::Expired);
    check(&expired, trusting(&expired), ["expired", "renewed"]);

    let for_another = HttpServer::start_tls_with(Certificate::ForAnother);
    check(
        &for_another,
        trusting(&for_another),
        ["elsewhere.example", "`url` has to name"],
    );
}

#[test]
fn the_systems_authorities_do_not_vouch_for_ours() {
    // Where the system has none, that too is a matter of trust.
    let server = HttpServer::start_tls();
    let answer = post_three(&mut *opened(settings(&server.url())));
    assert_eq!(kind(&answer), "barred", "{answer:?}");
    assert!(reason(&answer).contains("`ca_file`"), "{answer:?}");
    assert_eq!(server.requests(), []);
}

#[test]
fn faults_under_tls_are_what_they_are_without() {
    let server = HttpServer::start_tls();
    let mut receiver = opened(trusting(&server));
    for script in [
        Script::CutBefore,
        Script::CutAfter,
        Script::HalfHeader,
        Script::WrongLength,
        Script::Garbage,
    ] {
        server.next(script.clone());
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), "unanswered", "{script:?}: {answer:?}");
        assert_eq!(post_three(&mut *receiver), Answer::Delivered, "after {script:?}");
    }
    server.cut_connections();
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    server.stop();
    assert_eq!(kind(&post_three(&mut *receiver)), "unavailable");
}

#[test]
fn one_side_speaks_tls_and_the_other_does_not() {
    let (plain, tls) = (HttpServer::start(), HttpServer::start_tls());
    // Nothing of ours leaves before the handshake is done.
    let mut to_plain = trusting(&tls);
    to_plain.endpoint.url = format!("https://localhost:{}/in", plain.port());
    let answer = post_three(&mut *opened(to_plain));
    assert_eq!(kind(&answer), "unavailable", "{answer:?}");

    // Here all of it left, and whoever is there said something that is no HTTP.
    let answer = post_three(&mut *opened(settings(&format!("http://localhost:{}", tls.port()))));
    assert_eq!(kind(&answer), "unanswered", "{answer:?}");
    assert_eq!((plain.requests(), tls.requests()), (vec![], vec![]));
}

/// Repeats all it is told, and a password besides, which it may know from elsewhere.
fn echo(status: u16, request: &Request, password: &str) -> Script {
    let mut said = format!("{password} {}", request.target);
    for (_, value) in &request.headers {
        said.push_str(&format!(" {value}"));
    }
    Script::status(status)
        .with_header("Location", &format!("/x{}", request.target))
        .with_body(said)
}

#[test]
fn secrets_are_in_no_reason_even_if_they_are_repeated() {
    let check = |authorization: Authorization, secrets: [&'static str; 2]| {
        let server = HttpServer::start();
        let settings = HttpSettings {
            headers: vec![("X-Key".to_owned(), Secret::new("header-secret"))],
            authorization: Some(authorization),
            signing_key: Some(Secret::new("signing-secret")),
            ..settings(&server.url())
        };
        let mut said = Vec::new();
        let mut receiver = opened(settings.clone());
        for status in [302, 400, 401, 404, 413, 429, 500, 700] {
            server.answer_with(move |request| echo(status, request, &format!("{} signing-secret", secrets[0])));
            said.push(format!("{:?}", post_three(&mut *receiver)));
            said.push(format!("{:?}", checked(settings.clone())));
        }
        let sent = server.requests()[0].header("authorization").expect("let in").to_owned();
        assert!(sent.ends_with(secrets[1]), "{sent}");
        assert!(said[2].contains("(secret)"), "it was repeated: {}", said[2]);
        server.next(Script::Raw(format!("HTTP/1.1 {sent}\r\n\r\n").into_bytes()));
        said.push(format!("{:?}", post_three(&mut *receiver)));
        for text in said {
            for secret in ["header-secret", "signing-secret", "query-secret"]
                .iter()
                .chain(&secrets)
            {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
        let shown = format!("{settings:?} {:?}", destination(settings.clone()));
        for secret in ["header-secret", "signing-secret"].iter().chain(&secrets) {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    };
    check(
        Authorization::Bearer(Secret::new("the-token-123")),
        ["the-token-123", "the-token-123"],
    );
    check(
        Authorization::Basic {
            user: "Aladdin".to_owned(),
            password: Secret::new("open sesame"),
        },
        ["open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    );
}
