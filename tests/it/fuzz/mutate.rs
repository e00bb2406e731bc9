//! An input made into another one: the changes that fuzzers have found to pay, a few of them at a time.

use std::iter::repeat_with;

/// Numbers at which lengths and counts go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// `input` with one to five changes, some of them with pieces of `other`.
pub fn mutated(input: &[u8], other: &[u8], dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..dice.usize(1..=5) {
        let at = dice.usize(..=bytes.len());
        let len = dice.usize(..=16).min(bytes.len() - at);
        match dice.u8(..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.u8(..8),
            1 if at < bytes.len() => bytes[at] = dice.u8(..),
            2 => drop(bytes.drain(at..at + len)),
            3 => drop(bytes.splice(at..at, repeat_with(|| dice.u8(..)).take(len))),
            4 => bytes.truncate(at),
            // A piece said twice.
            5 => bytes.extend_from_within(at..at + len),
            // A piece of another input, in place of one or between two.
            6 if !other.is_empty() => {
                let from = dice.usize(..other.len());
                let to = from + dice.usize(..=64).min(other.len() - from);
                let end = if dice.bool() { at } else { at + len };
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            7 => {
                let edge = EDGES[dice.usize(..EDGES.len())];
                let width = [1, 2, 4, 8][dice.usize(..4)];
                let (little, big) = (edge.to_le_bytes(), edge.to_be_bytes());
                let edge = if dice.bool() {
                    &little[..width]
                } else {
                    &big[8 - width..]
                };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, edge.iter().copied());
            }
            // Two pieces change places.
            _ => bytes[at..].rotate_left(len),
        }
    }
    bytes
}
