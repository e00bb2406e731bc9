//! The fuzz targets, as libFuzzer calls them. What they hold stands in `tests/it/fuzz/targets`, where the ordinary tests call
//! it too, over the same corpus and for a few seconds.
//!
//! ```text
//! cargo install cargo-fuzz                                 # and a nightly toolchain
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz feed -- -rss_limit_mb=1024 -timeout=20
//! ```
//!
//! The seeds for `archive` and `feed` lie in `fixtures/`; what else a run should begin with lies in `corpus/TARGET`:
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz archive tests/fuzz/corpus/archive fixtures/archives`. To keep what a long
//! run found, have it minimised (`cargo +nightly fuzz cmin`) and add the small files. **Every input that found a fault goes
//! into the corpus for good**, named for what was wrong: from then on `cargo test` runs it each time.
//!
//! A run of the ordinary tests that is to last: `FUZZ=100000 tests/run fuzz::` (so many mutated inputs for each target; the
//! seed is printed, and `FUZZ_SEED` sets it).

#[path = "../it/fuzz/targets/mod.rs"]
pub mod targets;

mod house;
