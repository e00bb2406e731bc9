//! Any text as the configuration file, and any variables over it: settings or problems come of it, and never a secret.
//!
//! Up to the first NUL the input is the file; behind it stand variables, `NAME=value`, one a line. `@SECRET@` stands for the
//! name of a file that holds a secret.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use feedgate::config::resolve::Settings;
use feedgate::config::{ConfigError, load_state_dir};

use super::may_be_shown;

/// In the file and in the variable `PW`. What is written elsewhere may be shown where it is not the value of a secret.
const SECRET: &str = "hunter2-of-fuzz";

/// The house that the file stands in, once to a process.
static HOUSE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let house = tempfile::tempdir().expect("a temporary directory");
    fs::write(house.path().join("secret"), format!("{SECRET}\n")).expect("writing the secret");
    house
});

/// Loads it, and looks at whatever is said.
pub fn run(bytes: &[u8]) {
    let input = String::from_utf8_lossy(bytes);
    if input.contains(SECRET) {
        return;
    }
    let secret = HOUSE.path().join("secret");
    let input = input.replace("@SECRET@", &secret.display().to_string());
    let (text, variables) = input.split_once('\0').unwrap_or((&input, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables: Vec<(String, String)> = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain([("PW".to_owned(), SECRET.to_owned())])
        .collect();
    let file = written(text);

    match Settings::load(Some(&file), variables.clone()) {
        Ok(settings) => {
            keeps_the_secret(&format!("{settings:?}"));
            // Whoever only looks finds the same ledger.
            let state_dir = load_state_dir(Some(&file), variables).expect("`state_dir` alone");
            assert_eq!(state_dir, settings.state_dir);
        }
        Err(error) => {
            let said = error.to_string();
            keeps_the_secret(&format!("{said} {error:?}"));
            said.lines().for_each(may_be_shown);
            let ConfigError::Wrong { problems, .. } = error else {
                panic!("it was read: {said}");
            };
            assert!(!problems.is_empty());
            let lines = text.lines().count() + 1;
            for problem in problems {
                assert!(problem.message.len() < 2_000, "{problem}");
                if let feedgate::config::Place::Line(line) = problem.place {
                    assert!((1..=lines).contains(&line), "{problem}");
                }
            }
        }
    }
}

/// The text in a file of its own for each thread, since tests share a process.
fn written(text: &str) -> PathBuf {
    let thread = format!("{:?}.toml", std::thread::current().id());
    let file = HOUSE.path().join(thread);
    fs::write(&file, text).expect("writing the configuration");
    file
}

#[track_caller]
fn keeps_the_secret(said: &str) {
    assert!(!said.contains(SECRET), "{said}");
}
