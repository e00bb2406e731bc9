//! Servers that are down, restarted, frozen or changed: told in words, tried again, recovered from without a restart.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::house::far_end::{Fault, Op};
use crate::house::sshd::{PASSWORD, keygen};

#[test]
fn a_server_that_is_down_at_the_start_and_comes_later() {
    let mut sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let name = drop_into(sshd.root(), MONDAY, &feed("a", 2));
    sshd.stop();
    let daemon = gate.run();
    let source = wait_for_trouble(&gate, "acme");
    let trouble = source["trouble"].as_str().unwrap();
    assert!(trouble.contains(&format!("127.0.0.1:{}", sshd.port())), "{trouble}");
    assert!(source["retry_at"].is_string(), "{source}");
    assert!(source["listed_at"].is_null(), "{source}");
    let status = gate.cli(["status"]);
    assert_eq!(status.code, 1, "{status}");
    assert!(status.stdout.contains("refused"), "{status}");
    wait_until("a second try", || log_lines(&gate, "source_retry", "acme").len() >= 2);
    daemon.wait_for_log("the source is in trouble and is tried again");

    sshd.restart();
    gate.wait_for_imports(1);
    assert_eq!(wait_for_disposition(&gate, &name, "moved")["status"], "processed");
    wait_for_recovery(&gate, "acme");
    wait_until("the log", || log_lines(&gate, "source_recovered", "acme").len() == 1);
    let retries = log_lines(&gate, "source_retry", "acme");
    assert_eq!(
        (&retries[0]["attempts"], &retries[1]["attempts"]),
        (&1.into(), &2.into())
    );
    assert!(
        retries
            .iter()
            .all(|line| line["retry_at"].is_string() && line["trouble"] == trouble)
    );
}

#[test]
fn a_server_restarted_in_mid_run_is_no_news_for_long() {
    let mut sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let daemon = gate.run();
    for (day, digits) in [MONDAY, TUESDAY, WEDNESDAY].into_iter().enumerate() {
        drop_into(sshd.root(), digits, &feed(digits, 2));
        wait_for_events(&gate, 2 * (day + 1));
        sshd.restart();
    }
    wait_for_recovery(&gate, "acme");
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn the_trouble_of_yesterday_is_forgotten_today() {
    let mut sshd = Sshd::start();
    let gate = gate_over(&sshd);
    sshd.stop();
    let daemon = gate.run();
    wait_for_trouble(&gate, "acme");
    assert_eq!(daemon.stop().code, 0);

    sshd.restart();
    let _daemon = gate.run();
    wait_for_recovery(&gate, "acme");
    assert_eq!(gate.cli(["status"]).code, 0);
}

#[test]
fn a_changed_host_key_is_shown_and_the_others_go_on() {
    let mut sshd = Sshd::start();
    let other = Sshd::start();
    let mut gate = gate_over(&sshd);
    gate.source_toml("other", &other.toml());
    let daemon = gate.run();
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);

    sshd.stop();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = sshd.dir().join(format!("host_{kind}"));
        fs::remove_file(&path).unwrap();
        keygen(&path, &["-t", kind]);
    }
    sshd.restart();
    let trouble = wait_until_trouble_names(&gate, &sshd.host_key_pin());
    assert!(trouble.contains("host_key"), "{trouble}");
    drop_into(sshd.root(), TUESDAY, &feed("b", 1));
    drop_into(other.root(), TUESDAY, &feed("c", 1));
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "c-0"]);

    // The operator writes what was told, and that is all.
    gate.clear();
    gate.source_toml("acme", &sshd.toml());
    gate.source_toml("other", &other.toml());
    gate.destination_sqlite("events");
    gate.config();
    assert_eq!(wait_for_events(&gate, 3), ["a-0", "b-0", "c-0"]);
    wait_for_recovery(&gate, "acme");
    assert_eq!(daemon.stop().code, 0);
}

fn wait_until_trouble_names(gate: &Gate, text: &str) -> String {
    let mut trouble = String::new();
    wait_until(&format!("trouble that names {text}"), || {
        let source = source_status(gate, "acme");
        trouble = source["trouble"].as_str().unwrap_or_default().to_owned();
        trouble.contains(text)
    });
    trouble
}

#[test]
fn a_password_that_is_not_taken_is_told_and_never_shown() {
    let sshd = Sshd::with_password();
    let password_file = sshd.dir().join("password");
    fs::write(&password_file, "not the password\n").unwrap();
    let gate = gate_over(&sshd);
    let daemon = gate.run();
    let trouble = wait_for_trouble(&gate, "acme")["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("password"), "{trouble}");

    fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    fs::set_permissions(sshd.root().join(name_of(MONDAY)), PermissionsExt::from_mode(0o644)).unwrap();
    daemon.signal("HUP");
    wait_for_events(&gate, 1);
    wait_for_recovery(&gate, "acme");
    let ended = daemon.stop();
    for secret in ["not the password", PASSWORD] {
        assert!(!ended.stderr.contains(secret) && !trouble.contains(secret));
    }
}

#[test]
fn a_directory_that_cannot_be_listed_is_told_and_recovered_from() {
    let sshd = Sshd::with_password();
    let gate = gate_over(&sshd);
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    fs::set_permissions(sshd.root(), PermissionsExt::from_mode(0o000)).unwrap();
    let _daemon = gate.run();
    let trouble = wait_for_trouble(&gate, "acme")["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("permission denied"), "{trouble}");
    fs::set_permissions(sshd.root(), PermissionsExt::from_mode(0o755)).unwrap();
    wait_for_events(&gate, 1);
    wait_for_recovery(&gate, "acme");
}

#[test]
fn a_dead_and_a_slow_server_hold_up_nobody() {
    let frozen = Sshd::start();
    let good = Sshd::start();
    let slow = FarEnd::start();
    slow.latency(Duration::from_millis(300));
    let mut gate = gate_over(&frozen);
    gate.source_toml("slow", &keys_of(&slow));
    gate.source_toml("good", &good.toml());
    drop_into(frozen.root(), MONDAY, &feed("f", 1));
    let _daemon = gate.run();
    wait_for_events(&gate, 1);

    frozen.freeze();
    drop_into(frozen.root(), TUESDAY, &feed("g", 1));
    slow.upload(&name_of(MONDAY), &large_archive(MONDAY, "slow", 1000));
    let began = std::time::Instant::now();
    for (count, digits) in [MONDAY, TUESDAY, WEDNESDAY].into_iter().enumerate() {
        drop_into(good.root(), digits, &feed(digits, 1));
        wait_until("an event of the good server", || {
            delivered(&gate).iter().filter(|id| id.starts_with("202602")).count() > count
        });
    }
    // The frozen one is given thirty seconds for an answer.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(!delivered(&gate).contains(&"g-0".to_owned()));
    frozen.thaw();
    wait_for_events(&gate, 1 + 1 + 1000 + 3);
}

#[test]
fn a_download_that_was_cut_off_leaves_nothing_behind() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    far.upload(&name_of(MONDAY), &large_archive(MONDAY, "a", 3000));
    let path = format!("/{}", name_of(MONDAY));
    far.on_path(Op::Read, &path, 7, Fault::CutBefore);
    let _daemon = gate.run();
    wait_for_events(&gate, 3000);
    assert!(
        !log_lines(&gate, "source_retry", "acme").is_empty(),
        "it was cut off once"
    );
    assert_spool_is_tidy(&gate);
    assert_eq!(imports_of(&gate, &name_of(MONDAY)).len(), 1);
}

#[test]
fn a_key_that_is_mended_where_it_lies_is_found_without_a_word() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    let key = gate.dir().join("key");
    keygen(&key, &["-t", "ed25519"]);
    let right = sshd.settings().private_key.unwrap().path;
    let keys = sshd
        .toml()
        .replace(&right.display().to_string(), &key.display().to_string());
    gate.source_toml("acme", &keys);
    let name = drop_into(sshd.root(), MONDAY, &feed("a", 2));
    let _daemon = gate.run();
    wait_for_trouble(&gate, "acme");
    // Each command of the gate writes the configuration anew, and that has it read again: this is over first.
    std::thread::sleep(Duration::from_secs(1));
    fs::copy(right, key).unwrap();
    let processed = sshd.root().join("processed").join(name);
    wait_until("the archive to be moved", || processed.exists());
}
