//! Every rule of packaging, and hostile zips: what is imported, what is refused, and what is said about it.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use feedgate::archive::{self, Contents, End, FeedName, Limits, NameClass, TAIL_BYTES, classify};
use feedgate::verdict::{Violation, ViolationCode};
use proptest::prelude::*;

use crate::house::archives::{self as build, Archive, Member, Method, Zip64, overlapping_bomb};

mod damage;
mod records;
mod unpacking;

const ARCHIVE: &str = "event_history_20191118170500.json.zip";
const DATA: &str = "event_history_20191118170500.json";
const FEED: &str = r#"[{"event":"order","id":"1"},{"event":"order","id":"2"}]"#;
const LIMITS: Limits = Limits {
    unpacked_bytes: 16 << 30,
    ratio: 200,
};

fn name() -> FeedName {
    match classify(ARCHIVE) {
        NameClass::Feed(name) => name,
        other => panic!("{other:?}"),
    }
}

/// What the archive holds, and the data file's bytes where there is one to import.
fn import_within(bytes: &[u8], limits: &Limits) -> Result<(Contents, Option<Vec<u8>>), Violation> {
    let fault = |error| match error {
        archive::Error::Fault(violation) => violation,
        archive::Error::Io(error) => panic!("the disk is in memory: {error}"),
    };
    let contents = archive::inspect(&mut Cursor::new(bytes), bytes.len() as u64, &name(), limits).map_err(fault)?;
    let Some(member) = &contents.member else {
        return Ok((contents, None));
    };
    let mut data = Vec::new();
    let mut reader = archive::open(Cursor::new(bytes), member, limits).map_err(fault)?;
    match reader.read_to_end(&mut data) {
        Ok(_) => Ok((contents, Some(data))),
        Err(error) => Err(archive::fault_in(&error)
            .unwrap_or_else(|| panic!("no fault: {error}"))
            .clone()),
    }
}

fn import(bytes: &[u8]) -> Result<(Contents, Option<Vec<u8>>), Violation> {
    import_within(bytes, &LIMITS)
}

/// The archive observes every rule, and its data is this.
#[track_caller]
fn imported(bytes: &[u8], data: &[u8]) {
    match import(bytes) {
        Ok((contents, got)) => {
            assert_eq!(contents.violations, []);
            assert_eq!(contents.files, [DATA]);
            assert!(got.as_deref() == Some(data), "other data");
        }
        Err(violation) => panic!("refused: {violation:?}"),
    }
    assert_eq!(ends(bytes), End::Whole, "the upload is whole");
}

/// The archive is refused with this code, and the explanation says this.
#[track_caller]
fn refused(bytes: &[u8], code: &str, said: &str) {
    match import(bytes) {
        Ok((contents, data)) => panic!("taken: {contents:?} {:?}", data.map(|data| data.len())),
        Err(violation) => {
            assert_eq!(violation.code.as_str(), code, "{violation:?}");
            assert!(
                violation.detail.contains(said),
                "`{said}` is not in: {}",
                violation.detail
            );
            assert!(violation.detail.len() < 1_000 && !violation.detail.chars().any(char::is_control));
        }
    }
}

/// The archive breaks these packaging rules, and lenient imports this data.
#[track_caller]
fn lenient(archive: &Archive, rules: &[(&str, &str)], data: Option<&str>) {
    let (contents, got) = import(&archive.bytes()).expect("no fault");
    let found: Vec<_> = contents
        .violations
        .iter()
        .map(|violation| violation.code.as_str())
        .collect();
    assert_eq!(found, rules.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    for ((_, said), violation) in rules.iter().zip(&contents.violations) {
        assert!(
            violation.detail.contains(said),
            "`{said}` is not in: {}",
            violation.detail
        );
    }
    assert_eq!(got.as_deref(), data.map(str::as_bytes));
}

/// What the end says, read as a source reads it: the tail first, then what it asks for.
fn ends(bytes: &[u8]) -> End {
    let size = bytes.len() as u64;
    let mut from = size.saturating_sub(TAIL_BYTES);
    for _ in 0..4 {
        match archive::end(&bytes[from as usize..], size) {
            End::Needs { from: earlier } => {
                assert!(
                    earlier < from && size - earlier <= 1 << 20,
                    "{earlier} of {size}, after {from}"
                );
                from = earlier;
            }
            said => return said,
        }
    }
    panic!("it never has enough");
}

fn honest() -> Archive {
    Archive::of(DATA, FEED)
}

#[test]
fn an_honest_archive_of_each_method_is_imported() {
    let long: String = (0..20_000)
        .map(|id| format!("{{\"event\":\"order\",\"id\":\"{id}\"}},\n"))
        .collect();
    for method in Method::ALL {
        for text in ["", "[]", FEED, &long] {
            imported(
                &Archive::empty().packed(method, DATA, text.as_bytes()).bytes(),
                text.as_bytes(),
            );
        }
    }
}

#[test]
fn what_honest_packers_differ_in_does_not_matter() {
    let take = |archive: Archive| imported(&archive.bytes(), FEED.as_bytes());
    take(honest().but(|archive| archive.comment = b"from your partner".to_vec()));
    take(honest().but(|archive| archive.comment = vec![b'-'; 65_535]));
    take(honest().directory("__MACOSX/").directory("empty/"));
    take(honest().but(|archive| archive.end.zip64 = Some(Zip64::default())));
    take(honest().but(|archive| {
        archive.end.zip64 = Some(Zip64 {
            plain_says_too: true,
            ..Zip64::default()
        })
    }));
    take(honest().with(|member| member.both(|header| header.sizes_in_zip64())));
    take(honest().with(|member| member.local.sizes_in_zip64()));
    take(honest().with(|member| member.local.extra_field(0x5455, b"\x03time")));
    take(honest().with(|member| member.both(|header| header.extra.extend([0, 0, 0]))));
    take(honest().with(|member| member.local.flags |= 1 << 11));
    take(
        honest()
            .with(|member| member.made_by = 0)
            .with(|member| member.attributes = 0x20),
    );
    for (signature, long) in [(true, false), (false, false), (true, true), (false, true)] {
        take(honest().with(|member| member.streamed(signature, long)));
    }
    take(honest().with(|member| member.streamed(true, true)).with(|member| {
        (member.local.size, member.local.compressed_size) = (u32::MAX, u32::MAX);
        member.local.extra_field(1, &[0; 16]);
    }));
    take(honest().with(|member| member.streamed(true, true)).with(|member| {
        (member.local.size, member.local.compressed_size) = (u32::MAX, u32::MAX);
        member.local.extra_field(1, &[0xff; 16]);
    }));
    take(honest().with(|member| {
        let mut name = vec![1];
        name.extend(crc32fast::hash(DATA.as_bytes()).to_le_bytes());
        name.extend(DATA.as_bytes());
        member.both(|header| header.extra_field(0x7075, &name));
    }));
}

#[test]
fn exactly_one_file_is_wanted() {
    lenient(&Archive::empty(), &[("not_one_file", "holds no file")], None);
    assert_eq!(ends(&Archive::empty().bytes()), End::Whole);
    let remarked = Archive::empty().but(|archive| archive.comment = b"nothing today".to_vec());
    lenient(&remarked, &[("not_one_file", "holds no file")], None);
    lenient(
        &Archive::empty().directory("a/"),
        &[("not_one_file", "holds no file")],
        None,
    );
    lenient(
        &honest().file("readme.txt", "hello"),
        &[("not_one_file", "2 files")],
        Some(FEED),
    );
    lenient(
        &honest().file("other.json", "{}"),
        &[("not_one_file", "`other.json`")],
        Some(FEED),
    );
    lenient(
        &Archive::of("readme.txt", "hello").file("Feed.JSON", FEED),
        &[("not_one_file", "`Feed.JSON`"), ("member_name", "`Feed.JSON`")],
        Some(FEED),
    );
    lenient(
        &Archive::of("a.json", "[]").file("b.json", "[]"),
        &[("not_one_file", "`a.json`, `b.json`")],
        None,
    );
    lenient(
        &Archive::of("a.txt", "").file("b.txt", ""),
        &[("not_one_file", "`a.txt`")],
        None,
    );
    lenient(
        &honest().file(&format!("__MACOSX/._{DATA}"), "resource fork"),
        &[("not_one_file", "zipped on a Mac")],
        Some(FEED),
    );
    lenient(
        &Archive::of("feed.json", FEED)
            .file("__MACOSX/._feed.json", "x")
            .file(".DS_Store", "y"),
        &[("not_one_file", "zipped on a Mac"), ("member_name", "`feed.json`")],
        Some(FEED),
    );
    let many = (0..200).fold(Archive::empty(), |archive, number| {
        archive.file(&format!("{number}.txt"), "")
    });
    lenient(&many, &[("not_one_file", "and 195 more")], None);
    assert_eq!(import(&many.bytes()).expect("no fault").0.files.len(), 100);
}

#[test]
fn the_data_file_has_the_archives_name_without_zip() {
    let named = |name: &str, said: &str| lenient(&Archive::of(name, FEED), &[("member_name", said)], Some(FEED));
    named("feed.json", "`feed.json`");
    named("event_history_20191118170501.json", "must be named");
    named(&format!("export/{DATA}"), "without folders");
    named(&format!("export\\{DATA}"), "without folders");
    named(&format!("/{DATA}"), "without folders");
    named(&format!("../../{DATA}"), "without folders");
    named(&format!("./{DATA}"), "without folders");
    named("Event_history_20191118170500.json", "upper and lower case");
    named(&format!("{DATA} "), "must be named");
    named(ARCHIVE, "zip inside a zip");
    named("größe.json", "`größe.json`");
    named("\u{202e}nosj", "\\u{202e}");
}

#[test]
fn what_is_no_zip_is_named() {
    let refused = |bytes: &[u8], said: &str| refused(bytes, "zip_unreadable", said);
    refused(b"", "empty");
    refused(b"PK", "does not begin as one");
    refused(FEED.as_bytes(), "unpacked JSON");
    refused(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip");
    refused(b"7z\xbc\xaf\x27\x1c\0\x04", "7z");
    refused(b"Rar!\x1a\x07\x01\0", "rar");
    refused(&[0; 5_000], "zeros");
    refused(
        &honest().but(|archive| archive.before = b"#!/bin/sh\n".to_vec()).bytes(),
        "before the zip",
    );
    refused(&[&Archive::empty().bytes()[..], b"more"].concat(), "before the zip");
    refused(&[Archive::empty().bytes(), honest().bytes()].concat(), "before the zip");
    refused(&[b"MZ stub", &honest().bytes()[..]].concat(), "self-extracting");
    refused(&[b"PK\x07\x08", &honest().bytes()[..]].concat(), "split");
    refused(&honest().but(|archive| archive.end.disk = 1).bytes(), "split");
}

/// The table in `fixtures/archives/README.md` is the expectation: what its third column begins with is what happens.
#[test]
fn archives_of_real_packers_end_as_their_table_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/archives");
    let table = std::fs::read_to_string(folder.join("README.md")).expect("the table");
    let data = std::fs::read(folder.join(DATA)).expect("the data file that they hold");
    let mut said = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (file, expect) = (cells[1].trim_matches('`'), cells[3]);
        let bytes = std::fs::read(folder.join(file)).expect(file);
        let outcome = match import(&bytes) {
            Ok((contents, got)) => {
                assert!(got.is_none_or(|got| got == data), "{file} holds other data");
                let codes: Vec<_> = contents
                    .violations
                    .iter()
                    .map(|violation| format!("`{}`", violation.code))
                    .collect();
                if codes.is_empty() {
                    "imported".into()
                } else {
                    codes.join(" ")
                }
            }
            Err(violation) => format!("`{}`", violation.code),
        };
        assert!(
            expect.starts_with(&outcome),
            "{file}: {outcome}, and the table says {expect}"
        );
        let whole = ends(&bytes) == End::Whole;
        assert!(whole || outcome != "imported", "{file} is not seen to be whole");
        said.push(file.to_owned());
    }
    for file in std::fs::read_dir(&folder).expect("the folder") {
        let file = file.expect("a file").file_name().into_string().expect("a plain name");
        assert!(
            !file.contains(".zip") || said.contains(&file),
            "{file} is not in the table"
        );
    }
}
