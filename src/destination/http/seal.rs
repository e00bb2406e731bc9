//! What lets a receiver make sure of a call.
//!
//! - `Idempotency-Key`: names the events in the call, whatever becomes of them on the way. A call that comes again, after a
//!   restart even, has the key it had; one with some of the events has another. It is the first 128 bits, in hex, of a
//!   SHA-256 over the ids, each preceded by its length in bytes as an unsigned 64-bit little-endian number.
//! - `Feedgate-Events`: how many there are.
//! - `Feedgate-Timestamp` and `Feedgate-Signature`, where there is a key: when this attempt was made, in Unix seconds, and
//!   `v1=` with the HMAC-SHA256, in hex, over that timestamp, a full stop and the body as it is on the wire. A receiver
//!   that refuses old timestamps cannot be shown the same call again by somebody else. Each attempt is signed anew.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::resolve::Secret;
use crate::destination::wire::Headers;
use crate::hex::hex;

/// Whether a header is written here, or by how the body is: none of them can be configured.
pub(super) fn is_ours(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    header.starts_with("feedgate-") || matches!(header.as_str(), "idempotency-key" | "content-encoding")
}

/// Writes the headers of one attempt. `Err` says which could not be written.
pub(super) fn put_on<'a>(
    headers: &mut Headers,
    ids: impl ExactSizeIterator<Item = &'a str>,
    body: &[u8],
    key: Option<&Secret>,
) -> Result<(), String> {
    headers.set("Feedgate-Events", &ids.len().to_string())?;
    headers.set("Idempotency-Key", &idempotency_key(ids))?;
    let Some(key) = key else {
        return Ok(());
    };
    // A clock before 1970 signs with 0, and whoever checks it says so.
    let timestamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    headers.set("Feedgate-Timestamp", &timestamp.to_string())?;
    headers.set("Feedgate-Signature", &format!("v1={}", signature(key, timestamp, body)))
}

fn idempotency_key<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update((id.len() as u64).to_le_bytes());
        hash.update(id);
    }
    hex(&hash.finalize()[..16])
}

fn signature(key: &Secret, timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).expect("any length will do for a key");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_what_they_were_yesterday() {
        // Receivers keep the one and compute the other; both were computed by another program:
        // `printf '\x02\0\0\0\0\0\0\0a1\x02\0\0\0\0\0\0\0b2' | sha256sum`, and
        // `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'key'`.
        assert_eq!(
            idempotency_key(["a1", "b2"].into_iter()),
            "be7ae7389d7a473bef7460027e38bc86"
        );
        assert_eq!(
            signature(&Secret::new("key"), 1_700_000_000, b"{\"a\":1}"),
            "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }

    #[test]
    fn other_events_give_another_key() {
        let key = |ids: &[&str]| idempotency_key(ids.iter().copied());
        assert_ne!(key(&["a", "bc"]), key(&["ab", "c"]));
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
        assert_ne!(key(&["a"]), key(&["a", "b"]));
    }

    #[test]
    fn headers_that_are_written_here() {
        let check = |header: &str, expect: bool| assert_eq!(is_ours(header), expect, "{header}");
        check("Feedgate-Signature", true);
        check("FEEDGATE-whatever", true);
        check("idempotency-key", true);
        check("Content-Encoding", true);
        check("Content-Type", false);
        check("User-Agent", false);
        check("X-Feedgate", false);
    }
}
