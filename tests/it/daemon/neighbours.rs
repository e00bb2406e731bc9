//! Two programs on one source, two passes at once, `retry` beside the daemon.

use super::*;

#[test]
fn two_state_directories_on_one_source_each_import_what_they_see_and_lose_nothing() {
    let sshd = Sshd::start();
    let gates = [gate_over(&sshd), gate_over(&sshd)];
    let daemons = [gates[0].run(), gates[1].run()];
    let names: Vec<String> = (0..12)
        .map(|n| {
            drop_into(
                sshd.root(),
                &format!("202602010000{n:02}"),
                &feed(&format!("a{n:02}"), 20),
            )
        })
        .collect();
    wait_until("all put away", || {
        files(&sshd.root().join("processed")).len() >= names.len()
    });
    wait_until("nothing left in hand", || {
        gates.iter().all(|gate| {
            let status = gate.status();
            let imports = status["imports"].as_array().unwrap();
            imports
                .iter()
                .all(|import| import["disposition"] != "pending" && import["status"] != "importing")
        })
    });
    // Each archive is there once, whoever moved it.
    assert_eq!(files(&sshd.root().join("processed")), names);
    assert_eq!(files(sshd.root()), Vec::<String>::new());
    // Each event is in one of the two at least, and in neither twice.
    let mut all = Vec::new();
    for gate in &gates {
        let imports = gate.status()["imports"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["imported"] == true)
            .count();
        wait_for_events(gate, imports * 20);
        let mut ids = delivered(gate);
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "twice in one database");
        all.extend(ids);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), names.len() * 20);
    for daemon in daemons {
        assert_eq!(daemon.stop().code, 0);
    }
}

#[test]
fn two_passes_at_once_are_one_pass_and_a_refusal() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    for n in 0..8 {
        drop_into(
            sshd.root(),
            &format!("202602010000{n:02}"),
            &feed(&format!("a{n}"), 200),
        );
    }
    let passes: Vec<_> = (0..4).map(|_| gate.start_command("once")).collect();
    let ended: Vec<_> = passes
        .into_iter()
        .map(crate::house::gate::Daemon::wait_for_end)
        .collect();
    for one in &ended {
        let refused = one.code == 2 && one.stderr.contains("another feedgate is using it");
        assert!(one.code == 0 || refused, "{one}");
    }
    assert!(ended.iter().any(|one| one.code == 0));
    assert_eq!(gate.once().code, 0);
    assert_eq!(delivered(&gate).len(), 8 * 200);
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 8);
}
