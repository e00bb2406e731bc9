//! Which host keys are trusted, and what is said of the others.

use std::path::PathBuf;
use std::process::Command;

use feedgate::config::resolve::SftpSettings;
use feedgate::source::{SftpSource, Source, SourceError, host_keys};

use super::{TIMEOUT, expect_error};
use crate::house::sshd::{Sshd, keygen};

async fn dial(settings: &SftpSettings) -> Result<(), SourceError> {
    let source = SftpSource::new("acme", settings, TIMEOUT);
    let listed = source.list().await.map(|_| ());
    source.close().await;
    listed
}

/// Settings that trust only what this file says.
fn with_known_hosts(sshd: &Sshd, text: &str) -> SftpSettings {
    let path: PathBuf = sshd.dir().join(format!("known_hosts-{:x}", fastrand::u64(..)));
    std::fs::write(&path, text).unwrap();
    SftpSettings {
        host_keys: vec![],
        known_hosts: Some(path),
        ..sshd.settings()
    }
}

fn with_pins(sshd: &Sshd, pins: &[&str]) -> SftpSettings {
    SftpSettings {
        host_keys: pins.iter().map(ToString::to_string).collect(),
        ..sshd.settings()
    }
}

/// The SHA-256 of nobody's key.
fn strange_pin() -> String {
    format!("SHA256:{}", "x".repeat(43))
}

#[tokio::test]
async fn pins_of_every_type_and_form() {
    let sshd = Sshd::start();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let pin = sshd.host_key_pin_of(kind);
        assert_eq!(dial(&with_pins(&sshd, &[&pin])).await, Ok(()), "{kind}");
        assert_eq!(
            dial(&with_pins(&sshd, &[&format!("{pin}=")])).await,
            Ok(()),
            "{kind}, padded"
        );
        assert_eq!(
            dial(&with_pins(&sshd, &[&strange_pin(), &pin])).await,
            Ok(()),
            "{kind}, the second of two"
        );
        let key = sshd.host_key_of(kind);
        assert_eq!(dial(&with_pins(&sshd, &[&key])).await, Ok(()), "{kind}, whole");
        assert_eq!(
            dial(&with_pins(&sshd, &[&format!("{key} root@acme")])).await,
            Ok(()),
            "{kind}, with a comment"
        );
    }
}

#[tokio::test]
async fn pins_that_do_not_fit() {
    let sshd = Sshd::start();
    let ed25519 = sshd.host_key_pin();
    let line = format!("host_key = \"{ed25519}\"");
    // Every type was tried, and the operator sees each.
    let words = [
        &*ed25519,
        &sshd.host_key_pin_of("ecdsa"),
        &sshd.host_key_pin_of("rsa"),
        "ssh-ed25519",
        "ssh-rsa",
        &line,
    ];
    expect_error(dial(&with_pins(&sshd, &[&strange_pin()])).await, "barred", &words);

    let other = Sshd::start();
    expect_error(
        dial(&with_pins(&sshd, &[&other.host_key_of("ed25519")])).await,
        "barred",
        &[&ed25519, &line],
    );
    expect_error(
        dial(&with_pins(&sshd, &["nonsense"])).await,
        "barred",
        &["`nonsense`", "neither"],
    );
    expect_error(
        dial(&with_pins(&sshd, &[])).await,
        "barred",
        &["no host key is trusted", "known_hosts"],
    );
}

#[tokio::test]
async fn a_known_hosts_file() {
    let sshd = Sshd::start();
    let port = sshd.port();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = sshd.host_key_of(kind);
        for names in [
            format!("[127.0.0.1]:{port}"),
            "127.0.0.1".to_string(),
            format!("acme.example.com,[127.0.0.1]:{port}"),
            "127.0.0.*".to_string(),
        ] {
            let text = format!("# ours\n\nother.example.com {key}\n{names} {key} a comment\n");
            assert_eq!(dial(&with_known_hosts(&sshd, &text)).await, Ok(()), "{names} {kind}");
        }
        // Hashed by OpenSSH itself.
        let settings = with_known_hosts(&sshd, &format!("[127.0.0.1]:{port} {key}\n"));
        let path = settings.known_hosts.clone().unwrap();
        assert!(
            Command::new("ssh-keygen")
                .arg("-Hf")
                .arg(&path)
                .output()
                .unwrap()
                .status
                .success()
        );
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("|1|"));
        assert_eq!(dial(&settings).await, Ok(()), "hashed {kind}");
    }
}

#[tokio::test]
async fn known_hosts_that_do_not_fit() {
    let sshd = Sshd::start();
    let (port, key, pin) = (sshd.port(), sshd.host_key_of("ed25519"), sshd.host_key_pin());
    let line = format!("host_key = \"{pin}\"");
    let other = Sshd::start().host_key_of("ed25519");

    let text = format!(
        "[127.0.0.1]:{} {key}\n127.0.0.2 {key}\n!127.0.0.1,127.* {key}\n",
        port ^ 1
    );
    expect_error(
        dial(&with_known_hosts(&sshd, &text)).await,
        "barred",
        &["has no key for this host", &pin, &line],
    );
    let text = format!("[127.0.0.1]:{port} {other}\n");
    expect_error(
        dial(&with_known_hosts(&sshd, &text)).await,
        "barred",
        &["has another key", &pin, &line],
    );
    let text = format!("@revoked * {key}\n[127.0.0.1]:{port} {key}\n");
    expect_error(
        dial(&with_known_hosts(&sshd, &text)).await,
        "barred",
        &["revoked", &pin],
    );
    let text = format!("@cert-authority * {key}\n");
    expect_error(
        dial(&with_known_hosts(&sshd, &text)).await,
        "barred",
        &["has no key for this host"],
    );
    for text in [
        "",
        "\0\0\0",
        "@",
        "127.0.0.1",
        "127.0.0.1 ssh-ed25519",
        "127.0.0.1 ssh-ed25519 !!!!",
        "|1|x|y ssh-ed25519 AAAA",
    ] {
        expect_error(
            dial(&with_known_hosts(&sshd, text)).await,
            "barred",
            &["has no key for this host"],
        );
    }
    let settings = SftpSettings {
        known_hosts: Some("/absent/known_hosts".into()),
        host_keys: vec![],
        ..sshd.settings()
    };
    expect_error(dial(&settings).await, "barred", &["/absent/known_hosts"]);
}

/// A host that has several keys, of which `known_hosts` has a stale one: any that fits proves who it is.
#[tokio::test]
async fn one_known_key_of_two_is_stale() {
    let sshd = Sshd::start();
    let stale = Sshd::start().host_key_of("ed25519");
    let text = format!("127.0.0.1 {stale}\n127.0.0.1 {}\n", sshd.host_key_of("rsa"));
    assert_eq!(dial(&with_known_hosts(&sshd, &text)).await, Ok(()));
}

#[tokio::test]
async fn the_key_changes_while_we_run() {
    let mut sshd = Sshd::start();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    source.list().await.unwrap();
    sshd.stop();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = sshd.dir().join(format!("host_{kind}"));
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        keygen(&path, &["-t", kind]);
    }
    sshd.restart();
    let mut outcome = source.list().await;
    if matches!(outcome, Err(SourceError::Lost { .. })) {
        outcome = source.list().await; // the first verb may find the old connection dead
    }
    expect_error(outcome, "barred", &[&sshd.host_key_pin(), "not the key that is pinned"]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = sshd.dir().join(format!("host_{kind}"));
        std::fs::rename(path.with_extension("old"), path).unwrap();
    }
    sshd.restart();
    assert!(source.list().await.is_ok());
}

#[tokio::test]
async fn the_keys_that_a_server_has() {
    let sshd = Sshd::start();
    let port = sshd.port();
    let seen = tokio::task::spawn_blocking(move || host_keys("127.0.0.1", port, TIMEOUT))
        .await
        .unwrap()
        .unwrap();
    let shown: Vec<(String, String)> = seen
        .iter()
        .map(|key| (key.fingerprint.clone(), format!("{} {}", key.kind, key.base64)))
        .collect();
    let expected: Vec<(String, String)> = ["ed25519", "ecdsa", "rsa"]
        .map(|kind| (sshd.host_key_pin_of(kind), sshd.host_key_of(kind)))
        .into();
    assert_eq!(shown, expected);
    drop(sshd);
    let outcome = tokio::task::spawn_blocking(move || host_keys("127.0.0.1", port, TIMEOUT))
        .await
        .unwrap();
    expect_error(outcome, "lost", &["127.0.0.1", "refused"]);
}
