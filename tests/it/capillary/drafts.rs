//! `definitions infer`: a sample archive, its draft, and the sample held against it by the importer itself.

use std::path::Path;

use crate::house::archives::Archive;
use crate::house::gate::Gate;

const DIGITS: &str = "20260202000000";

fn sample(dir: &Path, feed: &str) -> String {
    let (name, bytes) = Archive::feed(DIGITS, feed);
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("an archive");
    path.display().to_string()
}

/// Orders and views; the last entry is none that an import accepts.
fn feed() -> String {
    let orders = (0..150).map(|n| {
        let status = ["new", "paid", "sent"][n % 3];
        format!(
            r#"{{"event":"Completed Order","id":"u{n}","orderId":"O-{n}","total":{n}.50,"status":"{status}","cart":{{"products":[{{"sku":"A{n}","quantity":1}}]}}}}"#
        )
    });
    let views = (0..3).map(|n| {
        format!(r#"{{"event":"Viewed Product","email":"a{n}@example.com","businessUnit":"DE","firstName":"Ada"}}"#)
    });
    let all: Vec<String> = orders.chain(views).chain(["7".to_owned()]).collect();
    format!("[{}]", all.join(","))
}

#[test]
fn a_sample_is_accepted_against_its_own_draft() {
    let gate = Gate::new();
    let archive = sample(gate.dir(), &feed());
    let inferred = gate.cli(["definitions", "infer", &archive]);
    assert_eq!(inferred.code, 0, "{inferred}");
    let drafts = inferred.json();
    let names: Vec<&str> = drafts
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|one| one["eventName"].as_str())
        .collect();
    assert_eq!(names, ["completedOrder", "viewedProduct"]);
    for told in [
        "completedOrder: 150 entries of `Completed Order`",
        "cart.products[].sku",
        "`orderId` is always there and never twice the same",
        "may be sensitive, by their names: firstName",
        "1 entries were none that an import would accept",
    ] {
        assert!(inferred.stderr.contains(told), "{told}: {inferred}");
    }
    // As it is, it is a file of definitions.
    let dir = gate.dir().join("events");
    std::fs::create_dir(&dir).expect("the definitions' directory");
    std::fs::write(dir.join("draft.json"), &inferred.stdout).expect("definitions");
    let config = gate.config().display().to_string();
    let check = gate.cli(["check", "--config", &config, "--json", &archive]);
    let receipt = check.json();
    assert_eq!(
        (&receipt["accepted"], &receipt["rejected"]),
        (&153.into(), &1.into()),
        "{check}"
    );
    // And what the draft does not say is no part of it.
    let other = r#"[{"event":"Completed Order","id":"u","orderId":7,"total":"x","status":"lost"}]"#;
    let other = sample(gate.dir(), other);
    let receipt = gate.cli(["check", "--config", &config, "--json", &other]).json();
    assert_eq!(
        (&receipt["accepted"], &receipt["rejected"]),
        (&0.into(), &1.into()),
        "{receipt}"
    );
}

#[test]
fn one_event_and_files_of_their_own() {
    let gate = Gate::new();
    let archive = sample(gate.dir(), &feed());
    let dir = gate.dir().join("drafts");
    let dir = dir.to_str().expect("UTF-8");
    let written = gate.cli([
        "definitions",
        "infer",
        &archive,
        "--event",
        "Viewed Product",
        "--write",
        dir,
    ]);
    assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{written}");
    let files: Vec<String> = std::fs::read_dir(dir)
        .expect("the directory")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, ["viewedProduct.json"]);
    // Somebody may have mended it.
    let again = gate.cli(["definitions", "infer", &archive, "--write", dir]);
    assert_eq!(again.code, 2, "{again}");
    assert!(again.stderr.contains("is there already"), "{again}");
}

#[test]
fn a_feed_by_itself_and_what_is_none() {
    let gate = Gate::new();
    let path = gate.dir().join("feed.json");
    std::fs::write(&path, feed()).expect("a feed");
    let json = gate.cli(["definitions", "infer", path.to_str().expect("UTF-8"), "--json"]);
    assert_eq!((json.code, json.stderr.as_str()), (0, ""), "{json}");
    let seen = &json.json()[0];
    assert_eq!(
        (&seen["entries"], &seen["fields"][0]["path"]),
        (&150.into(), &"orderId".into()),
        "{json}"
    );
    let check = |args: &[&str], words: &str| {
        let output = gate.cli([&["definitions", "infer"], args].concat());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output}");
        assert!(output.stderr.contains(words), "{output}");
    };
    let archive = sample(gate.dir(), &feed());
    check(
        &[&archive, "--event", "Nobody"],
        "no entry that an import would accept is called `Nobody`",
    );
    check(&["nowhere.json"], "nowhere.json");
    check(&["."], "no regular file");
    std::fs::write(gate.dir().join("a.zip"), "x").expect("a file");
    check(&["a.zip"], "its name is no feed's");
    std::fs::write(&path, "[{").expect("a feed");
    check(&["feed.json"], "json_syntax");
    std::fs::write(&path, "[]").expect("a feed");
    check(&["feed.json"], "there is no entry");
}
