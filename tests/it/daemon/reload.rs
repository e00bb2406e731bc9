//! New settings while it runs: told by the file or by SIGHUP; what is broken is refused, and the old ones stay.

use super::*;
use crate::house::far_end::{Fault, Op};

#[test]
fn sources_come_change_and_go_while_it_runs() {
    let mut gate = Gate::new();
    let roots: Vec<_> = ["a", "a2", "b"].map(|name| gate.dir().join(name)).into();
    roots.iter().for_each(|root| fs::create_dir(root).unwrap());
    let [a, a2, b] = &roots[..] else { unreachable!() };
    gate.source_local("a", a);
    gate.destination_sqlite("events");
    let daemon = gate.run();
    drop_into(a, MONDAY, &feed("1", 1));
    wait_for_events(&gate, 1);

    gate.source_local("b", b);
    gate.config();
    drop_into(b, MONDAY, &feed("2", 1));
    wait_for_events(&gate, 2);

    let good = fs::read_to_string(gate.config()).unwrap();
    fs::write(
        gate.dir().join("feedgate.toml"),
        format!("{good}\n[limits]\ndepht = 3\n"),
    )
    .unwrap();
    daemon.wait_for_log("the changed configuration is refused");
    assert!(
        daemon.stderr().contains("depth"),
        "the nearest key: {}",
        daemon.stderr()
    );
    drop_into(a, TUESDAY, &feed("3", 1));
    // Not asked through a command, which would put the configuration right again.
    wait_until("the old settings at work", || delivered(&gate).len() == 3);

    // `a` moves, `b` goes.
    gate.clear();
    gate.source_local("a", a2);
    gate.destination_sqlite("events");
    gate.config();
    drop_into(a2, WEDNESDAY, &feed("4", 1));
    wait_for_events(&gate, 4);
    for (root, name) in [(a, "gone"), (b, "gone")] {
        drop_into(root, "20260301000000", &feed(name, 1));
    }
    drop_into(a2, "20260302000000", &feed("5", 1));
    assert_eq!(wait_for_events(&gate, 5), ["1-0", "2-0", "3-0", "4-0", "5-0"]);
    assert_eq!(daemon.stop().code, 0);
    assert_eq!(
        delivered(&gate).len(),
        5,
        "nobody polls where nobody is configured any more"
    );
}

#[test]
fn a_destination_added_later_begins_at_the_oldest() {
    let (mut gate, root) = local_gate();
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 3));
    drop_into(&root, TUESDAY, &feed("b", 2));
    wait_for_events(&gate, 5);
    let later = gate.destination_sqlite("later");
    gate.config();
    wait_until("the new destination", || count_in(&later) == 5);
    drop_into(&root, WEDNESDAY, &feed("c", 1));
    wait_until("the new destination going on", || count_in(&later) == 6);
    assert_eq!(delivered(&gate).len(), 6);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn sighup_without_a_change_is_answered() {
    let (gate, _) = local_gate();
    let daemon = gate.run();
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration has not changed");
}

#[test]
fn settings_that_change_in_mid_import_leave_no_trace_of_it() {
    let far = FarEnd::start();
    let mut gate = gate_over_far(&far, "");
    far.upload(&name_of(MONDAY), &large_archive(MONDAY, "a", 3000));
    far.on_path(Op::Read, &format!("/{}", name_of(MONDAY)), 6, Fault::Stall);
    let _daemon = gate.run();
    wait_until("a claim", || !imports_of(&gate, &name_of(MONDAY)).is_empty());
    gate.clear();
    gate.source_toml("acme", &format!("{}processed_dir = \"done\"\n", keys_of(&far)));
    gate.destination_sqlite("events");
    gate.config();
    wait_for_events(&gate, 3000);
    let import = wait_for_disposition(&gate, &name_of(MONDAY), "moved");
    assert_eq!(import["path"], format!("done/{}", name_of(MONDAY)));
    assert_eq!(imports_of(&gate, &name_of(MONDAY)).len(), 1);
    assert_spool_is_tidy(&gate);
}

#[test]
fn a_source_in_trouble_that_is_removed_is_no_trouble_any_more() {
    let (mut gate, root) = local_gate();
    gate.source_local("gone", &gate.dir().join("nowhere"));
    let _daemon = gate.run();
    wait_for_trouble(&gate, "gone");
    assert_eq!(gate.cli(["status"]).code, 1);
    gate.clear();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    gate.config();
    wait_until("all well", || gate.cli(["status"]).code == 0);
}

#[test]
fn room_on_disk_that_is_asked_for_may_be_changed() {
    let (mut gate, root) = local_gate();
    gate.section("[spool]\nfree_min = \"4PiB\"");
    let _daemon = gate.run();
    let trouble = wait_for_trouble(&gate, "acme")["trouble"].as_str().unwrap().to_owned();
    assert!(
        trouble.contains("intake pauses below 4") && trouble.contains("spool.free_min"),
        "{trouble}"
    );
    drop_into(&root, MONDAY, &feed("a", 1));
    gate.clear();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    gate.section("[spool]\nfree_min = \"1MiB\"");
    gate.config();
    wait_for_events(&gate, 1);
    wait_for_recovery(&gate, "acme");
}

#[test]
fn the_import_status_log_takes_its_new_size() {
    let (mut gate, root) = local_gate();
    let log = gate.state_dir().join("imports.jsonl");
    fs::create_dir_all(gate.state_dir()).unwrap();
    fs::write(&log, "{}\n".repeat(100_000)).unwrap();
    let daemon = gate.run();
    gate.section("[import_log]\nrotate = \"64KiB\"");
    gate.config();
    daemon.wait_for_log("the changed configuration is taken over");
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_until("the log put aside", || {
        gate.state_dir().join("imports.jsonl.1").exists()
    });
    wait_until("a new one", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains(&name_of(MONDAY)))
    });
}

fn local_gate() -> (Gate, std::path::PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    (gate, root)
}

/// Events in a database; 0 while there is no table.
fn count_in(database: &Path) -> usize {
    if !database.exists() {
        return 0;
    }
    let database = Connection::open(database).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap_or(0)
}
