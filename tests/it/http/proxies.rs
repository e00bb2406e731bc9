//! By way of somebody else, as the environment says.

use std::process::Command;

use feedgate::destination::receiver::Answer;

use super::{kind, opened, post_three, reason, settings};
use crate::house::http_server::{HttpServer, Script};

/// Says to a process of its own that it is the one in the environment.
const DIRECT: &str = "FEEDGATE_TEST_DIRECT";

/// An environment belongs to a process: this test is run again in one where a proxy is set.
#[test]
fn requests_go_by_way_of_the_environments_proxy() {
    match std::env::var(DIRECT) {
        Ok(url) => in_the_environment(&url),
        Err(_) => from_outside(),
    }
}

fn from_outside() {
    // Once asked for a connection, the server takes itself for the receiver at its other end.
    let (proxy, direct) = (HttpServer::start(), HttpServer::start());
    proxy.next(Script::status(200));
    proxy.next(Script::ok("{}"));
    proxy.next(Script::status(407));
    let output = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "http::proxies::requests_go_by_way_of_the_environments_proxy"])
        .env_clear()
        .env("HTTPS_PROXY", proxy.url().replace("//", "//ana:hunter2@"))
        .env("NO_PROXY", "*.inside.example")
        .env(DIRECT, direct.url())
        .output()
        .expect("another process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let seen: Vec<(String, String)> = proxy
        .requests()
        .into_iter()
        .map(|request| (request.method, request.target))
        .collect();
    let expect = [
        ("CONNECT", "receiver.example:80"),
        ("POST", "/in?token=query-secret"),
        ("CONNECT", "other.example:8080"),
    ];
    assert_eq!(
        seen,
        expect.map(|(method, target)| (method.to_owned(), target.to_owned()))
    );
    let tunnel = &proxy.requests()[0];
    // `ana:hunter2`, for the proxy and nobody behind it.
    assert_eq!(tunnel.header("proxy-authorization"), Some("Basic YW5hOmh1bnRlcjI="));
    assert_eq!(proxy.requests()[1].header("proxy-authorization"), None);
    assert_eq!(direct.requests().len(), 1);
}

fn in_the_environment(direct: &str) {
    assert_eq!(
        post_three(&mut *opened(settings("http://receiver.example"))),
        Answer::Delivered
    );
    // This machine is dialled directly, whatever the environment says.
    assert_eq!(post_three(&mut *opened(settings(direct))), Answer::Delivered);

    let answer = post_three(&mut *opened(settings("http://other.example:8080")));
    assert_eq!(kind(&answer), "unavailable", "{answer:?}");
    assert!(
        reason(&answer).contains("407") && reason(&answer).contains("by way of the proxy 127.0.0.1"),
        "{answer:?}"
    );
    assert!(!reason(&answer).contains("hunter2"), "{answer:?}");
}
