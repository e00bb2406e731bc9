//! What is sensitive is shown to nobody: a whole run, with sensitive values in good entries, in entries that are rejected for
//! every reason, and in archives that are cut in the middle of them; and everything that it leaves behind for people searched.
//! What is delivered has all of it.

use std::fmt::Write as _;

use rusqlite::Connection;
use serde_json::Value;

use super::*;
use crate::house::gate::Output;
use crate::house::http_server::{HttpServer, Script};

const PATIENTS: &str = r#"{"eventName":"visit","actions":["EIConsumer"],"fields":[
  {"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId","valueType":"Enum"}}},
  {"name":"weight","type":"double","attributes":{"isPsiData":{"value":"true","valueType":"Boolean"}}},
  {"name":"finding","type":"string","attributes":{
     "isPsiData":{"value":"true","valueType":"Boolean"},"regex":{"value":"[A-Za-z0-9 -]+","valueType":"String"}}},
  {"name":"mood","type":"enum","attributes":{
     "isPsiData":{"value":"true","valueType":"Boolean"},"possibleValues":{"value":"Qcheerful,Qgloomy","valueType":"String"}}}],
  "feed":{"fields":{"finding":"notes[].finding","mood":"state.mood"}}}"#;

/// What of them is looked for. The mood is told by what stands in its place: the definition itself names the moods there are.
const SECRETS: [&str; 8] = [
    "98.7654",
    "Zfinding-one",
    "Zfinding-two",
    "Zweight",
    "Zmood",
    "Zfinding!",
    "Zobject",
    "Zcut",
];

const GOOD: &str = r#"{"event":"Visit","id":"1","weight":98.7654,"notes":[{"finding":"Zfinding-one"},{"finding":"Zfinding-two"}],"state":{"mood":"Qgloomy"}}"#;

const BAD: [&str; 8] = [
    r#"{"event":"Visit","id":"1","weight":"Zweight"}"#,
    r#"{"event":"Visit","id":"1","notes":[{"finding":"Zfinding!"}]}"#,
    r#"{"event":"Visit","id":"1","notes":[{"finding":{"x":"Zobject"}}]}"#,
    r#"{"event":"Visit","id":"1","state":{"mood":"Zmood"}}"#,
    r#"{"event":"Visit","id":"1","notes":"finding: Zfinding!","weight":98.7654}"#,
    // Rejected before its definition is looked at.
    r#"{"event":"Visit","weight":98.7654,"notes":[{"finding":"Zfinding-one"}]}"#,
    r#"{"event":7,"id":"1","weight":"Zweight","state":{"mood":"Qgloomy"}}"#,
    r#"{"event":"Visit","id":"1","timestamp":"never","weight":98.7654}"#,
];

#[test]
fn nobody_is_shown_what_is_sensitive() {
    let (mut gate, root) = gate_with(&[("visit.json", PATIENTS)]);
    let server = HttpServer::start();
    server.answer_with(|request| {
        let said = String::from_utf8_lossy(&request.body).into_owned();
        Script::status(422).with_body(said)
    });
    let http = format!("type = \"http\"\nurl = \"{}\"\nstart = \"oldest\"", server.url());
    gate.destination("refuses", &http);
    gate.destination("files", "type = \"file\"\ncompression = \"none\"");
    gate.destination("shown", "type = \"console\"\nstart = \"oldest\"");

    upload(&root, MONDAY, &format!("[{GOOD},{}]", BAD.join(",")));
    // Cut and spoilt at every place of the entry, a few at a time.
    let cut = GOOD.replace("98.7654", "\"Zcut\"");
    for (day, at) in (1..cut.len()).step_by(7).enumerate() {
        upload(
            &root,
            &format!("202603{:02}{:02}0000", 1 + day / 24, day % 24),
            &format!("[{}", &cut[..at]),
        );
        let spoilt = format!("[{}\"{}]", &cut[..at], &cut[at..]);
        upload(&root, &format!("202604{:02}{:02}0000", 1 + day / 24, day % 24), &spoilt);
    }
    fs::write(gate.dir().join("feed.json"), format!("[{GOOD},{}]", BAD.join(","))).unwrap();

    let mut said = String::new();
    let once = gate.cli(["once", "--log", "debug", "--log-format", "json"]);
    assert_eq!(once.code, 1, "{once}");
    // The console is a destination: what it prints is delivered.
    assert!(once.stdout.contains("98.7654"), "{once}");
    writeln!(said, "{}", once.stderr).unwrap();
    let failed = gate.status()["imports"].as_array().unwrap().len();
    assert!(failed > 30, "{failed}");
    for command in [
        "status --all",
        "status --all --json",
        "status 1",
        "status 1 --json",
        "status --destination refuses --json",
        "dead-letters refuses",
        "dead-letters refuses --json",
        "events",
        "pack feed.json",
        "pack feed.json --json",
        "definitions explain visit",
    ] {
        let Output { code, stdout, stderr } = gate.cli(command.split(' '));
        assert!(code < 2, "{command}: {stderr}");
        writeln!(said, "--- {command}\n{stdout}{stderr}").unwrap();
    }
    for id in 2..failed {
        writeln!(said, "{}", gate.cli(["status", &id.to_string(), "--json"]).stdout).unwrap();
    }
    let archive = root.join(format!("processed/event_history_{MONDAY}.json.zip"));
    writeln!(said, "{}", gate.cli(["check", archive.to_str().unwrap()])).unwrap();
    for receipt in fs::read_dir(root.join("receipts")).unwrap() {
        writeln!(said, "{}", fs::read_to_string(receipt.unwrap().path()).unwrap()).unwrap();
    }
    said += &fs::read_to_string(gate.state_dir().join("imports.jsonl")).unwrap();

    for secret in SECRETS {
        if let Some(at) = said.find(secret) {
            let from = said[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
            panic!("{secret} is shown: …{}", &said[from..(at + 40).min(said.len())]);
        }
    }
    // There was something to hide, and a reason without its value is still a reason.
    for part in [
        "\\\"***\\\"",
        "definition_field_type",
        "definition_value",
        "json_syntax",
        "***",
        "events became dead letters",
        r#""state":{"mood":"***"}"#,
    ] {
        assert!(said.contains(part), "{part}");
    }
    delivered_whole(&gate, &server);
}

/// Who asks for it sees it, and who is sent it has it.
fn delivered_whole(gate: &Gate, server: &HttpServer) {
    let good: Value = serde_json::from_str(GOOD).unwrap();
    let is_good = |text: &str| {
        let found: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(found, good);
    };
    let body = |line: &str| serde_json::from_str::<Value>(line).unwrap()["body"].to_string();
    is_good(&body(&gate.cli(["events", "--reveal"]).stdout));
    let revealed = gate.cli(["dead-letters", "refuses", "--json", "--reveal"]).json();
    is_good(revealed[0]["body"].as_str().unwrap());
    let database = Connection::open(gate.state_dir().join("events.db")).unwrap();
    is_good(
        &database
            .query_row("SELECT body FROM events", [], |row| row.get::<_, String>(0))
            .unwrap(),
    );
    is_good(&body(&String::from_utf8_lossy(&server.requests()[0].body)));
    let mut files = Vec::new();
    let mut dirs = vec![gate.state_dir().join("files")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => files.push(fs::read_to_string(path).unwrap()),
            }
        }
    }
    assert!(
        files
            .iter()
            .any(|text| text.contains("98.7654") && text.contains("Zfinding-two")),
        "{files:?}"
    );
}
