//! The other feeds, with the real program: orders and their items, user feeds, and who goes first.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::house::archives::Archive;
use crate::house::gate::{Gate, wait_until};
use crate::house::sshd::Sshd;

mod first; // the user feed runs first
mod items; // an event for each product of an order
mod orders; // the rules of the order feed
mod users; // the two files of a user feed

/// A gate over a directory, with a database of events.
fn gate_with(keys: &str) -> (Gate, PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("the root");
    gate.source_local_with("acme", &root, keys);
    gate.destination_sqlite("events");
    (gate, root)
}

/// Uploads an archive of this name.
fn upload(root: &Path, beginning: &str, digits: &str, feed: &str) -> String {
    let inner = format!("{beginning}_{digits}.json");
    let name = format!("{inner}.zip");
    let zip = Archive::of(&inner, feed).bytes();
    fs::write(root.join(&name), zip).expect("an upload");
    name
}

fn upload_orders(root: &Path, digits: &str, feed: &str) -> String {
    upload(root, "order_history", digits, feed)
}

/// The header of a user feed with `id`, `email`, `businessUnit` and a birthday.
const HEADER: &str = r#"[{"column_name":"id","data_type":"text","is_nullable":"NO"},
 {"column_name":"email","data_type":"text","is_nullable":"YES"},
 {"column_name":"businessUnit","data_type":"text","is_nullable":"YES"},
 {"column_name":"birthday","data_type":"date","is_nullable":"YES"}]"#;

fn header_name(digits: &str) -> String {
    format!("user_feed_header_{digits}.json")
}

fn data_name(digits: &str) -> String {
    format!("user_feed_data_{digits}.json")
}

fn upload_header(root: &Path, digits: &str, header: &str) {
    fs::write(root.join(header_name(digits)), header).expect("an upload");
}

fn upload_data(root: &Path, digits: &str, data: &str) {
    fs::write(root.join(data_name(digits)), data).expect("an upload");
}

/// The codes of an import's rejects, each with its pointer, in the order of entries and reasons.
fn rejects(import: &Value) -> Vec<String> {
    let rejects = import["rejects"].as_array().expect("rejects");
    let reasons = rejects
        .iter()
        .flat_map(|reject| reject["reasons"].as_array().expect("reasons"));
    let told = reasons.map(|reason| {
        format!(
            "{}{}",
            reason["code"].as_str().unwrap_or_default(),
            reason["pointer"].as_str().unwrap_or_default()
        )
    });
    told.collect()
}

/// The codes of an import's violations.
fn violations(import: &Value) -> Vec<&str> {
    let violations = import["violations"].as_array().expect("violations");
    violations
        .iter()
        .filter_map(|violation| violation["code"].as_str())
        .collect()
}

/// What waits, and for what.
fn waiting(gate: &Gate) -> Vec<(String, String)> {
    let status = gate.status();
    let waiting = status["waiting"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    waiting
        .iter()
        .map(|one| (text(&one["archive"]), text(&one["reason"])))
        .collect()
}
