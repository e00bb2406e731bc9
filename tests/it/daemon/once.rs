//! `once`, from cron: one settle is waited out, the grace goes on between the runs, and the exit code tells of this pass.

use super::*;

#[test]
fn a_pass_waits_out_one_settle() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}settle = \"1s\"\n", sshd.toml()));
    gate.destination_sqlite("events");
    let empty = gate.once();
    assert_eq!(empty.code, 0, "{empty}");
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    let began = std::time::Instant::now();
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(delivered(&gate), ["a-0"]);
    assert!(sshd.root().join("processed").join(name_of(MONDAY)).exists());
}

#[test]
fn a_file_that_grows_between_two_passes_settles_anew() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}settle = \"1s\"\n", sshd.toml()));
    gate.destination_sqlite("events");
    let whole = large_archive(MONDAY, "a", 20);
    put(sshd.root(), &name_of(MONDAY), &whole[..5000]);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    let waiting = gate.status()["waiting"][0].clone();
    assert!(
        waiting["reason"].as_str().unwrap().starts_with("incomplete"),
        "{waiting}"
    );

    fs::write(sshd.root().join(name_of(MONDAY)), &whole).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(gate.once().code, 0);
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it had settled before it was seen"
    );
    assert_eq!(delivered(&gate).len(), 20);
    assert_eq!(imports_of(&gate, &name_of(MONDAY)).len(), 1);
}

#[test]
fn the_grace_goes_on_between_the_passes_and_a_failure_is_told_once() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}incomplete_grace = \"3s\"\n", sshd.toml()));
    gate.destination_sqlite("events");
    let whole = large_archive(MONDAY, "a", 20);
    put(sshd.root(), &name_of(MONDAY), &whole[..5000]);
    assert_eq!(gate.once().code, 0);
    // From now on: the pass itself takes its time on a busy machine.
    let seen = std::time::Instant::now();
    assert_eq!(imports_of(&gate, &name_of(MONDAY)), Vec::<Value>::new());

    std::thread::sleep(Duration::from_millis(3100).saturating_sub(seen.elapsed()));
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    let import = gate.import(&name_of(MONDAY));
    assert_eq!(import["violations"][0]["code"], "zip_truncated");
    assert_eq!(import["disposition"], "left");
    assert_eq!(gate.once().code, 0, "no news in this pass");

    // The partner completes it after all.
    fs::write(sshd.root().join(name_of(MONDAY)), &whole).unwrap();
    assert_eq!(gate.once().code, 0);
    assert_eq!(delivered(&gate).len(), 20);
}

#[test]
fn one_server_of_two_down_is_1_and_all_are_2() {
    let mut sshd = Sshd::start();
    let good = Sshd::start();
    let mut gate = gate_over(&sshd);
    gate.source_toml("good", &good.toml());
    sshd.stop();
    drop_into(good.root(), MONDAY, &feed("a", 1));
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert_eq!(delivered(&gate), ["a-0"]);
    assert!(source_status(&gate, "acme")["trouble"].is_string());

    let alone = gate_over(&sshd);
    let once = alone.once();
    assert_eq!(once.code, 2, "{once}");
    assert!(once.stderr.contains("no source could be reached"), "{once}");

    sshd.restart();
    assert_eq!(gate.once().code, 0);
    assert!(source_status(&gate, "acme")["trouble"].is_null());
}
