//! The user feed runs first.

use super::*;

const MONDAY: &str = "20240527080000";

/// Events of somebody who is only named by an id.
const BY_ID: &str = r#"[{"event":"a","id":"DE1"}]"#;

/// Events of somebody who is named in both ways.
const BY_BOTH: &str = r#"[{"event":"b","id":"DE1","email":"ada@example.com","businessUnit":"DE"},
    {"event":"b","email":"bob@example.com","businessUnit":"DE"}]"#;

/// In which order imports were closed, by the kind of each and its flags.
fn order(gate: &Gate) -> Vec<String> {
    let stored = rusqlite::Connection::open(gate.ledger()).expect("the ledger");
    let mut select = stored
        .prepare(
            "SELECT kind || iif(user_feed_pending, ' too soon', '') FROM imports WHERE seq IS NOT NULL ORDER BY seq",
        )
        .expect("the imports");
    let rows = select.query_map([], |row| row.get(0)).expect("the imports");
    rows.map(|row| row.expect("a kind")).collect()
}

/// The story of the vendor's page: the partner uploads the header, then the events, and the people come last. Without
/// waiting, the importer would know nobody by this id, and make a new person of it.
#[test]
fn a_user_feed_that_arrives_late_is_still_first() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &sshd.toml());
    gate.destination_sqlite("events");
    let daemon = gate.run();
    upload_header(sshd.root(), MONDAY, HEADER);
    wait_until("the header waits", || {
        waiting(&gate)
            .iter()
            .any(|(_, reason)| reason.contains("the other file of this user feed"))
    });
    let archive = upload(sshd.root(), "event_history", MONDAY, BY_ID);
    wait_until("the archive waits", || {
        waiting(&gate)
            .iter()
            .any(|(name, reason)| *name == archive && reason.starts_with("for the user feed"))
    });
    daemon.wait_for_log("waits for the user feed that `user_feed_header_20240527080000.json` belongs to");
    assert!(gate.events().is_empty());
    // Nothing of it is kept meanwhile, and it is not fetched with every poll.
    assert_eq!(
        fs::read_dir(gate.state_dir().join("spool")).expect("the spool").count(),
        0
    );

    upload_data(
        sshd.root(),
        MONDAY,
        r#"[{"id":"DE1","email":"ada@example.com","businessUnit":"DE"}]"#,
    );
    gate.wait_for_imports(3);
    assert_eq!(order(&gate), ["header", "users", "events"]);
    assert_eq!(gate.import(&archive)["flags"], serde_json::json!([]));
    wait_until("it is put away", || {
        sshd.root().join("processed").join(&archive).exists()
    });
    assert_eq!(
        daemon.stderr().matches("waits for the user feed").count(),
        1,
        "{}",
        daemon.stderr()
    );
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn what_names_its_people_in_both_ways_does_not_wait() {
    let (gate, root) = gate_with("");
    upload_header(&root, MONDAY, HEADER);
    let both = upload(&root, "event_history", MONDAY, BY_BOTH);
    let order = r#"[{"orderId":"1","id":"DE1","timestamp":"2024-05-01","total":1}]"#;
    let held = upload_orders(&root, MONDAY, order);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(gate.import(&both)["status"], "processed");
    let waits = waiting(&gate);
    assert!(
        waits
            .iter()
            .any(|(name, reason)| *name == held && reason.starts_with("for the user feed")),
        "{waits:?}"
    );
    // A pass does not wait: the next one finds the people there.
    upload_data(&root, MONDAY, r#"[{"id":"DE1"}]"#);
    assert_eq!(gate.once().code, 0);
    assert_eq!(self::order(&gate), ["events", "header", "users", "orders"]);
}

#[test]
fn a_default_unit_is_a_unit() {
    let (gate, root) = gate_with("default_business_unit = \"DE\"");
    upload_header(&root, MONDAY, HEADER);
    upload(
        &root,
        "event_history",
        MONDAY,
        r#"[{"event":"b","id":"DE1","email":"ada@example.com"}]"#,
    );
    gate.once();
    assert_eq!(order(&gate), ["events"]);
}

#[test]
fn nobody_waits_longer_than_that_and_it_is_said() {
    let (gate, root) = gate_with("user_feed_wait = \"2s\"\nincomplete_grace = \"1h\"\npoll_interval = \"1h\"");
    upload_header(&root, MONDAY, HEADER);
    let archive = upload(&root, "event_history", MONDAY, BY_ID);
    let daemon = gate.run();
    daemon.wait_for_log("waits for the user feed");
    gate.wait_for_imports(1);
    assert_eq!(order(&gate), ["events too soon"]);
    assert_eq!(gate.import(&archive)["flags"], serde_json::json!(["user_feed_pending"]));
}

#[test]
fn an_archive_that_waited_long_enough_is_flagged() {
    let (gate, root) = gate_with("user_feed_wait = \"1h\"\nincomplete_grace = \"2h\"");
    upload_header(&root, MONDAY, HEADER);
    let archive = upload(&root, "event_history", MONDAY, BY_ID);
    gate.once();
    assert_eq!(waiting(&gate).len(), 2);
    // It has been there for longer than that, while somebody still writes the user feed.
    let age = "UPDATE listed SET changed_at = changed_at - 7200000 WHERE name LIKE 'event%'";
    let ledger = rusqlite::Connection::open(gate.ledger()).expect("the ledger");
    ledger.execute(age, []).expect("older");
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(order(&gate), ["events too soon"]);
    assert_eq!(gate.import(&archive)["flags"], serde_json::json!(["user_feed_pending"]));
}

#[test]
fn waiting_can_be_turned_off() {
    let (gate, root) = gate_with("user_feed_wait = \"0s\"");
    upload_header(&root, MONDAY, HEADER);
    upload(&root, "event_history", MONDAY, BY_ID);
    gate.once();
    assert_eq!(order(&gate), ["events"]);
}

#[test]
fn an_upload_that_is_under_way_is_waited_for_and_one_that_was_left_behind_is_not() {
    let (gate, root) = gate_with("");
    let upload_in_progress = root.join(format!(".{}.part", data_name(MONDAY)));
    fs::write(&upload_in_progress, "[").expect("an upload");
    upload(&root, "event_history", MONDAY, BY_ID);
    gate.once();
    assert!(order(&gate).is_empty());
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let file = fs::File::options()
        .write(true)
        .open(&upload_in_progress)
        .expect("the upload");
    file.set_modified(long_ago).expect("its time");
    gate.once();
    assert_eq!(order(&gate), ["events"]);
}

#[test]
fn a_failed_user_feed_holds_up_nobody() {
    let (gate, root) = gate_with("");
    upload_header(&root, MONDAY, "[]");
    upload_data(&root, MONDAY, "[]");
    upload(&root, "event_history", MONDAY, BY_ID);
    assert_eq!(gate.once().code, 1);
    assert_eq!(order(&gate), ["header", "users", "events"]);
}
