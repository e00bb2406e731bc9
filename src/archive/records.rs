//! The records of a zip as APPNOTE 6.3 lays them out: bytes to values, each field as it stands.
//!
//! Nothing is judged here beyond "this is no such record"; what the records say of each other is `layout`'s business.

/// Signature of a local header.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Signature of a directory entry.
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// Signature of the end record.
pub(super) const END: [u8; 4] = *b"PK\x05\x06";
/// Signature of the zip64 end record.
pub(super) const END64: [u8; 4] = *b"PK\x06\x06";
/// Signature of the zip64 end locator.
pub(super) const LOCATOR: [u8; 4] = *b"PK\x06\x07";
/// Signature of a data descriptor; writers may leave it out.
pub(super) const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// Length of a local header without name and extra field.
pub(super) const LOCAL_BYTES: usize = 30;
/// Length of a directory entry without name, extra field and comment.
pub(super) const CENTRAL_BYTES: usize = 46;
/// Length of an end record without comment.
pub(super) const END_BYTES: usize = 22;
/// Length of a zip64 end record without extensible data.
pub(super) const END64_BYTES: usize = 56;
/// Length of a zip64 end locator.
pub(super) const LOCATOR_BYTES: usize = 20;

/// The value of a 32-bit field whose real value stands in a zip64 record.
pub(super) const IN_ZIP64: u32 = u32::MAX;
/// The same for 16-bit fields.
pub(super) const IN_ZIP64_SHORT: u16 = u16::MAX;

/// General purpose flags (APPNOTE 4.4.4).
pub(super) mod flags {
    /// The data is encrypted.
    pub const ENCRYPTED: u16 = 1;
    /// CRC-32 and sizes follow the data.
    pub const DESCRIPTOR: u16 = 1 << 3;
    /// The data is a patch.
    pub const PATCH: u16 = 1 << 5;
    /// Strong encryption.
    pub const STRONG: u16 = 1 << 6;
    /// The directory is encrypted, and local headers are masked.
    pub const MASKED: u16 = 1 << 13;
}

/// The 16-bit number at `at`; callers have looked at the length.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The 64-bit number at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// An end record (APPNOTE 4.3.16).
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub disk: u16,
    pub directory_disk: u16,
    pub entries_here: u16,
    pub entries: u16,
    pub directory_size: u32,
    pub directory_offset: u32,
    pub comment_len: u16,
}

impl End {
    /// The record at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<End> {
        if bytes.len() < END_BYTES || bytes[..4] != END {
            return None;
        }
        Some(End {
            disk: u16_at(bytes, 4),
            directory_disk: u16_at(bytes, 6),
            entries_here: u16_at(bytes, 8),
            entries: u16_at(bytes, 10),
            directory_size: u32_at(bytes, 12),
            directory_offset: u32_at(bytes, 16),
            comment_len: u16_at(bytes, 20),
        })
    }
}

/// A zip64 end locator (APPNOTE 4.3.15).
#[derive(Debug, Clone, Copy)]
pub(super) struct Locator {
    pub end64_disk: u32,
    pub end64_offset: u64,
    pub disks: u32,
}

impl Locator {
    /// The locator at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Locator> {
        if bytes.len() < LOCATOR_BYTES || bytes[..4] != LOCATOR {
            return None;
        }
        Some(Locator {
            end64_disk: u32_at(bytes, 4),
            end64_offset: u64_at(bytes, 8),
            disks: u32_at(bytes, 16),
        })
    }
}

/// A zip64 end record (APPNOTE 4.3.14).
#[derive(Debug, Clone, Copy)]
pub(super) struct End64 {
    /// Bytes of the record after this field.
    pub rest: u64,
    pub disk: u32,
    pub directory_disk: u32,
    pub entries_here: u64,
    pub entries: u64,
    pub directory_size: u64,
    pub directory_offset: u64,
}

impl End64 {
    /// The record at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<End64> {
        if bytes.len() < END64_BYTES || bytes[..4] != END64 {
            return None;
        }
        Some(End64 {
            rest: u64_at(bytes, 4),
            disk: u32_at(bytes, 16),
            directory_disk: u32_at(bytes, 20),
            entries_here: u64_at(bytes, 24),
            entries: u64_at(bytes, 32),
            directory_size: u64_at(bytes, 40),
            directory_offset: u64_at(bytes, 48),
        })
    }
}

/// What a directory entry and a local header both say of a member, each field as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u32,
    pub size: u32,
    pub name: &'a [u8],
    pub extra: &'a [u8],
}

/// A directory entry (APPNOTE 4.3.12).
#[derive(Debug, Clone, Copy)]
pub(super) struct Central<'a> {
    pub header: Header<'a>,
    pub disk: u16,
    pub attributes: u32,
    pub header_offset: u32,
    /// Length of the whole entry, name, extra field and comment included.
    pub len: usize,
}

impl<'a> Central<'a> {
    /// The entry at the start of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Option<Central<'a>> {
        if bytes.len() < CENTRAL_BYTES || bytes[..4] != CENTRAL {
            return None;
        }
        let name_end = CENTRAL_BYTES + usize::from(u16_at(bytes, 28));
        let extra_end = name_end + usize::from(u16_at(bytes, 30));
        let len = extra_end + usize::from(u16_at(bytes, 32));
        Some(Central {
            header: Header {
                flags: u16_at(bytes, 8),
                method: u16_at(bytes, 10),
                crc32: u32_at(bytes, 16),
                compressed_size: u32_at(bytes, 20),
                size: u32_at(bytes, 24),
                name: bytes.get(CENTRAL_BYTES..name_end)?,
                extra: bytes.get(name_end..extra_end)?,
            },
            disk: u16_at(bytes, 34),
            attributes: u32_at(bytes, 38),
            header_offset: u32_at(bytes, 42),
            len: if bytes.len() < len { return None } else { len },
        })
    }
}

/// Lengths of name and extra field in the fixed part of a local header; `None` if it is none.
pub(super) fn local_lens(fixed: &[u8; LOCAL_BYTES]) -> Option<(usize, usize)> {
    (fixed[..4] == LOCAL).then(|| (usize::from(u16_at(fixed, 26)), usize::from(u16_at(fixed, 28))))
}

/// The local header (APPNOTE 4.3.7) of this fixed part, with the name and extra field that follow it.
pub(super) fn local<'a>(fixed: &[u8; LOCAL_BYTES], name: &'a [u8], extra: &'a [u8]) -> Header<'a> {
    Header {
        flags: u16_at(fixed, 6),
        method: u16_at(fixed, 8),
        crc32: u32_at(fixed, 14),
        compressed_size: u32_at(fixed, 18),
        size: u32_at(fixed, 22),
        name,
        extra,
    }
}

/// The fields of an extra field: id and content. `None` ends it where a length leads out of it.
pub(super) fn extra_fields(mut extra: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        // Android's zipalign and a few others pad with fewer zeros than a field's header has.
        if extra.is_empty() || (extra.len() < 4 && extra.iter().all(|&byte| byte == 0)) {
            return None;
        }
        let field = (extra.len() >= 4)
            .then(|| (u16_at(extra, 0), 4 + usize::from(u16_at(extra, 2))))
            .and_then(|(id, end)| Some((id, extra.get(4..end)?)));
        extra = field.map_or(&[], |(_, content)| &extra[4 + content.len()..]);
        Some(field)
    })
}

/// How a method is called by people.
pub(super) fn method_name(method: u16) -> &'static str {
    match method {
        0 => "stored",
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        8 => "deflate",
        9 => "deflate64",
        10 => "PKWARE implode",
        12 => "bzip2",
        14 => "lzma",
        16 => "IBM CMPSC",
        18 => "IBM TERSE",
        19 => "IBM LZ77",
        20 => "zstd, under its old number",
        93 => "zstd",
        94 => "mp3",
        95 => "xz",
        96 => "jpeg",
        97 => "wavpack",
        98 => "ppmd",
        99 => "AES",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_fields_end_where_a_length_leads_out() {
        let check = |extra: &[u8], expect: &[Option<(u16, &[u8])>]| {
            assert_eq!(extra_fields(extra).collect::<Vec<_>>(), expect, "{extra:?}");
        };
        check(b"", &[]);
        check(b"\0\0\0", &[]);
        check(b"\x01\0\x02\0ab\x02\0\0\0", &[Some((1, b"ab")), Some((2, b""))]);
        check(b"\x01\0\x02\0a", &[None]);
        check(b"\x01\0\x01\0a\x09", &[Some((1, b"a")), None]);
    }

    #[test]
    fn a_record_cut_short_is_none() {
        let mut central = [0; CENTRAL_BYTES + 3];
        central[..4].copy_from_slice(&CENTRAL);
        central[28] = 3;
        assert_eq!(Central::parse(&central).map(|entry| entry.len), Some(CENTRAL_BYTES + 3));
        assert!(Central::parse(&central[..CENTRAL_BYTES + 2]).is_none());
        assert!(End::parse(&[0; END_BYTES]).is_none());
        assert!(End64::parse(&END64).is_none());
        assert!(Locator::parse(&LOCATOR).is_none());
    }
}
