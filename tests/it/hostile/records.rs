//! Records that lie: of each other, of the data, of where things are.

use super::{FEED, Hazard, hazard, spoilt, visit};
use crate::house::archives::{Archive, EndRecord, Header, Member, Method, Zip64};

/// What the directory says is not what the local header says.
fn two_headers() -> Vec<Hazard> {
    let differs = |field: &str, change: fn(&mut Header)| {
        spoilt(
            &format!("the local header has another {field}"),
            "failed zip_inconsistent",
            move |archive, _| archive.with(|member| change(&mut member.local)),
        )
    };
    vec![
        differs("name", |local| local.name[0] = b'E'),
        differs("name, a longer one", |local| local.name.push(b'x')),
        differs("name, none at all", |local| local.name.clear()),
        differs("method", |local| local.method = 0),
        differs("CRC-32", |local| local.crc32 ^= 1),
        differs("CRC-32, zero", |local| local.crc32 = 0),
        differs("size", |local| local.size += 1),
        differs("packed size", |local| local.compressed_size -= 1),
        differs("size in a zip64 field", |local| {
            local.extra_field(1, &[7_u64.to_le_bytes(), 7_u64.to_le_bytes()].concat());
        }),
        differs("flag: encrypted", |local| local.flags |= 1),
        differs("flag: sizes follow the data", |local| local.flags |= 1 << 3),
        differs("flag: a patch", |local| local.flags |= 1 << 5),
        differs("flag: its header is masked", |local| local.flags |= 1 << 13),
        differs("name in a Unicode Path field", |local| {
            local.extra_field(0x7075, &[&[1][..], &[0; 4], b"other.json"].concat());
        }),
        differs("extra field, cut short", |local| local.extra = vec![1, 0, 200, 0]),
    ]
}

fn directory() -> Vec<Hazard> {
    let refused = |what: &str, spoil: fn(Archive, &str) -> Archive| spoilt(what, "failed zip_inconsistent", spoil);
    vec![
        refused("a file that the directory does not list", |archive, _| {
            archive.file("hidden.json", FEED).with(|member| member.listed = false)
        }),
        refused("the same before the one that it lists", |_, data| {
            let hidden = Archive::of(data, "[]").with(|member| member.listed = false);
            hidden.file(data, FEED)
        }),
        refused("a file that only the directory has", |archive, _| {
            archive.file("ghost.json", FEED).with(|member| member.written = false)
        }),
        refused("two entries for one local header", |archive, _| {
            archive
                .file("twin", "")
                .with(|member| (member.written, member.offset) = (false, Some(0)))
        }),
        refused("an offset into the middle of the data", |archive, _| {
            archive.with(|member| member.offset = Some(40))
        }),
        refused("an offset behind the directory", |archive, _| {
            archive.with(|member| member.offset = Some(1 << 20))
        }),
        refused("an offset of 2^32-1 without zip64", |archive, _| {
            archive.with(|member| member.offset = Some(u32::MAX))
        }),
        refused("a member on another disk", |archive, _| {
            archive.with(|member| member.disk = 1)
        }),
        refused("a gap before the directory", |archive, _| {
            archive.but(|archive| archive.before_directory = vec![0; 100])
        }),
        refused("a gap between two members", |archive, data| {
            archive.with(|member| member.after = vec![0; 100]).file(data, FEED)
        }),
        refused("the name twice, with other content", |archive, data| {
            archive.file(data, "[]")
        }),
        spoilt(
            "the name twice, with the same content",
            "failed not_one_file, 2 events",
            |archive, data| archive.file(data, FEED),
        ),
        spoilt(
            "a whole zip in a member's comment",
            "processed, 2 events",
            |archive, data| {
                let other = Archive::of(data, "[]").but(|archive| archive.end.zip64 = Some(Zip64::default()));
                archive.with(|member| member.comment = other.bytes())
            },
        ),
        hazard("no member at all", "failed not_one_file", |_| Archive::empty().bytes()),
        hazard("nothing at all", "failed zip_unreadable", |_| Vec::new()),
        hazard("two megabytes of directory", "failed zip_unreadable", |data| {
            let members = (0..40).fold(Archive::of(data, FEED), |archive, number| {
                let archive = archive.directory(&format!("{number}/"));
                archive.with(|member| member.central.extra_field(9, &[0; 50_000]))
            });
            members.bytes()
        }),
        hazard("65,536 members counted as none", "failed zip_unreadable", |_| {
            let mut archive = Archive::empty();
            let mut member = Member::packed_by(Method::Stored, "x", b"");
            for number in 0..65_536_u32 {
                (member.local.name, member.central.name) = (number.to_le_bytes().into(), number.to_le_bytes().into());
                archive.members.push(member.clone());
            }
            archive.bytes()
        }),
        hazard("twenty thousand files", "failed not_one_file, 2 events", |data| {
            let mut archive = Archive::of(data, FEED);
            archive
                .members
                .extend((0..20_000).map(|number| Member::packed_by(Method::Stored, &number.to_string(), b"")));
            archive.bytes()
        }),
    ]
}

fn ends() -> Vec<Hazard> {
    let lies = |what: &str, lie: fn(&mut EndRecord)| {
        spoilt(what, "failed zip_inconsistent", move |archive, _| {
            archive.but(|archive| lie(&mut archive.end))
        })
    };
    let lies64 = |what: &str, zip64: Zip64| {
        spoilt(what, "failed zip_inconsistent", move |archive, _| {
            archive.but(|archive| archive.end.zip64 = Some(zip64.clone()))
        })
    };
    let plain_too = || Zip64 {
        plain_says_too: true,
        ..Zip64::default()
    };
    vec![
        lies("the end counts no entry", |end| end.entries = Some(0)),
        lies("the end counts two entries", |end| end.entries = Some(2)),
        lies("the end counts two entries by way of 65,538", |end| {
            end.entries = Some(65_538)
        }),
        lies("the directory is said to be shorter", |end| {
            end.directory_size = Some(10)
        }),
        lies("the directory is said to be elsewhere", |end| {
            end.directory_offset = Some(0)
        }),
        lies("the directory is said to be beyond the end", |end| {
            end.directory_offset = Some(1 << 30)
        }),
        lies64(
            "the zip64 end counts more than the end",
            Zip64 {
                entries: Some(65_537),
                ..plain_too()
            },
        ),
        lies64(
            "the zip64 end counts more than there are",
            Zip64 {
                entries: Some(2),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end counts 2^64-1",
            Zip64 {
                entries: Some(u64::MAX),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end has another size",
            Zip64 {
                directory_size: Some(1),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end has another offset",
            Zip64 {
                directory_offset: Some(0),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end has offset 2^64-1",
            Zip64 {
                directory_offset: Some(u64::MAX),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end says another length",
            Zip64 {
                len: Some(45),
                ..Zip64::default()
            },
        ),
        lies64(
            "the zip64 end says a length of 2^64-1",
            Zip64 {
                len: Some(u64::MAX),
                ..Zip64::default()
            },
        ),
        lies64(
            "the locator points elsewhere",
            Zip64 {
                located_at: Some(0),
                ..Zip64::default()
            },
        ),
        lies64(
            "the locator points to 2^64-1",
            Zip64 {
                located_at: Some(u64::MAX),
                ..Zip64::default()
            },
        ),
        spoilt(
            "the zip64 end is on another disk",
            "failed zip_unreadable",
            |archive, _| {
                archive.but(|archive| {
                    archive.end.zip64 = Some(Zip64 {
                        disk: 1,
                        ..Zip64::default()
                    })
                })
            },
        ),
        spoilt("a locator of two disks", "failed zip_unreadable", |archive, _| {
            archive.but(|archive| {
                archive.end.zip64 = Some(Zip64 {
                    disks: Some(2),
                    ..Zip64::default()
                })
            })
        }),
        spoilt("one disk of several", "failed zip_unreadable", |archive, _| {
            archive.but(|archive| archive.end.disk = 1)
        }),
        spoilt(
            "zip64 said to be needed, and not there",
            "failed zip_inconsistent",
            |archive, _| archive.but(|archive| archive.end.directory_offset = Some(u64::from(u32::MAX))),
        ),
        spoilt(
            "a second end in the comment",
            "failed zip_inconsistent",
            |archive, _| archive.but(|archive| archive.comment = Archive::empty().bytes()),
        ),
        spoilt(
            "a whole second zip in the comment",
            "failed zip_inconsistent",
            |archive, data| archive.but(|archive| archive.comment = Archive::of(data, "[]").bytes()),
        ),
        spoilt("half an end in the comment", "processed, 2 events", |archive, _| {
            archive.but(|archive| archive.comment = b"PK\x05".to_vec())
        }),
        spoilt("the longest comment", "processed, 2 events", |archive, _| {
            archive.but(|archive| archive.comment = vec![b'-'; 65_535])
        }),
        spoilt(
            "a second zip behind the first",
            "failed zip_inconsistent",
            |archive, data| archive.but(|archive| archive.after = Archive::of(data, "[]").bytes()),
        ),
        spoilt(
            "a program before it (a self-extractor)",
            "failed zip_unreadable",
            |archive, _| archive.but(|archive| archive.before = b"MZ and more".to_vec()),
        ),
        spoilt("a picture before it", "failed zip_unreadable", |archive, _| {
            archive.but(|archive| archive.before = b"\x89PNG\r\n".to_vec())
        }),
    ]
}

fn streamed() -> Vec<Hazard> {
    let follows = |what: &str, answer: &str, change: fn(&mut Member)| {
        spoilt(what, answer, move |archive, _| archive.with(change))
    };
    vec![
        follows("a descriptor with a signature", "processed, 2 events", |member| {
            member.streamed(true, false)
        }),
        follows("a descriptor without one", "processed, 2 events", |member| {
            member.streamed(false, false)
        }),
        follows("a zip64 descriptor", "processed, 2 events", |member| {
            member.streamed(true, true)
        }),
        follows(
            "a zip64 descriptor without a signature",
            "processed, 2 events",
            |member| {
                member.streamed(false, true);
            },
        ),
        follows("a descriptor of another CRC-32", "failed zip_inconsistent", |member| {
            member.streamed(true, false);
            member.after[4] ^= 1;
        }),
        follows("a descriptor of other sizes", "failed zip_inconsistent", |member| {
            member.streamed(true, true);
            member.after[16] ^= 1;
        }),
        follows(
            "no descriptor where one is promised",
            "failed zip_inconsistent",
            |member| {
                member.streamed(true, false);
                member.after.clear();
            },
        ),
        follows(
            "a descriptor where none is promised",
            "failed zip_inconsistent",
            |member| {
                member.streamed(true, false);
                member.both(|header| header.flags &= !(1 << 3));
            },
        ),
        follows("two descriptors", "failed zip_inconsistent", |member| {
            member.streamed(true, false);
            member.after.extend(member.after.clone());
        }),
    ]
}

#[test]
fn the_directory_and_the_local_headers_are_one() {
    let mut hazards = two_headers();
    hazards.extend(directory());
    visit(&hazards);
}

#[test]
fn there_is_one_end_and_it_tells_the_truth() {
    let mut hazards = ends();
    hazards.extend(streamed());
    visit(&hazards);
}
