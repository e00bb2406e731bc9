//! What the partner of the demo uploads: archives good and bad, made on the spot from readable text.
//!
//! Each says in words what it is and what is to become of it, and in values what the ledger should say; the demo holds
//! one against the other. They come in waves, since some only mean something after others have been judged.

use self::feeds::{GOOD_EVENTS, HALF_BAD, LATE, SMALL_EVENTS, VENDOR, good_feed, small};
use self::packing::{Method, encrypted, pack, pack_many, spoilt};

mod feeds;
mod packing;

/// Something that a partner uploads.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The name on the server.
    pub name: &'static str,
    /// What it is, and what should become of it: a sentence or two.
    pub about: &'static str,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// How it is uploaded.
    pub upload: Upload,
    /// What should become of it.
    pub expect: Expect,
}

/// How a file comes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// Under a name that says "in progress", then renamed: as WinSCP and others do.
    Renamed,
    /// Straight under its name, in two halves with a pause between them: as a slow line does.
    Slow,
}

/// What should become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// It is not looked at.
    Ignored,
    /// It is judged.
    Judged {
        /// `processed`, `failed` or `duplicate`.
        status: &'static str,
        /// Events that this import takes in; `None`: it takes nothing in.
        imported: Option<u64>,
        /// Entries that are rejected.
        rejected: u64,
        /// Codes of the archive rules that are not observed.
        violations: &'static [&'static str],
    },
}

fn processed(imported: u64, rejected: u64) -> Expect {
    Expect::Judged {
        status: "processed",
        imported: Some(imported),
        rejected,
        violations: &[],
    }
}

fn duplicate() -> Expect {
    Expect::Judged {
        status: "duplicate",
        imported: None,
        rejected: 0,
        violations: &[],
    }
}

fn failed(imported: Option<u64>, violations: &'static [&'static str]) -> Expect {
    Expect::Judged {
        status: "failed",
        imported,
        rejected: 0,
        violations,
    }
}

/// The archive whose entries are wrong in seven ways.
pub const WITH_REJECTS: &str = "event_history_20260301083000.json.zip";
/// The vendor's example as printed.
pub const AS_PRINTED: &str = "event_history_20260301100000.json.zip";
/// The vendor's example with its comma put in.
pub const COMMA_MENDED: &str = "event_history_20260301101500.json.zip";

const GOOD: &str = "event_history_20260301080000.json.zip";
const MISNAMED_INSIDE: &str = "event_history_20260301090000.json.zip";
const CUT_SHORT: &str = "event_history_20260301093000.json.zip";

/// The name of the data file that an archive of this name must hold.
fn member(archive: &str) -> &str {
    archive.strip_suffix(".zip").unwrap_or(archive)
}

/// An archive of the right form, with this feed in it.
fn archive(name: &'static str, feed: &[u8]) -> Vec<u8> {
    pack(member(name), feed, Method::Deflate)
}

/// The waves, in order.
pub fn waves() -> [Vec<Sample>; 2] {
    [first_wave(), second_wave()]
}

fn sample(name: &'static str, bytes: Vec<u8>, expect: Expect, about: &'static str) -> Sample {
    Sample {
        name,
        about,
        bytes,
        upload: Upload::Renamed,
        expect,
    }
}

fn first_wave() -> Vec<Sample> {
    let mut samples = with_the_right_name();
    samples.extend(the_vendors_own());
    samples.extend(with_damaged_insides());
    samples.extend(by_their_names());
    samples
}

fn with_the_right_name() -> Vec<Sample> {
    let empty = "event_history_20260301081500.json.zip";
    let slow = "event_history_20260301084500.json.zip";
    let from_a_mac = "event_history_20260301091500.json.zip";
    let whole = archive(CUT_SHORT, &small(3));
    vec![
        sample(
            GOOD,
            archive(GOOD, &good_feed()),
            processed(GOOD_EVENTS, 0),
            "A day's thousand events: all is well.",
        ),
        sample(
            empty,
            archive(empty, b"[]\n"),
            processed(0, 0),
            "An empty array: nothing happened that day, and that is fine.",
        ),
        sample(
            WITH_REJECTS,
            archive(WITH_REJECTS, HALF_BAD.as_bytes()),
            processed(3, 7),
            "Ten entries, seven of them wrong in seven ways. The three good ones are imported; the receipt tells of the others.",
        ),
        Sample {
            upload: Upload::Slow,
            ..sample(
                slow,
                archive(slow, &small(0)),
                processed(SMALL_EVENTS, 0),
                "Uploaded in two halves, with a pause between them. It is not touched before it is whole.",
            )
        },
        sample(
            MISNAMED_INSIDE,
            pack("export.json", &small(1), Method::Deflate),
            failed(Some(SMALL_EVENTS), &["member_name"]),
            "The file inside is called `export.json`. Imported all the same, marked as failed, and the zip is not moved.",
        ),
        sample(
            from_a_mac,
            pack_many(&[
                (member(from_a_mac), &small(2)),
                ("__MACOSX/._event_history_20260301091500.json", b"\x00\x05\x16\x07"),
            ]),
            failed(Some(SMALL_EVENTS), &["not_one_file"]),
            "Zipped on a Mac, which adds a file of its own. Imported all the same, marked as failed, and not moved.",
        ),
        sample(
            CUT_SHORT,
            whole[..whole.len() / 2].to_vec(),
            failed(None, &["zip_truncated"]),
            "An upload that broke off in the middle. Nobody sends the rest, so it is called truncated after a while.",
        ),
    ]
}

fn the_vendors_own() -> Vec<Sample> {
    let both = "event_history_20260301103000.json.zip";
    let all_rejected = Expect::Judged {
        status: "failed",
        imported: None,
        rejected: 1,
        violations: &["all_rejected"],
    };
    vec![
        sample(
            AS_PRINTED,
            archive(AS_PRINTED, VENDOR.as_bytes()),
            failed(None, &["json_syntax"]),
            "The example from the vendor's own help page, as printed there. It is no valid JSON: a comma is missing.",
        ),
        sample(
            COMMA_MENDED,
            archive(COMMA_MENDED, feeds::comma_mended().as_bytes()),
            all_rejected,
            "The same with the comma put in. Now `businessUnit` is there twice, with different values: nobody can say which counts.",
        ),
        sample(
            both,
            archive(both, feeds::unit_mended().as_bytes()),
            processed(1, 0),
            "The same with one `businessUnit` taken out as well: now it is a feed.",
        ),
    ]
}

fn with_damaged_insides() -> Vec<Sample> {
    let lines = "event_history_20260301110000.json.zip";
    let utf16 = "event_history_20260301111500.json.zip";
    let crc = "event_history_20260301113000.json.zip";
    let secret = "event_history_20260301114500.json.zip";
    vec![
        sample(
            lines,
            archive(lines, &feeds::newline_delimited()),
            failed(None, &["not_an_array"]),
            "One object a line instead of an array: recognised for what it is, and not imported.",
        ),
        sample(
            utf16,
            archive(utf16, &feeds::utf16()),
            failed(None, &["encoding"]),
            "Saved as UTF-16 by an editor. Only UTF-8 is JSON.",
        ),
        sample(
            crc,
            spoilt(pack(member(crc), &small(4), Method::Stored)),
            failed(None, &["zip_checksum"]),
            "One digit of a price changed on the way. The JSON is still valid; the zip's checksum tells.",
        ),
        sample(
            secret,
            encrypted(archive(secret, &small(5))),
            failed(None, &["zip_encrypted"]),
            "Encrypted. Nobody here has the password.",
        ),
    ]
}

fn by_their_names() -> Vec<Sample> {
    let misnamed = pack("event_history_20260301120000.json", &small(6), Method::Deflate);
    vec![
        sample(
            "event_history_20260301120000.json (1).zip",
            misnamed.clone(),
            failed(None, &["name_malformed"]),
            "Downloaded twice and sent on by its second name. Somebody waits for this one, so it is not passed over in silence.",
        ),
        sample(
            "event_history_20260230120000.json.zip",
            misnamed.clone(),
            failed(None, &["name_timestamp"]),
            "The 30th of February.",
        ),
        sample(
            "event_history_20260301121500.json.zip.filepart",
            misnamed,
            Expect::Ignored,
            "Somebody's upload in progress, by its ending: left alone.",
        ),
        sample(
            "holiday plan.txt",
            b"March: gone fishing\n".to_vec(),
            Expect::Ignored,
            "No feed at all: left alone, and counted.",
        ),
    ]
}

/// What only means something once the first wave has been judged.
fn second_wave() -> Vec<Sample> {
    let late = "event_history_20260228230000.json.zip";
    vec![
        sample(
            GOOD,
            archive(GOOD, &good_feed()),
            duplicate(),
            "The first one again, byte for byte. Nothing is imported twice; it is put away beside the other.",
        ),
        sample(
            MISNAMED_INSIDE,
            archive(MISNAMED_INSIDE, &small(1)),
            duplicate(),
            "The one with `export.json` in it, packed anew with the right name. Its events are in already; now it is put away.",
        ),
        sample(
            CUT_SHORT,
            archive(CUT_SHORT, &small(3)),
            processed(SMALL_EVENTS, 0),
            "The one that broke off, sent again in full. Newer ones were imported before it, so it is flagged as late.",
        ),
        sample(
            late,
            archive(late, LATE),
            processed(2, 0),
            "Its name says yesterday, and it comes today: imported when it comes, and flagged as late.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_they_say() {
        let [first, second] = waves();
        for sample in first.iter().chain(&second) {
            assert!(sample.about.ends_with('.'), "{}", sample.about);
            assert!(!sample.bytes.is_empty(), "{}", sample.name);
        }
        let named = |name: &str| first.iter().find(|sample| sample.name == name).unwrap();
        assert_eq!(named(GOOD).bytes, second[0].bytes, "the duplicate has the same bytes");
        assert!(
            second[2].bytes.starts_with(&named(CUT_SHORT).bytes),
            "the truncated one is the first half of the whole"
        );
        let mut names: Vec<_> = first.iter().map(|sample| sample.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), first.len(), "no two of a wave share a name");
    }
}
