//! More out than in, and more asked for than given: by ratio, by declared size, by overlap, by a window, by count.

use super::{FEED, Hazard, hazard, spoilt, visit};
use crate::house::archives::{self as build, Archive, Member, Method, overlapping_bomb, repeated};

const MIB: u64 = 1 << 20;

/// What a bomb may unpack to before the ratio counts; an unoptimised build has less to do, and answers the same.
const UNPACKED_BYTES: u64 = if cfg!(debug_assertions) { 256 * MIB } else { 1000 * MIB };

/// Entries that are all wrong, in a feed that is otherwise right.
const REJECTS: u64 = if cfg!(debug_assertions) { MIB } else { 16 * MIB };

/// A data file of `[`, blanks and `]`: 10 GiB, and 10 MB when packed.
fn ten_gib(data: &str) -> Member {
    repeated(data, b"[", &vec![b' '; MIB as usize], 10 * 1024, b"]")
}

/// The same, declared to be smaller than it is.
fn ten_gib_declared(data: &str, size: u64) -> Vec<u8> {
    let mut member = ten_gib(data);
    let packed = member.packed.len() as u32;
    member.both(|header| {
        header.extra.clear();
        header.compressed_size = packed;
        header.declare(size);
    });
    Archive::empty().member(member).bytes()
}

fn hazards() -> Vec<Hazard> {
    let packed = |method: u16, packed: Vec<u8>| {
        move |data: &str| {
            let member = Member::raw(data, method, packed.clone(), FEED.as_bytes());
            Archive::empty().member(member).bytes()
        }
    };
    let mut greedy_lzma = build::lzma(FEED.as_bytes(), 1 << 20);
    greedy_lzma[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        hazard("10 GiB out of 10 MB", "failed ratio", |data| {
            Archive::empty().member(ten_gib(data)).bytes()
        }),
        hazard(
            "10 GiB, declared as just what is let pass",
            "failed zip_inconsistent",
            |data| ten_gib_declared(data, UNPACKED_BYTES),
        ),
        hazard("10 GiB, declared as a kilobyte", "failed zip_inconsistent", |data| {
            ten_gib_declared(data, 1000)
        }),
        spoilt("10 GiB declared, and two events there", "failed ratio", |archive, _| {
            archive.with(|member| member.both(|header| header.declare(10 << 30)))
        }),
        spoilt("2^64-1 bytes declared", "failed too_large", |archive, _| {
            archive.with(|member| member.both(|header| header.declare(u64::MAX)))
        }),
        hazard(
            "5 GB out of 40 kB: files that share one kernel",
            "failed zip_inconsistent",
            |data| overlapping_bomb(data, 250, 20 << 20),
        ),
        spoilt(
            "one file listed five thousand times",
            "failed zip_inconsistent",
            |mut archive, _| {
                let mut again = archive.members[0].clone();
                (again.written, again.offset) = (false, Some(0));
                archive.members.extend(std::iter::repeat_n(again, 5_000));
                archive
            },
        ),
        hazard("a zip in a zip in a zip", "failed json_syntax", |data| {
            let inner = (0..20).fold(FEED.as_bytes().to_vec(), |packed, _| {
                Archive::empty().packed(Method::Deflate, data, &packed).bytes()
            });
            Archive::empty().packed(Method::Deflate, data, &inner).bytes()
        }),
        hazard(
            "millions of rejects out of some kilobytes",
            &format!("failed all_rejected, {} rejects", REJECTS + 1),
            |data| {
                let round = b"1,".repeat(MIB as usize);
                let member = repeated(data, b"[", &round, REJECTS / MIB, b"1]");
                Archive::empty().member(member).bytes()
            },
        ),
        hazard("LZMA that asks for 4 GiB", "failed zip_method", packed(14, greedy_lzma)),
        hazard(
            "xz that asks for 64 MiB",
            "failed zip_method",
            packed(95, build::xz(FEED.as_bytes(), 64 << 20)),
        ),
        hazard(
            "zstd that asks for 2 GiB",
            "failed zip_method",
            packed(93, [b"\x28\xb5\x2f\xfd\x00\xa8".to_vec(), vec![0; 64]].concat()),
        ),
    ]
}

#[test]
fn bombs_go_off_nowhere() {
    visit(&hazards());
}
