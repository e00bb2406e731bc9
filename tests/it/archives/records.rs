//! Records that lie, and members that are not what they seem: refused before anything is unpacked.

use super::*;

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
    refused(&mode(0o160_000), "zip_inconsistent", "no regular file");
    let dos_directory = honest().with(|member| (member.made_by, member.attributes) = (0, 0x10));
    refused(
        &dos_directory.bytes(),
        "zip_inconsistent",
        "directory by its attributes",
    );
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
fn overlapping_bombs_are_refused_before_anything_is_unpacked() {
    let bomb = overlapping_bomb(".json", 50, 1 << 20);
    refused(&bomb, "zip_inconsistent", "overlaps");
}
