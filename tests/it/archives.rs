//! Every rule of packaging, and hostile zips: what is imported, what is refused, and what is said about it.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use feedgate::archive::{self, Contents, End, FeedName, Limits, NameClass, TAIL_BYTES, classify};
use feedgate::verdict::{Violation, ViolationCode};
use proptest::prelude::*;

use crate::house::archives::{self as build, Archive, Member, Method, Zip64, overlapping_bomb};

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
    refused(&[b"MZ stub", &honest().bytes()[..]].concat(), "self-extracting");
    refused(&[b"PK\x07\x08", &honest().bytes()[..]].concat(), "split");
    refused(&honest().but(|archive| archive.end.disk = 1).bytes(), "split");
}

#[test]
fn an_upload_cut_at_any_byte_is_neither_whole_nor_imported() {
    let zips = [
        honest(),
        honest().with(|member| member.streamed(true, false)),
        honest().but(|archive| archive.end.zip64 = Some(Zip64::default())),
        honest().but(|archive| archive.comment = b"a comment".to_vec()),
        Archive::empty().packed(Method::Stored, DATA, &honest().bytes()),
    ];
    for archive in zips {
        let whole = archive.bytes();
        assert_eq!(ends(&whole), End::Whole);
        for cut in 0..whole.len() {
            assert_eq!(ends(&whole[..cut]), End::Missing, "cut at {cut} of {}", whole.len());
            let violation = import(&whole[..cut]).expect_err("is refused");
            let expect = if cut < 4 {
                ViolationCode::ZipUnreadable
            } else {
                ViolationCode::ZipTruncated
            };
            let inside =
                archive.members[0].packed.starts_with(b"PK") && violation.code == ViolationCode::ZipInconsistent;
            assert!(violation.code == expect || inside, "cut at {cut}: {violation:?}");
        }
    }
}

#[test]
fn a_long_directory_is_read_on_up_to_one_mebibyte() {
    let with_extra = |entries: usize, len: usize| {
        let mut archive = honest();
        for number in 0..entries {
            archive = archive
                .directory(&format!("{number}/"))
                .with(|member| member.central.extra_field(9, &vec![0; len]));
        }
        archive.bytes()
    };
    imported(&with_extra(1_000, 800), FEED.as_bytes());
    let over = with_extra(20, 60_000);
    assert_eq!(
        ends(&over),
        End::Whole,
        "it is where it says; what is wrong is said by `inspect`"
    );
    refused(&over, "zip_unreadable", "more than 1 MiB");
}

#[test]
fn every_byte_belongs_to_a_member_or_a_record() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    let local = || honest().bytes()[..30 + DATA.len()].to_vec();
    refused(
        honest().but(|archive| archive.after = b"x".to_vec()),
        "1 bytes after its end record",
    );
    refused(honest().but(|archive| archive.after = honest().bytes()), "directory");
    refused(
        honest().but(|archive| archive.before_directory = b"rubbish".to_vec()),
        "7 bytes at byte",
    );
    refused(
        honest().but(|archive| archive.before_directory = local()),
        "does not list",
    );
    refused(
        honest().file("hidden.json", "[]").with(|member| member.listed = false),
        "does not list",
    );
    refused(
        Archive::of("hidden.json", "[]")
            .with(|member| member.listed = false)
            .file(DATA, FEED),
        "does not list",
    );
    refused(honest().with(|member| member.listed = false), "does not list");
    refused(honest().with(|member| member.after = vec![0; 12]), "12 bytes");
    refused(
        honest().file("missing.json", "").with(|member| member.written = false),
        "overlaps",
    );
    refused(
        honest()
            .file("elsewhere.json", "")
            .with(|member| member.offset = Some(5)),
        "overlaps",
    );
    refused(
        honest()
            .file("behind.json", "")
            .with(|member| member.offset = Some(1 << 20)),
        "behind the directory",
    );
    refused(
        honest().but(|archive| archive.comment = honest().bytes()),
        "second end record",
    );
    refused(
        honest().but(|archive| archive.comment = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat()),
        "second end record",
    );
}

#[test]
fn the_end_record_does_not_lie() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    refused(
        honest().but(|archive| archive.end.entries = Some(0)),
        "counts 0 entries",
    );
    refused(
        honest().but(|archive| archive.end.entries = Some(2)),
        "counts 2 entries",
    );
    refused(
        honest().but(|archive| archive.end.directory_size = Some(10)),
        "puts the directory",
    );
    refused(
        honest().but(|archive| archive.end.directory_offset = Some(0)),
        "puts the directory",
    );
    refused(
        honest().but(|archive| archive.end.directory_offset = Some(u64::from(u32::MAX))),
        "puts the directory",
    );
    refused(
        honest().but(|archive| (archive.end.directory_size, archive.end.directory_offset) = (Some(0), Some(148))),
        "",
    );
    let zip64 = |zip64: Zip64| honest().but(|archive| archive.end.zip64 = Some(zip64));
    refused(
        zip64(Zip64 {
            entries: Some(2),
            ..Zip64::default()
        }),
        "counts 2 entries",
    );
    refused(
        zip64(Zip64 {
            entries: Some(65_537),
            plain_says_too: true,
            ..Zip64::default()
        }),
        "disagree",
    );
    refused(
        zip64(Zip64 {
            directory_offset: Some(0),
            ..Zip64::default()
        }),
        "puts the directory",
    );
    refused(
        zip64(Zip64 {
            directory_offset: Some(u64::MAX),
            ..Zip64::default()
        }),
        "puts the directory",
    );
    refused(
        zip64(Zip64 {
            located_at: Some(0),
            ..Zip64::default()
        }),
        "locator",
    );
    refused(
        zip64(Zip64 {
            located_at: Some(u64::MAX),
            ..Zip64::default()
        }),
        "locator",
    );
}

#[test]
fn a_count_modulo_65536_is_a_lie() {
    let mut archive = honest();
    for _ in 0..65_536 {
        let mut member = Member::packed_by(Method::Stored, "", b"");
        member.written = false;
        archive.members.push(member);
    }
    // Such a directory has 3 MB at least, which is refused before it is counted.
    refused(&archive.bytes(), "zip_unreadable", "more than 1 MiB");
}

#[test]
fn local_header_and_directory_agree() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    let other_name = || DATA.replace("2019", "2018").into_bytes();
    refused(honest().with(|member| member.local.name = other_name()), "another name");
    refused(
        honest().with(|member| member.local.name = b"short".to_vec()),
        "another name",
    );
    refused(honest().with(|member| member.local.method = 0), "another method");
    refused(honest().with(|member| member.local.crc32 ^= 1), "another CRC-32");
    refused(honest().with(|member| member.local.size += 1), "other sizes");
    refused(honest().with(|member| member.local.compressed_size -= 1), "other sizes");
    refused(honest().with(|member| member.local.flags |= 1), "other flags");
    refused(honest().with(|member| member.local.flags |= 1 << 3), "other flags");
    refused(honest().with(|member| member.central.compressed_size += 1), "overlaps");
    refused(
        honest().with(|member| member.both(|header| header.compressed_size -= 1)),
        "1 bytes",
    );
    refused(
        honest().with(|member| member.both(|header| header.compressed_size += 1)),
        "overlaps",
    );
    refused(
        honest().with(|member| member.both(|header| header.compressed_size = u32::MAX)),
        "zip64 field that is not there",
    );
    let stored = || Archive::empty().packed(Method::Stored, DATA, FEED.as_bytes());
    refused(
        stored().with(|member| member.both(|header| header.size += 1)),
        "two different sizes",
    );
}

#[test]
fn zip64_fields_do_not_lie() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    let zip64 = |content: Vec<u8>| move |header: &mut build::Header| header.extra_field(1, &content);
    let numbers = |numbers: &[u64]| {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    refused(
        honest().with(|member| member.both(zip64(numbers(&[1, 1])))),
        "disagrees",
    );
    refused(
        honest().with(|member| member.both(zip64(vec![1, 2, 3]))),
        "wrong length",
    );
    refused(
        honest().with(|member| {
            member.both(|header| {
                header.sizes_in_zip64();
                header.sizes_in_zip64();
            })
        }),
        "two zip64 fields",
    );
    refused(
        honest().with(|member| {
            member.central.size = u32::MAX;
            member.central.extra_field(1, &[1, 2, 3]);
        }),
        "too short",
    );
    let len = FEED.len() as u64;
    let packed = u64::from(honest().members[0].central.compressed_size);
    refused(
        honest().with(|member| {
            member.central.compressed_size = u32::MAX;
            member.central.extra_field(1, &numbers(&[packed, len]));
        }),
        "two ways",
    );
    refused(
        honest().with(|member| member.central.extra.extend([1, 0, 200, 0])),
        "damaged extra field",
    );
}

#[test]
fn data_descriptors_do_not_lie() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    for (signature, long) in [(true, false), (false, false), (true, true), (false, true)] {
        let streamed = || honest().with(|member| member.streamed(signature, long));
        for byte in 0..streamed().members[0].after.len() {
            refused(streamed().with(|member| member.after[byte] ^= 1), "");
        }
        refused(streamed().with(|member| member.after.push(0)), "1 bytes");
        refused(
            streamed().with(|member| member.after.truncate(member.after.len() - 1)),
            "",
        );
        refused(streamed().with(|member| member.after.clear()), "descriptor");
    }
}

#[test]
fn a_name_is_there_once_unless_it_is_the_same_file() {
    lenient(&honest().file(DATA, FEED), &[("not_one_file", "2 files")], Some(FEED));
    let twice = |other: &str| refused(&honest().file(DATA, other).bytes(), "zip_inconsistent", "twice");
    twice("[]");
    twice(&FEED.replace("\"2\"", "\"3\""));
    let same_crc = honest().member(Member::packed_by(Method::Stored, DATA, FEED.as_bytes()));
    refused(&same_crc.bytes(), "zip_inconsistent", "twice");
}

#[test]
fn names_are_read_in_one_way() {
    let refused = |archive: Archive, said: &str| refused(&archive.bytes(), "zip_inconsistent", said);
    refused(Archive::of(&format!("{DATA}\0.exe"), FEED), "\\x00");
    refused(Archive::of("a\nb.json", FEED), "\\x0a");
    refused(honest().file("\x1b[2J", ""), "\\x1b[2J");
    let unicode = |name: &str, crc_of: &str| {
        let content = [
            &[1][..],
            &crc32fast::hash(crc_of.as_bytes()).to_le_bytes(),
            name.as_bytes(),
        ]
        .concat();
        move |header: &mut build::Header| header.extra_field(0x7075, &content)
    };
    refused(
        honest().with(|member| member.both(unicode("other.json", DATA))),
        "Unicode Path",
    );
    refused(
        honest().with(|member| unicode("other.json", DATA)(&mut member.local)),
        "Unicode Path",
    );
    refused(
        honest().with(|member| member.both(unicode("other.json", "stale"))),
        "Unicode Path",
    );
    refused(
        Archive::of("größe", FEED).with(|member| member.both(unicode(DATA, "größe"))),
        "Unicode Path",
    );
}

#[test]
fn the_data_file_is_a_plain_file() {
    let mode = |mode: u32| honest().with(|member| member.attributes = mode << 16).bytes();
    refused(&mode(0o120_777), "zip_inconsistent", "symbolic link");
    refused(&mode(0o040_755), "zip_inconsistent", "directory by its attributes");
    // A pipe, as packers note that read from standard input; no kind at all, as old ones do.
    imported(&mode(0o010_600), FEED.as_bytes());
    imported(&mode(0o644), FEED.as_bytes());
    let link_beside = honest()
        .file("link", DATA)
        .with(|member| member.attributes = 0o120_777 << 16);
    lenient(&link_beside, &[("not_one_file", "`link`")], Some(FEED));
}

#[test]
fn encryption_is_named_where_it_matters() {
    let flagged = |flags: u16| {
        honest()
            .with(|member| member.both(|header| header.flags |= flags))
            .bytes()
    };
    refused(&flagged(1), "zip_encrypted", "without a password");
    refused(&flagged(1 | 1 << 6), "zip_encrypted", "without a password");
    refused(&flagged(1 << 6), "zip_encrypted", "without a password");
    let masked = honest().with(|member| {
        member.both(|header| header.flags |= 1 | 1 << 6 | 1 << 13);
        (member.local.crc32, member.local.size) = (0, 0);
    });
    refused(&masked.bytes(), "zip_encrypted", "without a password");
    let aes = honest().with(|member| member.both(|header| (header.flags, header.method, header.crc32) = (1, 99, 0)));
    refused(&aes.bytes(), "zip_encrypted", "without a password");
    let beside = honest()
        .file("secret.txt", "x")
        .with(|member| member.both(|header| header.flags |= 1));
    lenient(&beside, &[("not_one_file", "`secret.txt`")], Some(FEED));
}

#[test]
fn other_methods_are_refused_by_name_where_they_matter() {
    let method = |method: u16| honest().with(|member| member.both(|header| header.method = method));
    refused(&method(98).bytes(), "zip_method", "ppmd");
    refused(&method(6).bytes(), "zip_method", "implode");
    refused(&method(4711).bytes(), "zip_method", "4711");
    let patch = honest().with(|member| member.both(|header| header.flags |= 1 << 5));
    refused(&patch.bytes(), "zip_method", "patch");
    let beside = honest()
        .file("old.txt", "x")
        .with(|member| member.both(|header| header.method = 6));
    lenient(&beside, &[("not_one_file", "`old.txt`")], Some(FEED));
}

#[test]
fn an_lzma_stream_ends_at_its_marker_where_it_has_one() {
    let marked = |packed: Vec<u8>, size: i64| {
        let mut member = Member::raw(DATA, 14, packed, FEED.as_bytes());
        member.both(|header| header.flags |= 2);
        member.both(|header| header.size = (i64::from(header.size) + size) as u32);
        Archive::empty().member(member).bytes()
    };
    let packed = build::lzma_with_marker(FEED.as_bytes());
    imported(&marked(packed.clone(), 0), FEED.as_bytes());
    refused(&marked(packed.clone(), 1), "zip_inconsistent", "less than");
    refused(&marked(packed.clone(), -1), "zip_inconsistent", "more than");
    refused(
        &marked([&packed[..], b"hidden"].concat(), 0),
        "zip_inconsistent",
        "6 bytes behind",
    );
    refused(
        &marked(Method::Lzma.pack(FEED.as_bytes()), 0),
        "zip_unreadable",
        "damaged",
    );
}

/// One zstd frame with a window of `1 << log` bytes.
fn zstd_frame(data: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("into memory");
    encoder.window_log(log).expect("a valid window");
    std::io::Write::write_all(&mut encoder, data).expect("into memory");
    encoder.finish().expect("into memory")
}

#[test]
fn a_window_over_8_mib_is_refused_before_it_is_given() {
    let data = FEED.as_bytes();
    let of = |method: Method, packed: Vec<u8>| {
        Archive::empty()
            .member(Member::raw(DATA, method.number(), packed, data))
            .bytes()
    };
    imported(&of(Method::Lzma, build::lzma(data, 8 << 20)), data);
    imported(&of(Method::Xz, build::xz(data, 8 << 20)), data);
    imported(&of(Method::Zstd, zstd_frame(data, 23)), data);
    // The header is what is judged: the rest of the stream need not even be one.
    let mut lzma = build::lzma(data, 8 << 20);
    lzma[5..9].copy_from_slice(&(256u32 << 20).to_le_bytes());
    refused(&of(Method::Lzma, lzma), "zip_method", "268435456");
    let xz_stream = build::xz(data, 16 << 20);
    refused(&of(Method::Xz, xz_stream), "zip_method", "16777216");
    refused(&of(Method::Zstd, zstd_frame(data, 27)), "zip_method", "134217728");
    let single_segment = [b"\x28\xb5\x2f\xfd\xe0".to_vec(), (1u64 << 30).to_le_bytes().to_vec()].concat();
    refused(&of(Method::Zstd, single_segment), "zip_method", "1073741824");
}

#[test]
fn a_window_that_grows_later_is_refused_there() {
    let twice = [FEED, FEED].concat();
    let frames = [zstd_frame(FEED.as_bytes(), 20), zstd_frame(FEED.as_bytes(), 27)].concat();
    let zip = |packed: Vec<u8>| {
        Archive::empty()
            .member(Member::raw(DATA, 93, packed, twice.as_bytes()))
            .bytes()
    };
    refused(&zip(frames), "zip_method", "later on");
    let small = [zstd_frame(FEED.as_bytes(), 20), zstd_frame(FEED.as_bytes(), 20)].concat();
    imported(&zip(small), twice.as_bytes());
    let skippable = [
        b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(),
        zstd_frame(twice.as_bytes(), 27),
    ]
    .concat();
    refused(&zip(skippable), "zip_method", "later on");
}

#[test]
fn declared_sizes_are_not_believed() {
    for method in Method::ALL {
        let zip = |declared: i64| {
            let sized = |header: &mut build::Header| header.size = (i64::from(header.size) + declared) as u32;
            Archive::empty()
                .packed(method, DATA, FEED.as_bytes())
                .with(|member| member.both(sized))
                .bytes()
        };
        if method == Method::Stored {
            continue; // there the two sizes already disagree
        }
        for declared in [-10, -1] {
            // What an LZMA stream has too much may also look like rubbish behind it.
            let said = if method == Method::Lzma { "" } else { "more than" };
            refused(&zip(declared), "zip_inconsistent", said);
        }
        let violation = import(&zip(1)).expect_err("is refused");
        let expect = [ViolationCode::ZipInconsistent, ViolationCode::ZipUnreadable];
        assert!(expect.contains(&violation.code), "{method:?}: {violation:?}");
    }
}

#[test]
fn nothing_hides_behind_the_packed_data() {
    for method in Method::ALL {
        let mut packed = method.pack(FEED.as_bytes());
        packed.extend(b"hidden");
        let violation = import(
            &Archive::empty()
                .member(Member::raw(DATA, method.number(), packed, FEED.as_bytes()))
                .bytes(),
        )
        .expect_err("is refused");
        let expect = [ViolationCode::ZipInconsistent, ViolationCode::ZipUnreadable];
        assert!(expect.contains(&violation.code), "{method:?}: {violation:?}");
    }
}

#[test]
fn damaged_data_is_found_by_its_decoder_or_its_crc() {
    let wrong = honest().with(|member| member.both(|header| header.crc32 ^= 1));
    refused(&wrong.bytes(), "zip_checksum", "damaged on the way");
    let garbled = honest().with(|member| member.packed[3] ^= 0xff);
    assert!(import(&garbled.bytes()).is_err());
    for method in Method::ALL.into_iter().skip(1) {
        let packed = method.pack(FEED.as_bytes());
        for cut in 0..packed.len() {
            let member = Member::raw(DATA, method.number(), packed[..cut].to_vec(), FEED.as_bytes());
            assert!(
                import(&Archive::empty().member(member).bytes()).is_err(),
                "{method:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn declared_sizes_are_held_against_the_limits_first() {
    let check = |limits: Limits, code: &str| {
        let violation = import_within(&honest().bytes(), &limits).expect_err("is refused");
        assert_eq!(violation.code.as_str(), code);
    };
    check(
        Limits {
            unpacked_bytes: FEED.len() as u64 - 1,
            ratio: 200,
        },
        "too_large",
    );
    assert!(
        import_within(
            &honest().bytes(),
            &Limits {
                unpacked_bytes: FEED.len() as u64,
                ratio: 0
            }
        )
        .is_ok()
    );
    // Declared in zip64, so that no such file is needed: 10 GiB out of a hundred bytes.
    let bomb = honest().with(|member| {
        member.both(|header| {
            header.sizes_in_zip64();
            let at = header.extra.len() - 16;
            header.extra[at..at + 8].copy_from_slice(&(10u64 << 30).to_le_bytes());
        });
    });
    refused(&bomb.bytes(), "ratio", "over 200 times");
}

/// A bomb of zeros: 64 MiB of deflate out of 64 kB, as often as wanted, without ever being in memory.
#[test]
fn a_bomb_that_declares_little_ends_at_what_it_declares() {
    let zeros = vec![0; 64 << 20];
    let member = Member::raw(DATA, 8, Method::Deflate.pack(&zeros), &zeros);
    let small = |member: &Member, size: u32| {
        let mut member = member.clone();
        member.both(|header| header.size = size);
        Archive::empty().member(member).bytes()
    };
    refused(&small(&member, 1_000), "zip_inconsistent", "more than the 1000 bytes");
    let honest = Archive::empty().member(member).bytes();
    let violation = import_within(
        &honest,
        &Limits {
            unpacked_bytes: 1 << 20,
            ratio: 200,
        },
    )
    .expect_err("is refused");
    assert_eq!(violation.code, ViolationCode::TooLarge);
}

#[test]
fn overlapping_bombs_are_refused_before_anything_is_unpacked() {
    let bomb = overlapping_bomb(".json", 50, 1 << 20);
    refused(&bomb, "zip_inconsistent", "overlaps");
}

#[test]
fn limits_count_again_while_unpacking() {
    let bytes = honest().bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let member = contents.member.expect("a member");
    let small = Limits {
        unpacked_bytes: 10,
        ratio: 200,
    };
    assert!(matches!(
        archive::open(Cursor::new(&bytes), &member, &small),
        Err(archive::Error::Fault(violation)) if violation.code == ViolationCode::TooLarge
    ));
}

#[test]
fn what_is_opened_is_what_was_inspected() {
    let bytes = honest().bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let member = contents.member.expect("a member");
    let other = Archive::of(DATA, "[{\"event\":\"other\",\"id\":\"9\"}]").bytes();
    assert!(archive::open(Cursor::new(&other), &member, &LIMITS).is_err());
    let renamed = Archive::of(&DATA.replace("2019", "2018"), FEED).bytes();
    assert!(archive::open(Cursor::new(&renamed), &member, &LIMITS).is_err());
}

/// A disk that fails behind a byte.
struct Failing<'a>(Cursor<&'a [u8]>, u64);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.position() >= self.1 {
            true => Err(io::Error::from_raw_os_error(5)),
            false => {
                let room = ((self.1 - self.0.position()) as usize).min(buffer.len());
                self.0.read(&mut buffer[..room])
            }
        }
    }
}

impl Seek for Failing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn trouble_of_the_disk_is_not_the_archives_fault() {
    let bytes = honest().bytes();
    let size = bytes.len() as u64;
    let failing = |at: u64| Failing(Cursor::new(&bytes[..]), at);
    let inspected = archive::inspect(&mut failing(20), size, &name(), &LIMITS);
    assert!(matches!(inspected, Err(archive::Error::Io(_))));
    let member = archive::inspect(&mut failing(size), size, &name(), &LIMITS)
        .expect("no fault")
        .member;
    assert!(matches!(
        archive::open(failing(20), &member.expect("a member"), &LIMITS),
        Err(archive::Error::Io(_))
    ));
}

/// A disk that is well until the bytes of the data are read in earnest.
struct FailingLater<'a>(Cursor<&'a [u8]>, u64, u32);

impl Read for FailingLater<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.position() == self.1 {
            self.2 = self.2.saturating_sub(1);
            if self.2 == 0 {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        self.0.read(buffer)
    }
}

impl Seek for FailingLater<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn trouble_of_the_disk_while_unpacking_is_not_the_archives_fault() {
    for method in Method::ALL {
        let bytes = Archive::empty().packed(method, DATA, FEED.as_bytes()).bytes();
        let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS);
        let member = contents.expect("no fault").member.expect("a member");
        // The first read there looks at the window, the second begins to unpack.
        let disk = FailingLater(Cursor::new(&bytes), member.data_offset, 2);
        let error = match archive::open(disk, &member, &LIMITS) {
            Ok(mut reader) => reader.read_to_end(&mut Vec::new()).expect_err("the disk is gone"),
            Err(archive::Error::Io(error)) => error,
            Err(archive::Error::Fault(violation)) => panic!("{method:?}: {violation:?}"),
        };
        assert!(archive::fault_in(&error).is_none(), "{method:?}: {error:?}");
        assert!(error.to_string().contains("the disk is gone"), "{method:?}: {error:?}");
    }
}

#[test]
fn a_fault_is_recognised_through_wrapping_and_said_again() {
    let bytes = honest().with(|member| member.both(|header| header.crc32 ^= 1)).bytes();
    let contents = archive::inspect(&mut Cursor::new(&bytes), bytes.len() as u64, &name(), &LIMITS).expect("no fault");
    let mut reader = archive::open(Cursor::new(&bytes), &contents.member.expect("a member"), &LIMITS).expect("opens");
    let mut data = Vec::new();
    let error = reader.read_to_end(&mut data).expect_err("a wrong CRC-32");
    assert_eq!(data, FEED.as_bytes(), "what was read before the fault");
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
    assert_eq!(
        archive::fault_in(&wrapped).expect("a fault").code,
        ViolationCode::ZipChecksum
    );
    let again = reader.read(&mut [0; 10]).expect_err("nobody reads past a fault");
    assert!(archive::fault_in(&again).is_some());
    assert!(archive::fault_in(&io::Error::other("the disk's")).is_none());
    assert!(archive::fault_in(&io::ErrorKind::NotFound.into()).is_none());
}

#[test]
fn a_single_wrong_byte_never_imports_other_data() {
    let zips = Method::ALL.map(|method| Archive::empty().packed(method, DATA, FEED.as_bytes()));
    let streamed = honest().with(|member| member.streamed(true, false));
    let zip64 = honest().with(|member| member.both(|header| header.sizes_in_zip64()));
    let zip64 = zip64.but(|archive| archive.end.zip64 = Some(Zip64::default()));
    for archive in zips.into_iter().chain([streamed, zip64]) {
        let whole = archive.bytes();
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let said = ends(&bytes);
                assert!(matches!(said, End::Whole | End::Missing));
                if let Ok((_, Some(data))) = import(&bytes) {
                    assert!(
                        data == FEED.as_bytes(),
                        "byte {at} changed by {change:02x} imports other data"
                    );
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(data in proptest::collection::vec(any::<u8>(), 0..5_000), method in 0..6_usize) {
        let bytes = Archive::empty().packed(Method::ALL[method], DATA, &data).bytes();
        let (_, got) = import(&bytes).expect("no fault");
        prop_assert_eq!(got, Some(data));
    }

    #[test]
    fn rubbish_between_good_records_never_panics(
        at in 0..400_usize,
        rubbish in proptest::collection::vec(any::<u8>(), 1..60),
        insert in any::<bool>(),
    ) {
        let mut bytes = honest().with(|member| member.streamed(true, true)).file("b", "b").bytes();
        let at = at.min(bytes.len());
        let end = if insert { at } else { (at + rubbish.len()).min(bytes.len()) };
        bytes.splice(at..end, rubbish);
        ends(&bytes);
        if let Ok((_, Some(data))) = import(&bytes) {
            prop_assert_eq!(data, FEED.as_bytes());
        }
    }

    #[test]
    fn pure_rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), as_zip in any::<bool>()) {
        let bytes = if as_zip { [b"PK\x03\x04", &bytes[..], b"PK\x05\x06", &[0; 18]].concat() } else { bytes };
        ends(&bytes);
        prop_assert!(import(&bytes).is_err() || bytes.starts_with(b"PK\x05\x06"));
    }

    #[test]
    fn any_name_is_classified_and_explained(name in "(event_history_?)?.{0,40}") {
        if let NameClass::NearMiss(violation) = classify(&name) {
            prop_assert!(!violation.detail.chars().any(char::is_control));
        }
    }
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
