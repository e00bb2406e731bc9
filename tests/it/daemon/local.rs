//! A local directory tells of changes, so that nobody waits for the poll; and it may vanish and come back.

use super::*;

#[test]
fn a_directory_wakes_the_daemon_and_may_vanish_and_come_back() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    // Whatever is imported here within the patience of a test, no poll has found.
    gate.source_local_with("acme", &root, "poll_interval = \"1h\"");
    gate.destination_sqlite("events");
    let daemon = gate.run();
    wait_until("the first listing", || {
        source_status(&gate, "acme")["listed_at"].is_string()
    });
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);
    wait_for_disposition(&gate, &name_of(MONDAY), "moved");

    let away = gate.dir().join("away");
    fs::rename(&root, &away).unwrap();
    drop_into(&away, TUESDAY, &feed("b", 1));
    fs::rename(&away, &root).unwrap();
    wait_for_events(&gate, 2);

    // Unmounted, and mounted anew: another directory under the same name.
    fs::rename(&root, &away).unwrap();
    fs::create_dir(&root).unwrap();
    drop_into(&root, WEDNESDAY, &feed("c", 1));
    assert_eq!(wait_for_events(&gate, 3), ["a-0", "b-0", "c-0"]);
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn a_directory_that_is_not_there_is_trouble_that_passes() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    let _daemon = gate.run();
    let source = wait_for_trouble(&gate, "acme");
    let trouble = source["trouble"].as_str().unwrap();
    assert!(trouble.contains(&root.display().to_string()), "{trouble}");
    fs::create_dir(&root).unwrap();
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);
    wait_for_recovery(&gate, "acme");
}
