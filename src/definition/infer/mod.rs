//! A draft of definitions, from a sample of a feed.
//!
//! It says what was there: which values a feed's events have, of which types, in all of them or in some, how many different
//! ones. What it all means only people know, and so a draft is to be read and mended before anybody is held to it. All the
//! same it is sound, and the sample passes it.
//!
//! | in reading order | |
//! |---|---|
//! | `seen`, `place`, `distinct` | the sample, event by event; a place in it; how many different values |
//! | `draft`, `candidate`, `names` | what follows from that; a place that may become a field; what fields are called |
//!
//! Memory is bounded, whatever the sample: by the number of events and places that are told apart, and of values remembered.

mod candidate;
mod distinct;
mod draft;
mod names;
mod place;
mod seen;

#[cfg(test)]
mod tests;

pub use draft::{Draft, DraftField};
pub use seen::Seen;
