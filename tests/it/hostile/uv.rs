//! The rules that uv put to archives in August 2025 (astral-sh/uv, pull request 15136, and the reader beneath it,
//! astral-sh/rs-async-zip), one by one: the strictest in wide use, and next to nobody's archive breaks them. Each is ours too.
//!
//! What that reader has refused since, of its own accord, and we do not: versions. Which version a member says it needs has no
//! bearing on how we read it, packers write what they like there, and nobody reads other events for it.

use super::{FEED, Hazard, spoilt, visit};
use crate::house::archives::{Archive, Member, Zip64};

fn rules() -> Vec<Hazard> {
    let refused = |rule: &str, spoil: fn(Archive, &str) -> Archive| spoilt(rule, "failed zip_inconsistent", spoil);
    let both_ways = |rule: &str, change: fn(&mut Member)| {
        let streamed = spoilt(
            &format!("{rule}, in a descriptor"),
            "failed zip_inconsistent",
            move |archive, _| {
                archive.with(|member| {
                    change(member);
                    member.streamed(true, false);
                    // The descriptor says what the local header would have said.
                    member.central.clone_from(&Archive::of("x", FEED).members[0].central);
                    member.central.name.clone_from(&member.local.name);
                    member.central.flags |= 1 << 3;
                })
            },
        );
        let plain = spoilt(rule, "failed zip_inconsistent", move |archive, _| {
            archive.with(|member| {
                let honest = member.central.clone();
                change(member);
                member.local = std::mem::replace(&mut member.central, honest);
            })
        });
        [plain, streamed]
    };
    let mut rules = vec![
        refused("one name, two contents", |archive, data| archive.file(data, "[]")),
        refused("a local header that the directory lacks", |archive, _| {
            archive.file("a.json", "[]").with(|member| member.listed = false)
        }),
        refused("an entry of the directory without a local header", |archive, _| {
            archive.file("a.json", "[]").with(|member| member.written = false)
        }),
        refused("something behind the first end", |archive, _| {
            archive.but(|archive| archive.after = b"\n".to_vec())
        }),
        refused("a zip behind the first end", |archive, _| {
            archive.but(|archive| archive.after = Archive::empty().bytes())
        }),
        refused("another offset of the directory than the true one", |archive, _| {
            archive.but(|archive| archive.end.directory_offset = Some(17))
        }),
        refused("another offset of the zip64 end than the true one", |archive, _| {
            archive.but(|archive| {
                archive.end.zip64 = Some(Zip64 {
                    located_at: Some(17),
                    ..Zip64::default()
                });
            })
        }),
        // What the reader beneath it refuses besides.
        refused("a zip64 field twice", |archive, _| {
            archive.with(|member| {
                member.both(|header| {
                    header.sizes_in_zip64();
                    header.extra_field(1, &[]);
                });
            })
        }),
        refused("a zip64 field that is too short", |archive, _| {
            archive.with(|member| {
                member.both(|header| {
                    header.size = u32::MAX;
                    header.extra_field(1, &[1, 2, 3]);
                });
            })
        }),
        refused("an extra field that leads out of the header", |archive, _| {
            archive.with(|member| member.both(|header| header.extra.extend([9, 9, 9, 0])))
        }),
        refused("a name with a NUL", |archive, _| {
            archive.with(|member| member.both(|header| header.name.push(0)))
        }),
        refused("a Unicode Path field that is no UTF-8", |archive, data| {
            let content = [&[1][..], &crc32fast::hash(data.as_bytes()).to_le_bytes(), b"\xff"].concat();
            archive.with(|member| member.both(|header| header.extra_field(0x7075, &content)))
        }),
        refused("data that runs into the next member", |archive, data| {
            archive
                .file(&format!("{data}.2"), "x")
                .with(|member| member.offset = Some(60))
        }),
        refused("a directory larger than its entries", |archive, _| {
            archive.but(|archive| archive.before_directory = vec![b'P'; 46])
        }),
    ];
    rules.extend(both_ways("another CRC-32", |member| {
        member.both(|header| header.crc32 ^= 1)
    }));
    rules.extend(both_ways("another packed size", |member| {
        member.both(|header| header.compressed_size -= 1)
    }));
    rules.extend(both_ways("another size", |member| {
        member.both(|header| header.size += 1)
    }));
    rules
}

#[test]
fn every_rule_of_uv_is_one_of_ours() {
    visit(&rules());
}
