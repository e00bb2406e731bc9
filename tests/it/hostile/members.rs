//! Members that are not what they seem: by name, by kind, by method, by encryption; and data that is not what was packed.

use super::{FEED, Hazard, hazard, spoilt, visit};
use crate::house::archives::{Archive, Member, Method, lzma_with_marker};

fn names() -> Vec<Hazard> {
    let named = |what: &str, answer: &str, name: fn(&str) -> String| {
        hazard(what, answer, move |data| Archive::of(&name(data), FEED).bytes())
    };
    let beside = |what: &str, answer: &str, name: fn(&str) -> String| {
        spoilt(what, answer, move |archive, data| archive.file(&name(data), "[]"))
    };
    let lenient = "failed member_name, 2 events";
    let two = "failed not_one_file, 2 events";
    vec![
        named("an absolute name", lenient, |data| format!("/{data}")),
        named("a name that leads out", lenient, |data| format!("../../../etc/{data}")),
        named("a drive's name", lenient, |data| format!("C:\\{data}")),
        named("a device's name", lenient, |_| "CON".to_owned()),
        named("a folder", lenient, |data| format!("export/{data}")),
        named("a folder, as old Windows packers write it", lenient, |data| {
            format!("export\\{data}")
        }),
        named("a blank at the end", lenient, |data| format!("{data} ")),
        named("a dot at the end", lenient, |data| format!("{data}.")),
        named("upper case", lenient, str::to_uppercase),
        named("a text that runs backwards", lenient, |_| "\u{202e}nosj.x".to_owned()),
        named("no name", lenient, |_| String::new()),
        named("a name of 60,000 characters", lenient, |_| "x".repeat(60_000)),
        named("a NUL in the name", "failed zip_inconsistent", |data| {
            format!("{data}\0.exe")
        }),
        named("an escape sequence in the name", "failed zip_inconsistent", |data| {
            format!("\u{1b}[2J{data}")
        }),
        named("a line break in the name", "failed zip_inconsistent", |data| {
            format!("a\n{data}")
        }),
        named("a folder's name, with data", "failed zip_inconsistent", |data| {
            format!("{data}/")
        }),
        named(
            "a folder's name in Windows, with data",
            "failed zip_inconsistent",
            |data| format!("{data}\\"),
        ),
        hazard("a name in code page 437", lenient, |_| {
            Archive::of("x", FEED)
                .with(|member| member.both(|header| header.name = b"gr\x94\xe1e.json".to_vec()))
                .bytes()
        }),
        hazard(
            "the same with its Unicode Path field, as 7-Zip on Windows writes it",
            lenient,
            |_| {
                let old = b"gr\x94\xe1e.json";
                let field = [&[1][..], &crc32fast::hash(old).to_le_bytes(), "größe.json".as_bytes()].concat();
                let name = |header: &mut crate::house::archives::Header| {
                    header.name = old.into();
                    header.extra_field(0x7075, &field);
                };
                Archive::of("x", FEED).with(|member| member.both(name)).bytes()
            },
        ),
        hazard("a name said to be UTF-8 and none", lenient, |_| {
            let odd = |header: &mut crate::house::archives::Header| {
                (header.name, header.flags) = (b"\xff\xfe.json".to_vec(), 1 << 11);
            };
            Archive::of("x", FEED).with(|member| member.both(odd)).bytes()
        }),
        beside(
            "the same in upper case, other content",
            "failed zip_inconsistent",
            str::to_uppercase,
        ),
        beside("the same in `.`, other content", "failed zip_inconsistent", |data| {
            format!("./{data}")
        }),
        beside(
            "the same at the root, other content",
            "failed zip_inconsistent",
            |data| format!("/{data}"),
        ),
        beside(
            "the same by a way back, other content",
            "failed zip_inconsistent",
            |data| format!("a/../{data}"),
        ),
        beside(
            "the same with a dot behind, other content",
            "failed zip_inconsistent",
            |data| format!("{data}."),
        ),
        beside(
            "the same with a blank behind, other content",
            "failed zip_inconsistent",
            |data| format!("{data} "),
        ),
        beside(
            "the same by backslashes, other content",
            "failed zip_inconsistent",
            |data| format!(".\\{data}"),
        ),
        beside("the same in a folder", two, |data| format!("old/{data}")),
        beside("what a Mac adds", two, |data| format!("__MACOSX/._{data}")),
        beside("another file that leads out", two, |_| {
            "../../.ssh/authorized_keys".to_owned()
        }),
        spoilt("the same in upper case, same content", two, |archive, data| {
            archive.file(&data.to_uppercase(), FEED)
        }),
        spoilt(
            "a Unicode Path field of another name",
            "failed zip_inconsistent",
            |archive, data| {
                let content = [&[1][..], &crc32fast::hash(data.as_bytes()).to_le_bytes(), b"other.json"].concat();
                archive.with(|member| member.both(|header| header.extra_field(0x7075, &content)))
            },
        ),
        spoilt(
            "a Unicode Path field of another name, out of date",
            "failed zip_inconsistent",
            |archive, _| {
                archive.with(|member| member.both(|header| header.extra_field(0x7075, b"\x01\0\0\0\0other.json")))
            },
        ),
        spoilt(
            "two Unicode Path fields, the second another name",
            "failed zip_inconsistent",
            |archive, data| {
                let sum = crc32fast::hash(data.as_bytes()).to_le_bytes();
                archive.with(|member| {
                    member.both(|header| {
                        header.extra_field(0x7075, &[&[1][..], &sum, data.as_bytes()].concat());
                        header.extra_field(0x7075, &[&[1][..], &sum, b"other.json"].concat());
                    });
                })
            },
        ),
        spoilt("a Unicode Comment field", "processed, 2 events", |archive, _| {
            archive.with(|member| {
                member.comment = b"one".to_vec();
                member.central.extra_field(0x6375, b"\x01\0\0\0\0two");
            })
        }),
        spoilt("the longest extra field", "processed, 2 events", |archive, _| {
            archive.with(|member| member.both(|header| header.extra_field(0x9999, &[7; 65_531])))
        }),
    ]
}

fn kinds() -> Vec<Hazard> {
    let mode = |what: &str, answer: &str, made_by: u8, attributes: u32| {
        spoilt(what, answer, move |archive, _| {
            archive.with(|member| (member.made_by, member.attributes) = (made_by, attributes))
        })
    };
    let refused = "failed zip_inconsistent";
    vec![
        mode("a symbolic link", refused, 3, 0o120_777 << 16),
        mode("a symbolic link from a Mac", refused, 19, 0o120_777 << 16),
        mode("a symbolic link that DOS made", refused, 0, 0o120_777 << 16),
        mode("a directory by its mode", refused, 3, 0o040_755 << 16),
        mode("a directory of DOS", refused, 0, 0x10),
        mode("a socket", refused, 3, 0o140_600 << 16),
        mode("a disk", refused, 3, 0o060_600 << 16),
        mode("a kind that nobody knows", refused, 3, 0o150_600 << 16),
        mode(
            "a pipe, as packers note that read one",
            "processed, 2 events",
            3,
            0o010_600 << 16,
        ),
        mode("a terminal, likewise", "processed, 2 events", 3, 0o020_600 << 16),
        mode("no kind at all", "processed, 2 events", 0, 0),
        mode(
            "a file with all bits of its owner and sticky ones",
            "processed, 2 events",
            3,
            0o107_777 << 16,
        ),
    ]
}

fn encryption_and_methods() -> Vec<Hazard> {
    let flags = |what: &str, flags: u16| {
        spoilt(what, "failed zip_encrypted", move |archive, _| {
            archive.with(|member| member.both(|header| header.flags |= flags))
        })
    };
    let method = |what: &str, method: u16| {
        spoilt(what, "failed zip_method", move |archive, _| {
            archive.with(|member| member.both(|header| header.method = method))
        })
    };
    let mut hazards = vec![
        flags("ZipCrypto", 1),
        flags("strong encryption", 1 | 1 << 6),
        flags("strong encryption that denies it", 1 << 6),
        flags("a masked header", 1 | 1 << 13),
        spoilt("AES", "failed zip_encrypted", |archive, _| {
            archive.with(|member| {
                member.both(|header| {
                    (header.flags, header.method) = (header.flags | 1, 99);
                    header.extra_field(0x9901, b"\x02\0AE\x03\x08\0");
                });
            })
        }),
        hazard("an encrypted directory", "failed zip_encrypted", |data| {
            let honest = Archive::of(data, FEED).with(|member| member.both(|header| header.flags |= 1 | 1 << 13));
            let mut bytes = honest.bytes();
            let from = bytes
                .windows(4)
                .rposition(|four| four == b"PK\x01\x02")
                .expect("a directory");
            let to = bytes.len() - 22;
            bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x5a);
            bytes
        }),
        spoilt("a secret beside", "failed not_one_file, 2 events", |archive, _| {
            archive
                .file("secret", "x")
                .with(|member| member.both(|header| header.flags |= 1))
        }),
        spoilt("a patch", "failed zip_method", |archive, _| {
            archive.with(|member| member.both(|header| header.flags |= 1 << 5))
        }),
    ];
    for number in [1, 2, 6, 10, 18, 19, 20, 94, 96, 97, 98, 1000, 65_535] {
        hazards.push(method(&format!("method {number}"), number));
    }
    hazards
}

/// Each method, with data that is none of it, cut, followed by more, and of another size.
fn data() -> Vec<Hazard> {
    let mut hazards = Vec::new();
    for method in Method::ALL {
        let raw = move |packed: Vec<u8>, content: &'static str| {
            move |data: &str| {
                let member = Member::raw(data, method.number(), packed.clone(), content.as_bytes());
                Archive::empty().member(member).bytes()
            }
        };
        let packed = method.pack(FEED.as_bytes());
        let stored = method == Method::Stored;
        let what = |what: &str| format!("{method:?}: {what}");
        let mut noise = packed.clone();
        let (middle, len) = (noise.len() / 2, noise.len());
        noise[middle..].iter_mut().for_each(|byte| *byte = !*byte);
        hazards.push(hazard(
            &what("as it should be"),
            "processed, 2 events",
            raw(packed.clone(), FEED),
        ));
        hazards.push(hazard(
            &what("an empty file"),
            "failed json_syntax",
            raw(method.pack(b""), ""),
        ));
        if !stored {
            hazards.push(hazard(&what("no data"), "failed zip_…", raw(Vec::new(), FEED)));
            hazards.push(hazard(
                &what("half of it"),
                "failed zip_…",
                raw(packed[..len / 2].to_vec(), FEED),
            ));
        }
        hazards.push(hazard(
            &what("rubbish from its middle on"),
            "failed zip_…",
            raw(noise, FEED),
        ));
        let more = [&packed[..], b"hidden"].concat();
        hazards.push(hazard(&what("more behind it"), "failed zip_…", raw(more, FEED)));
        hazards.push(hazard(
            &what("more in it than declared"),
            "failed zip_…",
            raw(packed, "[]"),
        ));
    }
    hazards.push(hazard(
        "LZMA with a marker that is not promised",
        "failed zip_inconsistent",
        |data| {
            let packed = lzma_with_marker(FEED.as_bytes());
            Archive::empty()
                .member(Member::raw(data, 14, packed, FEED.as_bytes()))
                .bytes()
        },
    ));
    hazards.push(spoilt(
        "another CRC-32 in both headers",
        "failed zip_checksum",
        |archive, _| archive.with(|member| member.both(|header| header.crc32 ^= 1)),
    ));
    hazards
}

#[test]
fn a_name_is_read_in_one_way_and_leads_nowhere() {
    let gate = visit(&names());
    let outside = gate.dir().join("etc");
    assert!(!outside.exists(), "nothing is ever unpacked to a name");
}

#[test]
fn only_a_plain_file_that_anybody_can_read_is_imported() {
    let mut hazards = kinds();
    hazards.extend(encryption_and_methods());
    hazards.extend(data());
    visit(&hazards);
}
