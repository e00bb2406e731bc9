//! The part of the tests' harness that the targets use.

#[path = "../it/house/archives.rs"]
pub mod archives;
