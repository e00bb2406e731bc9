//! Event definitions, through the real binary: entries held against them, files checked and explained, changes taken over
//! while it runs, and what is sensitive shown to nobody.

use std::fs;
use std::path::{Path, PathBuf};

use crate::house::archives::Archive;
use crate::house::gate::Gate;

mod commands; // list, check, explain
mod configured; // where they lie, what is wrong with them, changes while it runs
mod holding; // what an entry that breaks its definition comes to
mod sensitive; // shown to nobody: a whole run, searched

const MONDAY: &str = "20260202000000";
const TUESDAY: &str = "20260203000000";

/// A file of `fixtures/definitions`.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/definitions")
        .join(name);
    fs::read_to_string(path).expect("a fixture")
}

/// A gate with a source that is a directory, a database of events, and these definitions.
fn gate_with(definitions: &[(&str, &str)]) -> (Gate, PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("a root");
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    for (name, text) in definitions {
        define(&gate, name, text);
    }
    (gate, root)
}

/// Writes a file of definitions, as an editor does: whole and at once.
fn define(gate: &Gate, name: &str, text: &str) {
    let dir = gate.dir().join("events");
    fs::create_dir_all(&dir).expect("a directory of definitions");
    fs::write(dir.join(".new"), text).expect("writing a definition");
    fs::rename(dir.join(".new"), dir.join(name)).expect("putting a definition into place");
}

/// Uploads an archive of a feed, and says its name.
fn upload(root: &Path, digits: &str, feed: &str) -> String {
    let (name, bytes) = Archive::feed(digits, feed);
    fs::write(root.join(".new"), bytes).expect("writing an upload");
    fs::rename(root.join(".new"), root.join(&name)).expect("putting an upload into place");
    name
}
