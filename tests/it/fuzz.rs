//! Every fuzz target over its corpus, and over mutations of it: seconds of what `tests/fuzz` does for hours.
//!
//! The corpus is what the fuzzer found worth keeping, every input that ever found a fault, and the fixtures. `FUZZ=100000`
//! runs so many mutations for each target; the seed is printed and `FUZZ_SEED` sets it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was run, and with which seed"
)]

use std::fs;
use std::path::Path;
use std::time::Instant;

mod mutate; // an input made into another one
mod targets; // what is held, for any input

/// Mutated inputs for each target, where nobody says otherwise.
const MUTATIONS: u64 = 300;

/// Longest input: what is larger takes long and finds nothing that the smaller do not.
const BYTES_MAX: usize = 64 * 1024;

/// What a target begins with: name and bytes.
type Seed = (String, Vec<u8>);

fn seeds(target: &str) -> Vec<Seed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = match target {
        "archive" => Some("fixtures/archives"),
        "feed" => Some("fixtures/feeds"),
        _ => None,
    };
    let mut seeds = Vec::new();
    for dir in fixtures
        .into_iter()
        .map(str::to_owned)
        .chain([format!("tests/fuzz/corpus/{target}")])
    {
        for file in fs::read_dir(root.join(&dir)).unwrap_or_else(|error| panic!("reading {dir}: {error}")) {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            seeds.push((path.strip_prefix(root).unwrap().display().to_string(), bytes));
        }
    }
    seeds.sort(); // the same seed, the same run
    seeds
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: a number is wanted")),
    )
}

/// Says what was run, should it panic.
struct Running<'a>(&'a str, &'a str, Option<u64>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Running(target, name, seed) = self;
            let seed = seed.map_or(String::new(), |seed| format!(", mutated with FUZZ_SEED={seed}, FUZZ=1"));
            eprintln!("fuzz target `{target}` on {name}{seed}");
        }
    }
}

fn run(target: &str) {
    let (_, body) = targets::ALL.iter().find(|(name, _)| *name == target).expect("a target");
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "a target without a corpus finds nothing");
    for (name, bytes) in &seeds {
        let _running = Running(target, name, None);
        body(bytes);
    }
    let first = number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mutations = number("FUZZ").unwrap_or(MUTATIONS);
    let started = Instant::now();
    for seed in first..first + mutations {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (name, bytes) = &seeds[dice.usize(..seeds.len())];
        let other = &seeds[dice.usize(..seeds.len())].1;
        let mut input = mutate::mutated(bytes, other, &mut dice);
        input.truncate(BYTES_MAX);
        let _running = Running(target, name, Some(seed));
        body(&input);
    }
    println!(
        "{target}: {} inputs of the corpus, {mutations} mutated ones from seed {first}, in {:.1} s",
        seeds.len(),
        started.elapsed().as_secs_f32()
    );
}

/// A test for each target, so that they run side by side.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test_and_a_program() {
            assert_eq!(targets::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
            let manifest = include_str!("../fuzz/Cargo.toml");
            for (name, _) in targets::ALL {
                assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
            }
        }
    };
}

targets! { archive config feed names session sftp times unpack upload }
