//! How much memory a decoder would need, judged from the first bytes of the data, before any decoder is built.
//!
//! A member names its window itself: 43 kB can ask an LZMA decoder for 256 MiB. What a stream asks for later on (a second
//! zstd frame, a second xz block) the decoders refuse by the same bound, see `member`.

use super::fault;
use super::records::{method_name, u16_at, u32_at, u64_at};
use crate::verdict::{Violation, ViolationCode};

/// Largest window or dictionary a member may need. Without it a small archive could fill the memory.
pub(super) const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// As many bytes as [`judge`] ever looks at: an xz stream header, and the largest block header.
pub(super) const HEAD_BYTES: u64 = 12 + 1024;

/// Whether a member of this method, whose data begins with `head`, can be unpacked within bounds.
pub(super) fn judge(method: u16, head: &[u8]) -> Result<(), Violation> {
    let window = match method {
        0 | 8 | 9 | 12 => return Ok(()), // at most 900 kB, by their nature
        14 => lzma(head),
        93 => zstd(head),
        95 => xz(head),
        _ => {
            let detail = format!(
                "the data file is packed with method {method} ({}), which is not supported: pack it with deflate",
                method_name(method)
            );
            return Err(fault(ViolationCode::ZipMethod, detail));
        }
    };
    match window {
        Need::Window(bytes) if bytes > WINDOW_BYTES_MAX => Err(too_much(method, bytes)),
        Need::Dictionary => Err(fault(
            ViolationCode::ZipMethod,
            "the data file is packed with a zstd dictionary that is not in the archive: pack it with deflate",
        )),
        // What is no such stream the decoder explains.
        Need::Window(_) | Need::Unknown => Ok(()),
    }
}

fn too_much(method: u16, bytes: u64) -> Violation {
    let detail = format!(
        "the data file is packed with {} and needs a window of {bytes} bytes; at most 8 MiB are given: pack it with deflate",
        method_name(method)
    );
    fault(ViolationCode::ZipMethod, detail)
}

/// The refusal of a stream that asks for more memory after its beginning.
pub(super) fn too_much_later(method: u16) -> Violation {
    let detail = format!(
        "the data file is packed with {} and needs a window of more than 8 MiB later on: pack it with deflate",
        method_name(method)
    );
    fault(ViolationCode::ZipMethod, detail)
}

/// What a stream asks for.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Window(u64),
    Dictionary,
    Unknown,
}

/// Version, length of the properties, properties byte, dictionary size (APPNOTE 5.8.8).
fn lzma(head: &[u8]) -> Need {
    match head.len() {
        9.. if u16_at(head, 2) == 5 => Need::Window(u64::from(u32_at(head, 5))),
        _ => Need::Unknown,
    }
}

/// The frame header (RFC 8878, 3.1.1.1). A skippable frame before it has no window.
fn zstd(head: &[u8]) -> Need {
    if head.len() < 6 || u32_at(head, 0) != 0xFD2F_B528 {
        return Need::Unknown;
    }
    let descriptor = head[4];
    let single_segment = descriptor & 0x20 != 0;
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let dictionary_at = if single_segment { 5 } else { 6 };
    let size_at = dictionary_at + dictionary_len;
    let Some(dictionary) = head.get(dictionary_at..size_at) else {
        return Need::Unknown;
    };
    if dictionary.iter().any(|&byte| byte != 0) {
        return Need::Dictionary;
    }
    if !single_segment {
        let base = 1 << (10 + (head[5] >> 3));
        return Need::Window(base + base / 8 * u64::from(head[5] & 7));
    }
    let size = &head[size_at..];
    Need::Window(match (descriptor >> 6, size.len()) {
        (0, 1..) => u64::from(size[0]),
        (1, 2..) => u64::from(u16_at(size, 0)) + 256,
        (2, 4..) => u64::from(u32_at(size, 0)),
        (3, 8..) => u64_at(size, 0),
        _ => return Need::Unknown,
    })
}

/// The first block header's LZMA2 filter (the .xz file format 1.2.1, 3.1 and 5.3.1).
fn xz(head: &[u8]) -> Need {
    const LZMA2: u64 = 0x21;
    if !head.starts_with(b"\xfd7zXZ\0") || head.len() < 14 || head[12] == 0 {
        return Need::Unknown;
    }
    let flags = head[13];
    let Some(mut rest) = head.get(14..12 + (usize::from(head[12]) + 1) * 4) else {
        return Need::Unknown;
    };
    let sizes = u8::from(flags & 0x40 != 0) + u8::from(flags & 0x80 != 0);
    for _ in 0..sizes {
        if vli(&mut rest).is_none() {
            return Need::Unknown;
        }
    }
    for _ in 0..=flags & 3 {
        let (Some(id), Some(len)) = (vli(&mut rest), vli(&mut rest)) else {
            return Need::Unknown;
        };
        let Some((properties, after)) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)) else {
            return Need::Unknown;
        };
        if let (LZMA2, &[bits]) = (id, properties) {
            return Need::Window(match bits {
                0..40 => (2 | u64::from(bits & 1)) << (bits / 2 + 11),
                _ => u64::from(u32::MAX),
            });
        }
        rest = after;
    }
    Need::Unknown
}

/// A number in the xz format: seven bits to a byte, the lowest first, at most nine bytes.
fn vli(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lzma_names_its_dictionary() {
        let check = |head: &[u8], expect: Need| assert_eq!(lzma(head), expect);
        check(b"\x09\x14\x05\0\x5d\0\0\x80\0", Need::Window(8 << 20));
        check(b"\x09\x14\x05\0\x5d\xff\xff\xff\xff", Need::Window(u64::from(u32::MAX)));
        check(b"\x09\x14\x06\0\x5d\0\0\x80\0", Need::Unknown);
        check(b"\x09\x14\x05", Need::Unknown);
    }

    #[test]
    fn zstd_names_its_window_or_its_size() {
        let check = |rest: &[u8], expect: Need| {
            assert_eq!(zstd(&[b"\x28\xb5\x2f\xfd", rest].concat()), expect, "{rest:?}");
        };
        check(&[0, 0x68], Need::Window(8 << 20));
        check(&[0, 0x69], Need::Window(9 << 20));
        check(&[0, 0xff], Need::Window((1 << 41) + 7 * (1 << 38)));
        check(&[0x20, 7], Need::Window(7));
        check(&[0x60, 0, 1], Need::Window(512));
        check(&[0xa0, 0, 0, 0, 1], Need::Window(1 << 24));
        check(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 1], Need::Window(1 << 56));
        check(&[0xe0, 0, 0], Need::Unknown);
        check(&[1, 0x68, 9], Need::Dictionary);
        check(&[1, 0x68, 0], Need::Window(8 << 20));
    }

    #[test]
    fn xz_names_its_dictionary_behind_other_filters() {
        let check = |block: &[u8], expect: Need| {
            let mut head = b"\xfd7zXZ\0\0\x04crc4".to_vec();
            head.extend(block);
            head.resize(64, 0);
            assert_eq!(xz(&head), expect, "{block:?}");
        };
        check(&[2, 0, 0x21, 1, 22], Need::Window(8 << 20));
        check(&[2, 0, 0x21, 1, 23], Need::Window(12 << 20));
        check(&[2, 0, 0x21, 1, 40], Need::Window(u64::from(u32::MAX)));
        check(&[3, 1, 0x03, 1, 0, 0x21, 1, 30], Need::Window(128 << 20));
        check(&[3, 0xc0, 0x80, 1, 5, 0x21, 1, 22], Need::Window(8 << 20));
        check(&[2, 0, 0x21, 200, 22], Need::Unknown);
        check(&[0, 0], Need::Unknown);
    }

    #[test]
    fn other_methods_are_named() {
        let check = |method: u16, part: &str| {
            let violation = judge(method, b"").expect_err("is refused");
            assert_eq!(violation.code, ViolationCode::ZipMethod);
            assert!(violation.detail.contains(part), "{}", violation.detail);
        };
        check(1, "shrink");
        check(98, "ppmd");
        check(20, "zstd, under its old number");
        check(4711, "method 4711 (unknown)");
        for method in [0, 8, 9, 12, 14, 93, 95] {
            assert_eq!(judge(method, b"rubbish that is explained later"), Ok(()));
        }
    }
}
