//! What the program is made of: licences, sources, versions, and crates that have no business here.
//!
//! The rules stand in `.deny.toml`, where `cargo deny check` reads them too; it knows the advisories besides, but has to be
//! installed and to fetch their database. This reads `Cargo.lock` and what cargo itself says, needs no network, and so is
//! never left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Where cargo's own registry is.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

fn toml(path: &str) -> Value {
    let table: toml::Table = read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::to_value(table).expect("a table without dates")
}

fn rules() -> Value {
    toml(".deny.toml")
}

/// The items of a list in the rules, each a text, or a table that names a crate.
fn listed(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item.as_str().or(item["name"].as_str()).expect("a text"))
        .collect()
}

/// What `Cargo.lock` holds, of whatever features and for whatever system.
fn locked() -> Vec<Value> {
    toml("Cargo.lock")["package"].as_array().expect("packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

/// What cargo knows of everything that is built here. For other systems nothing is fetched, and so nothing known offline.
fn built() -> Vec<Value> {
    let told = said(Command::new(tool("RUSTC", "rustc")).arg("-vV"));
    let host = told
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let metadata = said(
        Command::new(tool("CARGO", "cargo"))
            .args([
                "metadata",
                "--locked",
                "--offline",
                "--all-features",
                "--format-version",
                "1",
            ])
            .args(["--filter-platform", host])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo's JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The one that runs these tests, where it says so.
fn tool(variable: &str, name: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| name.into())
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("a program that starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_licence_is_one_that_goes_with_ours() {
    let (rules, built) = (rules(), built());
    let allowed: BTreeSet<&str> = listed(&rules["licenses"]["allow"]).into_iter().collect();
    assert!(built.len() > 100, "only {} packages", built.len());
    for package in &built {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{}: `{licence}`", package["id"]);
    }
}

#[test]
fn everything_comes_from_the_registry_with_its_checksum() {
    for package in locked().iter().filter(|package| name(package) != "feedgate") {
        assert_eq!(package["source"], REGISTRY, "{package}");
        assert_eq!(package["checksum"].as_str().map(str::len), Some(64), "{package}");
    }
}

#[test]
fn nothing_is_there_twice_without_a_reason() {
    let (rules, locked) = (rules(), locked());
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &locked {
        *versions.entry(name(package)).or_default() += 1;
    }
    let twice: Vec<&str> = versions
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(name, _)| *name)
        .collect();
    let mut known = listed(&rules["bans"]["skip"]);
    known.sort_unstable();
    assert_eq!(twice, known, "what is there twice, and what `.deny.toml` knows of");
}

/// Two cryptographic libraries are twice as many advisories: `ring` for all that is ours, OpenSSL behind libssh2.
#[test]
fn crates_that_have_no_business_here_are_not_here() {
    let (rules, locked) = (rules(), locked());
    let uses = |package: &Value, banned: &str| {
        let used = package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        // The name alone, or the name and the version.
        used.filter_map(|used| used.as_str()?.split(' ').next())
            .any(|used| used == banned)
    };
    for rule in rules["bans"]["deny"].as_array().expect("a list") {
        if let Some(wanted) = rule.get("version") {
            let wanted = wanted
                .as_str()
                .and_then(|text| text.strip_prefix('<'))
                .expect("`<` and a version");
            for package in locked.iter().filter(|package| name(package) == name(rule)) {
                let version = package["version"].as_str().expect("a version");
                assert!(
                    numbers(version) >= numbers(wanted),
                    "{} {version}: at least {wanted}",
                    name(rule)
                );
            }
            continue;
        }
        let wrappers = rule.get("wrappers").map(listed).unwrap_or_default();
        for package in locked.iter().filter(|package| uses(package, name(rule))) {
            assert!(
                wrappers.contains(&name(package)),
                "{} brings {}",
                name(package),
                name(rule)
            );
        }
    }
}

fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(['.', '-', '+']);
    parts.map_while(|part| part.parse().ok()).collect()
}

/// Fuzzed is what is built: the fuzz targets have a lock file of their own, with the same versions in it.
#[test]
fn the_fuzz_targets_are_built_from_the_same_versions() {
    let versions = |path: &str| -> BTreeSet<(String, String)> {
        let lock = toml(path);
        let packages = lock["package"].as_array().expect("packages").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        packages
            .map(|package| (text(&package["name"]), text(&package["version"])))
            .collect()
    };
    let (ours, theirs) = (versions("Cargo.lock"), versions("tests/fuzz/Cargo.lock"));
    let own = ["arbitrary", "feedgate-fuzz", "libfuzzer-sys"];
    let others: Vec<_> = theirs
        .difference(&ours)
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    assert!(
        others.is_empty(),
        "in tests/fuzz/Cargo.lock alone, copy the other and build: {others:?}"
    );
}

/// What an image is built on is named with a version, and what runs in it is nobody.
#[test]
fn the_container_is_built_on_named_versions_and_runs_as_nobody() {
    let dockerfile = read("Dockerfile");
    let bases: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .collect();
    let [build, run] = bases[..] else {
        panic!("{bases:?}");
    };
    // The oldest Rust that the manifest allows is a minor version too: an image of another is a decision.
    assert!(
        build.starts_with("rust:1.") && build.ends_with("-bookworm AS build"),
        "{build}"
    );
    assert!(run.contains("-debian12:nonroot"), "{run}");
    assert!(dockerfile.contains("\nUSER 65532:65532\n"));
    assert!(dockerfile.contains("cargo build --release --locked"));
}

/// Whether a licence expression can be met by what is allowed. A slash is what people wrote for `OR` before SPDX.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    match words.next() {
        Some("(") => {
            let met = any(words, allowed);
            met && words.next() == Some(")")
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            allowed.contains(&*format!("{licence} WITH {exception}"))
        }
        Some(licence) => allowed.contains(licence),
        None => false,
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_has_them() {
    let allowed: BTreeSet<&str> = ["MIT", "ISC", "A WITH x"].into_iter().collect();
    let check = |expression: &str, expect: bool| assert_eq!(is_allowed(expression, &allowed), expect, "{expression}");
    check("MIT", true);
    check("MIT/GPL-3.0", true);
    check("GPL-3.0 OR MIT", true);
    check("GPL-3.0 AND MIT", false);
    check("MIT AND ISC", true);
    check("(MIT OR GPL-3.0) AND ISC", true);
    check("(GPL-3.0 OR MIT) AND GPL-3.0", false);
    check("GPL-3.0 OR MIT AND ISC", true);
    check("A WITH x", true);
    check("A WITH y OR GPL-3.0", false);
    check("MIT WITH x", false);
    check("", false);
    check("MIT ISC", false);
    check("(MIT", false);
}
