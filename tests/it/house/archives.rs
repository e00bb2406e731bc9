//! Archives from readable text, honest and hostile.
//!
//! [`Archive::of`] packs as an honest tool does; then every field of every record may be turned into a lie. One writer
//! for both, so that a hostile archive differs from an honest one by what its test says and nothing else.
#![allow(dead_code)] // a harness offers more than each test takes

use std::io::Write;

/// An archive in the making.
#[derive(Clone)]
pub struct Archive {
    /// Bytes before everything; offsets do not count them.
    pub before: Vec<u8>,
    /// The members, in file order.
    pub members: Vec<Member>,
    /// Bytes between the last member and the directory.
    pub before_directory: Vec<u8>,
    /// The archive's comment.
    pub comment: Vec<u8>,
    /// Bytes after everything.
    pub after: Vec<u8>,
    /// What the end record says.
    pub end: EndRecord,
}

/// What the end records say where it is not the truth.
#[derive(Clone, Default)]
pub struct EndRecord {
    /// Entries; `None` is the truth.
    pub entries: Option<u64>,
    /// Size of the directory.
    pub directory_size: Option<u64>,
    /// Offset of the directory.
    pub directory_offset: Option<u64>,
    /// Length of the comment.
    pub comment_len: Option<u16>,
    /// Number of this disk.
    pub disk: u16,
    /// Write zip64 end records as well.
    pub zip64: Option<Zip64>,
}

/// What the zip64 end records say where it is not the truth.
#[derive(Clone, Default)]
pub struct Zip64 {
    /// Entries; `None` is the truth.
    pub entries: Option<u64>,
    /// Size of the directory.
    pub directory_size: Option<u64>,
    /// Offset of the directory.
    pub directory_offset: Option<u64>,
    /// Length of the record, as it says itself.
    pub len: Option<u64>,
    /// Number of this disk.
    pub disk: u32,
    /// Number of all disks.
    pub disks: Option<u32>,
    /// Where the locator points.
    pub located_at: Option<u64>,
    /// What the plain end record says beside it: the truth instead of "see there".
    pub plain_says_too: bool,
}

/// The fields that local header and directory entry share.
#[derive(Clone, Debug)]
pub struct Header {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u32,
    pub size: u32,
    pub extra: Vec<u8>,
}

/// A member in the making.
#[derive(Clone)]
pub struct Member {
    pub local: Header,
    pub central: Header,
    /// The packed data, as it is written.
    pub packed: Vec<u8>,
    /// Bytes after the data: a descriptor, or rubbish.
    pub after: Vec<u8>,
    /// The system whose attributes these are: 3 is Unix.
    pub made_by: u8,
    /// External attributes; Unix mode in the upper half.
    pub attributes: u32,
    /// Where the directory puts the local header; `None` is the truth.
    pub offset: Option<u32>,
    /// Its comment in the directory.
    pub comment: Vec<u8>,
    /// The disk that the directory puts it on.
    pub disk: u16,
    /// In the directory.
    pub listed: bool,
    /// In the file.
    pub written: bool,
}

/// How a member is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Stored,
    Deflate,
    Bzip2,
    Zstd,
    Lzma,
    Xz,
}

impl Method {
    pub const ALL: [Method; 6] = [
        Method::Stored,
        Method::Deflate,
        Method::Bzip2,
        Method::Zstd,
        Method::Lzma,
        Method::Xz,
    ];

    /// Its number in a zip.
    pub fn number(self) -> u16 {
        match self {
            Method::Stored => 0,
            Method::Deflate => 8,
            Method::Bzip2 => 12,
            Method::Zstd => 93,
            Method::Lzma => 14,
            Method::Xz => 95,
        }
    }

    /// Packs as this method does.
    pub fn pack(self, data: &[u8]) -> Vec<u8> {
        match self {
            Method::Stored => data.to_vec(),
            Method::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(data).expect("into memory");
                encoder.finish().expect("into memory")
            }
            Method::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(data).expect("into memory");
                encoder.finish().expect("into memory")
            }
            Method::Zstd => zstd::encode_all(data, 3).expect("into memory"),
            Method::Lzma => lzma(data, 1 << 20),
            Method::Xz => xz(data, 1 << 20),
        }
    }
}

/// A raw LZMA stream behind the zip's own header, with this dictionary.
pub fn lzma(data: &[u8], dictionary: u32) -> Vec<u8> {
    lzma_stream(data, dictionary, false)
}

/// The same, ending with a marker.
pub fn lzma_with_marker(data: &[u8]) -> Vec<u8> {
    lzma_stream(data, 1 << 20, true)
}

fn lzma_stream(data: &[u8], dictionary: u32, marker: bool) -> Vec<u8> {
    let mut options = lzma_rust2::LzmaOptions::with_preset(1);
    options.dict_size = dictionary;
    let mut packed = vec![9, 20, 5, 0, options.get_props()];
    packed.extend(dictionary.to_le_bytes());
    let mut writer = lzma_rust2::LzmaWriter::new_no_header(packed, &options, marker).expect("into memory");
    writer.write_all(data).expect("into memory");
    writer.finish().expect("into memory")
}

/// An xz stream with this dictionary.
pub fn xz(data: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = dictionary;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("into memory");
    writer.write_all(data).expect("into memory");
    writer.finish().expect("into memory")
}

impl Member {
    /// A file, packed so.
    pub fn packed_by(method: Method, name: &str, data: &[u8]) -> Member {
        Member::raw(name, method.number(), method.pack(data), data)
    }

    /// A file whose packed form is given.
    pub fn raw(name: &str, method: u16, packed: Vec<u8>, data: &[u8]) -> Member {
        let header = Header {
            name: name.into(),
            flags: 0,
            method,
            crc32: crc32fast::hash(data),
            compressed_size: packed.len() as u32,
            size: data.len() as u32,
            extra: Vec::new(),
        };
        Member {
            local: header.clone(),
            central: header,
            packed,
            after: Vec::new(),
            made_by: 3,
            attributes: 0o100_644 << 16,
            offset: None,
            comment: Vec::new(),
            disk: 0,
            listed: true,
            written: true,
        }
    }

    /// Changes what both headers say.
    pub fn both(&mut self, mut change: impl FnMut(&mut Header)) {
        change(&mut self.local);
        change(&mut self.central);
    }

    /// Writes CRC-32 and sizes after the data, as streaming packers do.
    pub fn streamed(&mut self, signature: bool, long: bool) {
        self.both(|header| header.flags |= 1 << 3);
        let Header {
            crc32,
            compressed_size,
            size,
            ..
        } = self.central;
        if signature {
            self.after.extend(b"PK\x07\x08");
        }
        self.after.extend(crc32.to_le_bytes());
        for size in [compressed_size, size] {
            self.after
                .extend(&u64::from(size).to_le_bytes()[..if long { 8 } else { 4 }]);
        }
        (self.local.crc32, self.local.compressed_size, self.local.size) = (0, 0, 0);
    }
}

impl Header {
    /// Adds an extra field.
    pub fn extra_field(&mut self, id: u16, content: &[u8]) {
        self.extra.extend(id.to_le_bytes());
        self.extra.extend((content.len() as u16).to_le_bytes());
        self.extra.extend(content);
    }

    /// Moves the sizes into a zip64 field.
    pub fn sizes_in_zip64(&mut self) {
        let content = [
            u64::from(self.size).to_le_bytes(),
            u64::from(self.compressed_size).to_le_bytes(),
        ]
        .concat();
        (self.size, self.compressed_size) = (u32::MAX, u32::MAX);
        self.extra_field(1, &content);
    }

    /// Declares an unpacked size, in a zip64 field where it must be.
    pub fn declare(&mut self, size: u64) {
        match u32::try_from(size) {
            Ok(short) if short < u32::MAX => self.size = short,
            _ => {
                let packed = u64::from(self.compressed_size);
                (self.size, self.compressed_size) = (u32::MAX, u32::MAX);
                self.extra_field(1, &[size.to_le_bytes(), packed.to_le_bytes()].concat());
            }
        }
    }

    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0, 0, 0x21, 0]);
        bytes.extend(self.crc32.to_le_bytes());
        bytes.extend(self.compressed_size.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend((self.extra.len() as u16).to_le_bytes());
        bytes
    }
}

impl Archive {
    /// An archive with nothing in it.
    pub fn empty() -> Archive {
        Archive {
            before: Vec::new(),
            members: Vec::new(),
            before_directory: Vec::new(),
            comment: Vec::new(),
            after: Vec::new(),
            end: EndRecord::default(),
        }
    }

    /// An honest archive of one file, packed by deflate.
    pub fn of(name: &str, text: &str) -> Archive {
        Archive::empty().file(name, text)
    }

    /// The archive a partner should send at this time: its name and its bytes.
    pub fn feed(digits: &str, text: &str) -> (String, Vec<u8>) {
        let member = format!("event_history_{digits}.json");
        (format!("{member}.zip"), Archive::of(&member, text).bytes())
    }

    /// With one more file, packed by deflate.
    pub fn file(self, name: &str, text: &str) -> Archive {
        self.packed(Method::Deflate, name, text.as_bytes())
    }

    /// With one more file, packed so.
    pub fn packed(self, method: Method, name: &str, data: &[u8]) -> Archive {
        self.member(Member::packed_by(method, name, data))
    }

    /// With one more directory.
    pub fn directory(self, name: &str) -> Archive {
        let mut member = Member::packed_by(Method::Stored, name, b"");
        member.attributes = 0o040_755 << 16;
        self.member(member)
    }

    /// With one more member.
    pub fn member(mut self, member: Member) -> Archive {
        self.members.push(member);
        self
    }

    /// With something done to the last member.
    pub fn with(mut self, change: impl FnOnce(&mut Member)) -> Archive {
        change(self.members.last_mut().expect("a member"));
        self
    }

    /// With something done to the archive.
    pub fn but(mut self, change: impl FnOnce(&mut Archive)) -> Archive {
        change(&mut self);
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut directory = Vec::new();
        let mut listed = 0u64;
        for member in &self.members {
            let offset = member.offset.unwrap_or(bytes.len() as u32);
            if member.written {
                bytes.extend(b"PK\x03\x04\x14\x00");
                bytes.extend(member.local.common());
                bytes.extend(&member.local.name);
                bytes.extend(&member.local.extra);
                bytes.extend(&member.packed);
                bytes.extend(&member.after);
            }
            if member.listed {
                listed += 1;
                directory.extend([b'P', b'K', 1, 2, 20, member.made_by, 20, 0]);
                directory.extend(member.central.common());
                directory.extend((member.comment.len() as u16).to_le_bytes());
                directory.extend(member.disk.to_le_bytes());
                directory.extend([0; 2]);
                directory.extend(member.attributes.to_le_bytes());
                directory.extend(offset.to_le_bytes());
                directory.extend(&member.central.name);
                directory.extend(&member.central.extra);
                directory.extend(&member.comment);
            }
        }
        bytes.extend(&self.before_directory);
        let directory_offset = bytes.len() as u64;
        bytes.extend(&directory);
        self.end_records(&mut bytes, listed, directory.len() as u64, directory_offset);
        bytes.extend(&self.after);
        [&self.before[..], &bytes].concat()
    }

    fn end_records(&self, bytes: &mut Vec<u8>, listed: u64, size: u64, offset: u64) {
        let end = &self.end;
        let entries = end.entries.unwrap_or(listed);
        let size = end.directory_size.unwrap_or(size);
        let offset = end.directory_offset.unwrap_or(offset);
        let mut plain = (entries as u16, size as u32, offset as u32);
        if let Some(zip64) = &end.zip64 {
            let at = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06");
            bytes.extend(zip64.len.unwrap_or(44).to_le_bytes());
            bytes.extend([45, 3, 45, 0]);
            bytes.extend([zip64.disk.to_le_bytes(), zip64.disk.to_le_bytes()].concat());
            let entries = zip64.entries.unwrap_or(entries);
            let size = zip64.directory_size.unwrap_or(size);
            for number in [entries, entries, size, zip64.directory_offset.unwrap_or(offset)] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(b"PK\x06\x07\0\0\0\0");
            bytes.extend(zip64.located_at.unwrap_or(at).to_le_bytes());
            bytes.extend(zip64.disks.unwrap_or(1).to_le_bytes());
            if !zip64.plain_says_too {
                plain = (u16::MAX, u32::MAX, u32::MAX);
            }
        }
        bytes.extend(b"PK\x05\x06");
        bytes.extend(end.disk.to_le_bytes());
        bytes.extend(end.disk.to_le_bytes());
        bytes.extend(plain.0.to_le_bytes());
        bytes.extend(plain.0.to_le_bytes());
        bytes.extend(plain.1.to_le_bytes());
        bytes.extend(plain.2.to_le_bytes());
        bytes.extend(end.comment_len.unwrap_or(self.comment.len() as u16).to_le_bytes());
        bytes.extend(&self.comment);
    }
}

/// A member of `before`, so many rounds, and `after`, packed by deflate at the ratio of a bomb, without ever being in memory:
/// what one round comes to is repeated, since a full flush makes it stand by itself.
pub fn repeated(name: &str, before: &[u8], round: &[u8], rounds: u64, after: &[u8]) -> Member {
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let mut flushed = |bytes: &[u8], flush| {
        let mut packed = Vec::with_capacity(bytes.len() + 1024);
        packer.compress_vec(bytes, &mut packed, flush).expect("into memory");
        packed
    };
    let mut packed = flushed(before, flate2::FlushCompress::Full);
    packed.extend(flushed(round, flate2::FlushCompress::Full).repeat(rounds as usize));
    packed.extend(flushed(after, flate2::FlushCompress::Finish));

    let sum = |bytes: &[u8]| {
        let mut sum = crc32fast::Hasher::new();
        sum.update(bytes);
        sum
    };
    let (mut crc, mut doubled, mut left) = (sum(before), sum(round), rounds);
    while left > 0 {
        if left % 2 == 1 {
            crc.combine(&doubled);
        }
        doubled.combine(&doubled.clone());
        left /= 2;
    }
    crc.combine(&sum(after));

    let mut member = Member::raw(name, 8, packed, b"");
    let crc = crc.finalize();
    let size = before.len() as u64 + round.len() as u64 * rounds + after.len() as u64;
    member.both(|header| {
        header.crc32 = crc;
        header.declare(size);
    });
    member
}

/// A bomb whose members share one kernel of zeros, each member's data beginning with the local headers that follow it,
/// quoted in stored blocks of deflate (the construction that David Fifield published in 2019).
pub fn overlapping_bomb(name: &str, members: usize, zeros: usize) -> Vec<u8> {
    let kernel = Method::Deflate.pack(&vec![0; zeros]);
    let mut file = Vec::new(); // from the back
    let mut directory: Vec<(u32, Header)> = Vec::new();
    file.extend(kernel.iter().rev());
    let mut data = vec![0; zeros];
    let mut packed_len = kernel.len();
    for number in (0..members).rev() {
        let header = Header {
            name: format!("{number:04}{name}").into_bytes(),
            flags: 0,
            method: 8,
            crc32: crc32fast::hash(&data),
            compressed_size: packed_len as u32,
            size: data.len() as u32,
            extra: Vec::new(),
        };
        let local = [&b"PK\x03\x04\x14\x00"[..], &header.common(), &header.name].concat();
        file.extend(local.iter().rev());
        directory.push((file.len() as u32, header));
        if number > 0 {
            let len = local.len() as u16;
            let quote = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
            file.extend(quote.iter().rev());
            packed_len += local.len() + quote.len();
            data = [&local[..], &data].concat();
        }
    }
    file.reverse();
    let total = file.len() as u32;
    let mut archive = Archive::empty();
    archive.before_directory = file;
    for (from_back, header) in directory.into_iter().rev() {
        let mut member = Member::raw("", 8, Vec::new(), b"");
        (member.local, member.central) = (header.clone(), header);
        (member.written, member.offset) = (false, Some(total - from_back));
        archive.members.push(member);
    }
    archive.bytes()
}
