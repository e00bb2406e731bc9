//! The files that are shipped: they load, and `example.toml` shows every key with its default.

use std::collections::BTreeSet;
use std::path::Path;

use feedgate::config::resolve::{DestinationKind, Settings};

use super::shipped;

/// The variables that the example names.
fn variables() -> Vec<(String, String)> {
    ["ACME_PASSWORD", "BENTO_PUBLISHABLE_KEY", "BENTO_SECRET_KEY"]
        .map(|name| (name.to_owned(), "hunter2".to_owned()))
        .to_vec()
}

fn loaded(text: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("example.toml");
    std::fs::write(&path, text).unwrap();
    let mut settings = Settings::load(Some(&path), variables()).unwrap();
    // Beside a file that lies elsewhere each time.
    settings.definitions.dir = None;
    settings
}

/// The example with its last destinations switched on, as it says itself: one `#` less on each of their lines, words left
/// alone.
pub(super) fn example() -> String {
    let text = std::fs::read_to_string(shipped("example.toml")).unwrap();
    // A program that was built without Parquet would refuse it.
    let text = match cfg!(feature = "parquet") {
        true => text,
        false => text.replace("\n#format = \"parquet\"", ""),
    };
    let mut is_within = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        is_within = (is_within || line.starts_with("#[[")) && !line.starts_with('[');
        match line.strip_prefix('#') {
            Some(rest) if is_within && !rest.starts_with(' ') => lines.push(rest),
            _ => lines.push(line),
        }
    }
    lines.join("\n")
}

#[test]
fn the_shipped_files_load() {
    let plain = Settings::load(Some(&shipped("example.toml")), variables()).unwrap();
    assert_eq!(plain.sources.len(), 1);
    assert_eq!(plain.destinations.len(), 2);
    let container = Settings::load(Some(&shipped("feedgate.toml")), []).unwrap();
    assert_eq!(container.sources, []);
    assert_eq!(container.state_dir, Path::new("/var/lib/feedgate"));
    assert_eq!(container.destinations[0].kind.as_str(), "sqlite");
}

#[test]
fn what_is_switched_off_in_the_example_can_be_switched_on() {
    let kinds: Vec<&str> = loaded(&example())
        .destinations
        .iter()
        .map(|destination| destination.kind.as_str())
        .collect();
    assert_eq!(kinds, ["sqlite", "file", "file", "http", "bento", "capillary"]);
}

/// The keys in the example, those that are commented out included, by section.
fn keys_in_example() -> BTreeSet<(String, String)> {
    let text = example();
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            keys.insert((String::new(), section.clone()));
            continue;
        }
        // `#key = value` is a key that is commented out; `# words` are words.
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some((key, _)) = line.split_once(" = ")
            && !key.starts_with(' ')
        {
            keys.insert((section.clone(), key.to_owned()));
        }
    }
    keys
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let known: BTreeSet<(String, String)> = feedgate::config::keys()
        .into_iter()
        .flat_map(|(section, keys)| keys.into_iter().map(move |key| (section.to_owned(), key.to_owned())))
        .collect();
    let shown = keys_in_example();
    assert_eq!(
        known.difference(&shown).collect::<Vec<_>>(),
        [] as [&(String, String); 0],
        "not in the example"
    );
    assert_eq!(
        shown.difference(&known).collect::<Vec<_>>(),
        [] as [&(String, String); 0],
        "not known"
    );
}

/// Keys that have no default show an example instead.
const WITHOUT_DEFAULT: [&str; 38] = [
    "dir",
    "private_key_file",
    "private_key_passphrase_file",
    "private_key_passphrase_env",
    "password_file",
    "password_env",
    "known_hosts",
    "failed_dir",
    "default_business_unit",
    "max_rejected",
    "was",
    "events",
    "sources",
    "max",
    "rename",
    "ca_file",
    "bearer_file",
    "bearer_env",
    "user",
    "signing_key_file",
    "signing_key_env",
    "headers",
    "header_files",
    "statuses",
    "publishable_key_file",
    "secret_key_file",
    "currency",
    "fields",
    "profile",
    "tags",
    "set_fields",
    "actions",
    "till_code",
    "org_resolver",
    "requests_per_hour",
    "api_url",
    "token_file",
    "token_env",
];

/// The example with every commented key switched on for which `wanted` holds.
fn switched_on(wanted: impl Fn(&str) -> bool) -> String {
    let text = example();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && rest.split_once(" = ").is_some_and(|(key, _)| wanted(key)) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// With every commented key switched on, what the example says is what the program does by default.
#[test]
fn the_example_shows_the_defaults() {
    let all = switched_on(|key| !WITHOUT_DEFAULT.contains(&key));
    assert_eq!(loaded(&all), loaded(&example()));
}

/// What has no default is at least of the right form: tables of an operator's own keys among them.
#[test]
fn the_examples_of_tables_can_be_switched_on() {
    let tables = [
        "rename",
        "headers",
        "statuses",
        "currency",
        "fields",
        "profile",
        "tags",
        "set_fields",
        "actions",
        "till_code",
        "org_resolver",
        "requests_per_hour",
    ];
    let settings = loaded(&switched_on(|key| tables.contains(&key)));
    assert_eq!(
        settings.destinations[0].rename,
        [("Newsletter Signup".to_owned(), "newsletter_signup".to_owned())]
    );
    let DestinationKind::Http(http) = &settings.destinations[3].kind else {
        panic!("the fourth is an http");
    };
    assert_eq!((http.headers.len(), http.statuses.len()), (1, 1));
    let DestinationKind::Bento(bento) = &settings.destinations[4].kind else {
        panic!("the fifth is a bento");
    };
    assert_eq!(bento.currency.as_deref(), Some("EUR"));
    assert_eq!(
        (
            bento.fields.len(),
            bento.profile.len(),
            bento.tags.len(),
            bento.set_fields.len()
        ),
        (2, 1, 2, 1)
    );
    let DestinationKind::Capillary(capillary) = &settings.destinations[5].kind else {
        panic!("the sixth is a capillary");
    };
    assert_eq!(settings.destinations[0].actions, ["EIConsumer"]);
    assert_eq!(capillary.org_resolver.len(), 3);
    assert_eq!(
        (capillary.till_code.as_deref(), capillary.requests_per_hour),
        (Some("till-7"), Some(36_000))
    );
}
