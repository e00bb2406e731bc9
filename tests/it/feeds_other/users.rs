//! The two files of a user feed.

use super::*;
use feedgate::events::People;
use feedgate::ledger::{Asks, Import, Stored};
use roaring::RoaringTreemap;

const MONDAY: &str = "20240527080000";
const TUESDAY: &str = "20240528080000";

/// The last import of a file, as whoever reads on has it.
fn import(gate: &Gate, archive: &str) -> Import {
    let ledger = rusqlite::Connection::open(gate.ledger()).expect("the ledger");
    let sql = "SELECT id, seq, sha256, imported_at, entries, accepted, reading, rejected_set, spool_file, spool_offset, spool_len
               FROM imports WHERE archive = ?1 AND imported = 1 ORDER BY seq DESC LIMIT 1";
    ledger
        .query_row(sql, [archive], |row| {
            let reading: String = row.get(6)?;
            let rejected: Option<Vec<u8>> = row.get(7)?;
            Ok(Import {
                id: row.get(0)?,
                seq: row.get(1)?,
                source: "acme".to_owned(),
                archive: archive.to_owned(),
                sha256: row.get(2)?,
                imported_at: row.get(3)?,
                entries: row.get(4)?,
                accepted: row.get(5)?,
                reading: serde_json::from_str(&reading).expect("a reading"),
                left_out: rejected.map_or_else(RoaringTreemap::new, |set| {
                    RoaringTreemap::deserialize_from(&set[..]).expect("a set")
                }),
                stored: Some(Stored {
                    file: row.get(8)?,
                    offset: row.get(9)?,
                    len: row.get(10)?,
                }),
                pruned_at: None,
                asks: Asks::Deliver,
                definitions: None,
                history: None,
            })
        })
        .expect("an import")
}

/// The people of an import: id, e-mail, unit.
fn people(gate: &Gate, archive: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let import = std::sync::Arc::new(import(gate, archive));
    let mut people = People::open(import, &gate.state_dir().join("spool"), 0).expect("the spool");
    let mut found = Vec::new();
    while let Some(person) = people.next().expect("a row") {
        let own = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
        found.push((person.id.into_owned(), own(person.email), own(person.business_unit)));
    }
    found
}

#[test]
fn both_files_are_taken_in_together_and_put_away() {
    let (gate, root) = gate_with("");
    upload_header(&root, MONDAY, HEADER);
    upload_data(
        &root,
        MONDAY,
        r#"[{"id":"DE85328","email":"ada@example.com","businessUnit":"DE","birthday":"1990-12-10"},
            {"id":7,"birthday":null,"email":""}]"#,
    );
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    let (header, users) = (
        gate.import_in_full(&header_name(MONDAY)),
        gate.import_in_full(&data_name(MONDAY)),
    );
    assert_eq!(
        (&header["feed"], &header["accepted"]),
        (&"header".into(), &4.into()),
        "{header:#}"
    );
    assert_eq!(
        (&users["feed"], &users["accepted"]),
        (&"users".into(), &2.into()),
        "{users:#}"
    );
    assert_eq!(users["warnings_by_code"][0]["code"], "id_number", "{users:#}");
    for name in [header_name(MONDAY), data_name(MONDAY)] {
        assert!(root.join("processed").join(&name).exists(), "{name}");
        let receipt = fs::read_to_string(root.join(format!("receipts/{name}.receipt.json"))).expect("a receipt");
        assert!(receipt.contains("imported"), "{receipt}");
    }
    // Destinations have nothing to do with people.
    assert!(gate.events().is_empty());
    assert_eq!(gate.status()["destinations"][0]["delivered"], 0);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        people(&gate, &data_name(MONDAY)),
        [
            ("DE85328".to_owned(), some("ada@example.com"), some("DE")),
            ("7".to_owned(), None, None),
        ]
    );
}

#[test]
fn rows_are_held_against_their_columns() {
    let (gate, root) = gate_with("");
    let column = |name: &str, of: &str, nullable: &str| {
        format!(r#"{{"column_name":"{name}","data_type":"{of}","is_nullable":"{nullable}"}}"#)
    };
    let columns = [
        column("id", "text", "NO"),
        column("email", "text", "YES"),
        column("firstName", "text", "NO"),
        column("birthday", "date", "YES"),
        column("seenAt", "timestamp", "YES"),
        column("isNew", "boolean", "YES"),
        column("orders", "integer", "YES"),
        column("spent", "numeric", "YES"),
        column("tags", "text[]", "YES"),
    ];
    upload_header(&root, MONDAY, &format!("[{}]", columns.join(",")));
    let row = |rest: &str| format!(r#"{{"id":"a","firstName":"Ada"{rest}}}"#);
    let long = |bytes: usize| format!(r#","firstName":"{}""#, "x".repeat(bytes));
    let wrong = [
        ("[]".to_owned(), "not_an_object"),
        (r#"{"firstName":"Ada"}"#.to_owned(), "user_id_missing/id"),
        (r#"{"id":" ","firstName":"Ada"}"#.to_owned(), "user_id_missing/id"),
        (r#"{"id":true,"firstName":"Ada"}"#.to_owned(), "id_invalid/id"),
        (r#"{"id":"a"}"#.to_owned(), "user_value_missing/firstName"),
        (
            r#"{"id":"a","firstName":null}"#.to_owned(),
            "user_value_missing/firstName",
        ),
        (row(r#","lastName":"L""#), "user_column_unknown/lastName"),
        (row(r#","a/b~c":1"#), "user_column_unknown/a~1b~0c"),
        (row(r#","email":"nobody""#), "email_invalid/email"),
        (row(r#","birthday":"1990-02-30""#), "user_value_type/birthday"),
        (
            row(r#","birthday":"2016-04-01T18:02:42+01""#),
            "user_value_type/birthday",
        ),
        (row(r#","seenAt":"yesterday""#), "user_value_type/seenAt"),
        (row(r#","isNew":"true""#), "user_value_type/isNew"),
        (row(r#","orders":1.5"#), "user_value_type/orders"),
        (row(r#","spent":"18.5""#), "user_value_type/spent"),
        (row(r#","tags":"a""#), "user_value_type/tags"),
        (row(r#","tags":["a",1]"#), "user_value_type/tags"),
        (row(r#","tags":[["a",[1]]]"#), "user_nesting/tags"),
        (
            format!(r#"{{"id":"a"{}}}"#, long(16 * 1024 + 1)),
            "user_value_too_long/firstName",
        ),
        (
            format!(r#"{{"id":"a","firstName":"b","tags":["{}"]}}"#, "x".repeat(1024 * 1024)),
            "user_too_large",
        ),
    ];
    let right = [
        row(
            r#","birthday":"1992-02-29","seenAt":"2016-04-01T18:02:42+01","isNew":true,"orders":42,"spent":18.5,"tags":["a",null]"#,
        ),
        row(r#","birthday":"","seenAt":null,"tags":[]"#),
        format!(r#"{{"id":"a"{}}}"#, long(16 * 1024)),
    ];
    let rows: Vec<&str> = wrong
        .iter()
        .map(|(row, _)| row.as_str())
        .chain(right.iter().map(String::as_str))
        .collect();
    let feed = format!("[{}]", rows.join(","));
    upload_data(&root, MONDAY, &feed);
    gate.once();
    let users = gate.import_in_full(&data_name(MONDAY));
    let expect: Vec<&str> = wrong.iter().map(|(_, code)| *code).collect();
    assert_eq!(rejects(&users), expect, "{:#}", users["rejects"]);
    assert_eq!((&users["status"], &users["accepted"]), (&"processed".into(), &3.into()));
    let birthday = feed.find(r#""1990-02-30""#).expect("it is there");
    assert_eq!(users["rejects"][9]["reasons"][0]["at"]["byte"], birthday);
    // What people are is nobody's business.
    assert!(
        !users["rejects"][9]["reasons"][0]["message"]
            .as_str()
            .expect("words")
            .contains("1990"),
        "{users:#}"
    );
}

#[test]
fn a_faulty_header_fails_both_and_a_mended_one_is_enough() {
    let (gate, root) = gate_with("");
    upload_header(&root, MONDAY, &HEADER.replace("\"date\"", "\"varchar\""));
    upload_data(&root, MONDAY, r#"[{"id":"a"}]"#);
    assert_eq!(gate.once().code, 1);
    let (header, users) = (gate.import(&header_name(MONDAY)), gate.import(&data_name(MONDAY)));
    assert_eq!(violations(&header), ["user_feed_header"], "{header:#}");
    assert!(
        header["violations"][0]["detail"]
            .as_str()
            .expect("words")
            .contains("varchar"),
        "{header:#}"
    );
    assert_eq!(
        (&header["violations"][0]["entry"], &header["violations"][0]["line"]),
        (&3.into(), &4.into()),
        "{header:#}"
    );
    assert_eq!(violations(&users), ["user_feed_other"], "{users:#}");
    assert!(root.join(header_name(MONDAY)).exists() && root.join(data_name(MONDAY)).exists());

    // Looked at again for nothing else than a change.
    gate.once();
    assert_eq!(gate.status()["imports"].as_array().map(Vec::len), Some(2));
    upload_header(&root, MONDAY, HEADER);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(people(&gate, &data_name(MONDAY)).len(), 1);
    assert!(root.join("processed").join(data_name(MONDAY)).exists());
}

#[test]
fn a_faulty_data_file_keeps_the_header_where_it_is() {
    let (gate, root) = gate_with("");
    upload_header(&root, MONDAY, HEADER);
    upload_data(&root, MONDAY, r#"[{"id":"a"},,]"#);
    gate.once();
    assert_eq!(violations(&gate.import(&data_name(MONDAY))), ["json_syntax"]);
    assert_eq!(violations(&gate.import(&header_name(MONDAY))), ["user_feed_other"]);
    upload_data(&root, MONDAY, r#"[{"id":"a"}]"#);
    assert_eq!(gate.once().code, 0);
    assert_eq!(people(&gate, &data_name(MONDAY)).len(), 1);
}

#[test]
fn one_half_waits_for_the_other_and_fails_in_the_end() {
    let (gate, root) = gate_with("incomplete_grace = \"1h\"");
    upload_data(&root, MONDAY, "[]");
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    let reason = waiting(&gate)[0].1.clone();
    assert!(
        reason.contains(&header_name(MONDAY)) && reason.contains("user_feed_half"),
        "{reason}"
    );

    let (gate, root) = gate_with("incomplete_grace = \"0s\"");
    upload_data(&root, MONDAY, "[]");
    assert_eq!(gate.once().code, 1);
    assert_eq!(violations(&gate.import(&data_name(MONDAY))), ["user_feed_half"]);
    assert!(root.join(data_name(MONDAY)).exists());
    // It comes after all.
    upload_header(&root, MONDAY, HEADER);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert!(root.join("processed").join(data_name(MONDAY)).exists());
}

#[test]
fn a_file_that_ends_too_early_is_waited_for() {
    let (gate, root) = gate_with("incomplete_grace = \"1h\"");
    upload_header(&root, MONDAY, HEADER);
    // The second looks whole by its last byte.
    for begun in [r#"[{"id":"a"#, r#"[{"id":"a","x":[1]"#, ""] {
        upload_data(&root, MONDAY, begun);
        assert_eq!(gate.once().code, 0);
        let (_, reason) = waiting(&gate)
            .into_iter()
            .find(|(name, _)| *name == data_name(MONDAY))
            .expect("it waits");
        assert!(reason.starts_with("incomplete"), "{begun}: {reason}");
    }
    upload_data(&root, MONDAY, r#"[{"id":"a"}]"#);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(people(&gate, &data_name(MONDAY)).len(), 1);
}

#[test]
fn only_the_newest_pair_counts() {
    let (gate, root) = gate_with("");
    for (digits, id) in [(MONDAY, "old"), (TUESDAY, "new")] {
        upload_header(&root, digits, HEADER);
        upload_data(&root, digits, &format!(r#"[{{"id":"{id}"}}]"#));
    }
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    let old = gate.import(&data_name(MONDAY));
    assert_eq!(
        (&old["status"], &old["imported"]),
        (&"duplicate".into(), &false.into()),
        "{old:#}"
    );
    assert_eq!(old["flags"], serde_json::json!(["superseded"]));
    assert!(root.join("processed").join(data_name(MONDAY)).exists());
    let receipt = fs::read_to_string(root.join(format!("receipts/{}.receipt.json", data_name(MONDAY))));
    assert!(receipt.expect("a receipt").contains("a newer user feed was taken in"));
    assert_eq!(people(&gate, &data_name(TUESDAY))[0].0, "new");
}

#[test]
fn the_same_pair_again_is_a_duplicate_and_another_is_not() {
    let (gate, root) = gate_with("");
    let upload_both = |header: &str, data: &str| {
        upload_header(&root, MONDAY, header);
        upload_data(&root, MONDAY, data);
        gate.once();
        let status = gate.status();
        let imports = status["imports"].as_array().expect("imports");
        let last: Vec<Value> = imports
            .iter()
            .rev()
            .take(2)
            .map(|import| import["status"].clone())
            .collect();
        last
    };
    assert_eq!(upload_both(HEADER, r#"[{"id":"a"}]"#), ["processed", "processed"]);
    assert_eq!(upload_both(HEADER, r#"[{"id":"a"}]"#), ["duplicate", "duplicate"]);
    assert_eq!(upload_both(HEADER, r#"[{"id":"b"}]"#), ["processed", "processed"]);
    let names = || fs::read_dir(root.join("processed")).expect("the directory").count();
    assert_eq!(names(), 6, "nothing was written over");
}

#[test]
fn near_misses_are_told() {
    let (gate, root) = gate_with("");
    for name in [
        "user_feed_data_2024052708000.json",
        "user_feed_data_20240527080000.json.zip",
        "User_Feed_Header_20240527080000.json",
        "user_feed_20240527080000.json",
    ] {
        fs::write(root.join(name), "[]").expect("an upload");
    }
    gate.once();
    let check = |name: &str, expect: &str| {
        let import = gate.import(name);
        assert_eq!(violations(&import), ["name_malformed"], "{import:#}");
        let detail = import["violations"][0]["detail"].as_str().expect("words");
        assert!(detail.contains(expect), "{detail}");
    };
    check("user_feed_data_2024052708000.json", "13 digits");
    check(
        "user_feed_data_20240527080000.json.zip",
        "name it `user_feed_data_20240527080000.json`",
    );
    check("User_Feed_Header_20240527080000.json", "lower case");
    check("user_feed_20240527080000.json", "neither of the two files");
}

#[test]
fn check_vets_the_two_together() {
    let (gate, root) = gate_with("");
    upload_data(&root, MONDAY, r#"[{"id":"a","email":"nobody"},{"id":"b"}]"#);
    let data = root.join(data_name(MONDAY));
    let check = || gate.cli(["check", data.to_str().expect("a path")]);
    let alone = check();
    assert_eq!(alone.code, 1, "{alone}");
    assert!(alone.stdout.contains("user_feed_half"), "{alone}");
    upload_header(&root, MONDAY, HEADER);
    let both = check();
    assert!(
        both.stdout.contains("1 user would be imported; 1 entry was rejected"),
        "{both}"
    );
}

#[test]
fn a_user_feed_on_a_server_is_read_from_there() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &sshd.toml());
    upload_header(sshd.root(), MONDAY, HEADER);
    // Larger than what is read at the first look.
    let rows: Vec<String> = (0..20_000)
        .map(|id| format!(r#"{{"id":"{id}","email":"u{id}@example.com"}}"#))
        .collect();
    upload_data(sshd.root(), MONDAY, &format!("[{}]", rows.join(",\n")));
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(people(&gate, &data_name(MONDAY)).len(), 20_000);
    assert!(sshd.root().join("processed").join(data_name(MONDAY)).exists());
}
