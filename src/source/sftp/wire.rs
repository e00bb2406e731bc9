//! SFTP version 3 as bytes: requests on the way out, replies on the way in.
//!
//! The document is draft-ietf-secsh-filexfer-02, the version that OpenSSH and nearly everybody else speaks. Nothing here
//! does input or output, and nothing here believes a length: a packet is bounded before a byte of it is kept, every field
//! is held against what is left of its packet, and a count of names is not a reason to reserve memory.

use std::fmt;

/// Longest packet taken, after its length field: a data reply of 256 KiB with type, id and length before it. OpenSSH's own
/// client stops at 256 KiB; without a bound a server could name 4 GiB and have us wait for them.
pub(super) const PACKET_MAX: usize = 256 * 1024 + 9;

/// Longest file handle (section 6.2 of the document says 256).
const HANDLE_MAX: usize = 256;

/// Longest name taken, of a file or of the root: the longest path of any system there is. Without it a million names of a
/// quarter of a megabyte would be a listing.
const NAME_MAX: usize = 4096;

/// Most extensions read from a VERSION packet; OpenSSH names a dozen.
const EXTENSIONS_MAX: usize = 128;

/// Version of the protocol spoken.
pub(super) const VERSION: u32 = 3;

/// Flags of OPEN.
pub(super) mod open {
    /// For reading.
    pub const READ: u32 = 0x01;
    /// For writing.
    pub const WRITE: u32 = 0x02;
    /// Created if absent.
    pub const CREATE: u32 = 0x08;
    /// Fails if present. Only with [`CREATE`].
    pub const EXCLUSIVE: u32 = 0x20;
}

/// Codes of STATUS that we tell apart. Those beyond version 3 are sent by servers that speak it all the same.
pub(super) mod status {
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const BAD_MESSAGE: u32 = 5;
    pub const NO_CONNECTION: u32 = 6;
    pub const CONNECTION_LOST: u32 = 7;
    pub const UNSUPPORTED: u32 = 8;
    pub const INVALID_HANDLE: u32 = 9;
    pub const NO_SUCH_PATH: u32 = 10;
    pub const ALREADY_EXISTS: u32 = 11;
    pub const NO_SPACE: u32 = 14;
    pub const QUOTA: u32 = 15;

    /// Whether a code says no more than that it did not go: a plain failure, or something of a vendor's own.
    pub fn is_plain_failure(code: u32) -> bool {
        code == FAILURE || code > QUOTA
    }
}

/// A request that lacks only its id, which the pump gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    kind: u8,
    body: Vec<u8>,
}

impl Request {
    fn new(kind: u8) -> Request {
        Request { kind, body: Vec::new() }
    }

    fn number(mut self, value: u32) -> Request {
        self.body.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn long(mut self, value: u64) -> Request {
        self.body.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn string(mut self, bytes: &[u8]) -> Request {
        // Paths, handles and pieces of a write: all far under 4 GiB by what builds them.
        let len = u32::try_from(bytes.len()).expect("a string in a request fits its length field");
        self = self.number(len);
        self.body.extend_from_slice(bytes);
        self
    }

    /// OPEN, with no attributes: a new file gets the server's default mode.
    pub fn open(path: &str, flags: u32) -> Request {
        Request::new(3).string(path.as_bytes()).number(flags).number(0)
    }

    /// CLOSE.
    pub fn close(handle: &[u8]) -> Request {
        Request::new(4).string(handle)
    }

    /// READ.
    pub fn read(handle: &[u8], offset: u64, len: u32) -> Request {
        Request::new(5).string(handle).long(offset).number(len)
    }

    /// WRITE.
    pub fn write(handle: &[u8], offset: u64, bytes: &[u8]) -> Request {
        Request::new(6).string(handle).long(offset).string(bytes)
    }

    /// LSTAT: of a link itself.
    pub fn lstat(path: &str) -> Request {
        Request::new(7).string(path.as_bytes())
    }

    /// OPENDIR.
    pub fn open_dir(path: &str) -> Request {
        Request::new(11).string(path.as_bytes())
    }

    /// READDIR.
    pub fn read_dir(handle: &[u8]) -> Request {
        Request::new(12).string(handle)
    }

    /// REMOVE.
    pub fn remove(path: &str) -> Request {
        Request::new(13).string(path.as_bytes())
    }

    /// MKDIR, with no attributes.
    pub fn make_dir(path: &str) -> Request {
        Request::new(14).string(path.as_bytes()).number(0)
    }

    /// REALPATH.
    pub fn real_path(path: &str) -> Request {
        Request::new(16).string(path.as_bytes())
    }

    /// STAT: of what a link leads to.
    pub fn stat(path: &str) -> Request {
        Request::new(17).string(path.as_bytes())
    }

    /// RENAME, which at most servers fails on an existing target.
    pub fn rename(from: &str, to: &str) -> Request {
        Request::new(18).string(from.as_bytes()).string(to.as_bytes())
    }

    /// `posix-rename@openssh.com`, which replaces the target.
    pub fn posix_rename(from: &str, to: &str) -> Request {
        let request = Request::new(200).string(b"posix-rename@openssh.com");
        request.string(from.as_bytes()).string(to.as_bytes())
    }

    /// `limits@openssh.com`.
    pub fn limits() -> Request {
        Request::new(200).string(b"limits@openssh.com")
    }

    /// Most bytes of data that an honest answer holds.
    pub fn data_max(&self) -> usize {
        match (self.kind, self.body.last_chunk::<4>()) {
            (5, Some(len)) => u32::from_be_bytes(*len) as usize,
            _ => 0,
        }
    }

    /// Appends the whole packet.
    pub fn encode(&self, id: u32, into: &mut Vec<u8>) {
        let len = u32::try_from(1 + 4 + self.body.len()).expect("a request fits its length field");
        into.extend_from_slice(&len.to_be_bytes());
        into.push(self.kind);
        into.extend_from_slice(&id.to_be_bytes());
        into.extend_from_slice(&self.body);
    }
}

/// The INIT packet that opens the conversation.
pub(super) fn init() -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 5, 1];
    packet.extend_from_slice(&VERSION.to_be_bytes());
    packet
}

/// What kind of thing a path leads to, as far as the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
    /// The server did not say.
    Unknown,
}

/// Attributes of a file, as far as the server told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Mode, with the type in its upper bits where the server is so kind.
    pub permissions: Option<u32>,
    /// Seconds since 1970.
    pub mtime: Option<u32>,
}

impl Attributes {
    /// What it is, from the mode's upper bits.
    pub fn kind(&self) -> Kind {
        match self.permissions.map_or(0, |mode| mode & 0o170_000) {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Link,
            0 => Kind::Unknown,
            _ => Kind::Other,
        }
    }
}

/// One name of a NAME reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Bytes, as the server has them.
    pub name: Vec<u8>,
    /// The kind that the first letter of the long name (`ls -l`) tells.
    pub hint: Kind,
    /// Attributes.
    pub attributes: Attributes,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// How it went, and the server's words, cut and escaped.
    Status(u32, String),
    /// A file handle.
    Handle(Vec<u8>),
    /// Bytes of a file.
    Data(Vec<u8>),
    /// Names.
    Names(Vec<Named>),
    /// Attributes.
    Attributes(Attributes),
    /// Answer to an extension, as it came.
    Extended(Vec<u8>),
}

/// The server's bytes are no SFTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WireError(pub String);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong(what: impl Into<String>) -> WireError {
    WireError(what.into())
}

/// Reads the fields of one packet, each held against what is left.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| wrong(format!("a reply ends {} bytes early", len - self.0.len())))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(
            self.take(4)?.try_into().expect("four bytes were taken"),
        ))
    }

    fn long(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(
            self.take(8)?.try_into().expect("eight bytes were taken"),
        ))
    }

    fn string(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.number()? as usize;
        self.take(len)
    }

    fn attributes(&mut self) -> Result<Attributes, WireError> {
        let flags = self.number()?;
        let mut attributes = Attributes::default();
        if flags & 0x1 != 0 {
            attributes.size = Some(self.long()?);
        }
        if flags & 0x2 != 0 {
            self.take(8)?; // owner and group
        }
        if flags & 0x4 != 0 {
            attributes.permissions = Some(self.number()?);
        }
        if flags & 0x8 != 0 {
            self.take(4)?; // last access
            attributes.mtime = Some(self.number()?);
        }
        if flags & 0x8000_0000 != 0 {
            // Each turn takes at least eight bytes, so a giant count ends with the packet.
            for _ in 0..self.number()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(attributes)
    }
}

/// Reads a reply, the length field already taken off. Gives the id of the request it answers.
pub(super) fn decode(packet: &[u8]) -> Result<(u32, Reply), WireError> {
    let mut fields = Fields(packet);
    let kind = fields.byte()?;
    let id = fields.number()?;
    let reply = match kind {
        101 => {
            let code = fields.number()?;
            // Some servers leave the message and its language out.
            let message = fields.string().unwrap_or_default();
            Reply::Status(code, super::super::excerpt(&String::from_utf8_lossy(message)))
        }
        102 => {
            let handle = fields.string()?;
            if handle.len() > HANDLE_MAX {
                return Err(wrong(format!("a file handle of {} bytes", handle.len())));
            }
            Reply::Handle(handle.to_vec())
        }
        // The one copy that is made of what the channel gave.
        103 => Reply::Data(fields.string()?.to_vec()),
        104 => {
            let count = fields.number()?;
            let mut names = Vec::new(); // not reserved: the count is the server's word, the bytes are not
            for _ in 0..count {
                let name = fields.string()?;
                if name.len() > NAME_MAX {
                    return Err(wrong(format!("a name of {} bytes", name.len())));
                }
                let name = name.to_vec();
                let hint = match fields.string()?.first() {
                    Some(b'-') => Kind::File,
                    Some(b'd') => Kind::Directory,
                    Some(b'l') => Kind::Link,
                    Some(b'b' | b'c' | b'p' | b's') => Kind::Other,
                    _ => Kind::Unknown,
                };
                let attributes = fields.attributes()?;
                names.push(Named { name, hint, attributes });
            }
            Reply::Names(names)
        }
        105 => Reply::Attributes(fields.attributes()?),
        201 => Reply::Extended(fields.0.to_vec()),
        other => return Err(wrong(format!("a packet of unknown type {other}"))),
    };
    Ok((id, reply))
}

/// What the server's VERSION packet offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extensions {
    /// `posix-rename@openssh.com`.
    pub posix_rename: bool,
    /// `limits@openssh.com`.
    pub limits: bool,
}

/// Reads the VERSION packet.
pub(super) fn decode_version(packet: &[u8]) -> Result<Extensions, WireError> {
    let mut fields = Fields(packet);
    if fields.byte()? != 2 {
        return Err(wrong("the first packet is not VERSION"));
    }
    let version = fields.number()?;
    if version != VERSION {
        return Err(wrong(format!("the server speaks version {version}, not {VERSION}")));
    }
    let mut extensions = Extensions::default();
    for _ in 0..EXTENSIONS_MAX {
        if fields.0.is_empty() {
            break;
        }
        let name = fields.string()?;
        let data = fields.string()?;
        match (name, data) {
            (b"posix-rename@openssh.com", b"1") => extensions.posix_rename = true,
            (b"limits@openssh.com", b"1") => extensions.limits = true,
            _ => {}
        }
    }
    Ok(extensions)
}

/// What `limits@openssh.com` tells; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ServerLimits {
    /// Longest packet, in bytes.
    pub packet: u64,
    /// Longest read, in bytes.
    pub read: u64,
    /// Longest write, in bytes.
    pub write: u64,
    /// Most handles open at a time.
    pub handles: u64,
}

/// Reads the answer to `limits@openssh.com`.
pub(super) fn decode_limits(body: &[u8]) -> Result<ServerLimits, WireError> {
    let mut fields = Fields(body);
    Ok(ServerLimits {
        packet: fields.long()?,
        read: fields.long()?,
        write: fields.long()?,
        handles: fields.long()?,
    })
}

/// Bytes asked of the channel at a time, always as many: libssh2 reckons with them how far it opens the window, and reckons
/// again when it could not send that at once.
const READ_CHUNK: usize = 128 * 1024;

/// Bytes held at most. Four of the longest answers, so that what is left of one is moved to the front once in three.
const HELD_MAX: usize = 1024 * 1024;

/// Cuts the stream of bytes into packets. It owns the buffer that the channel is read into, and lends packets out of it.
#[derive(Debug)]
pub(super) struct Framer {
    /// Filled from `start` to `end` with bytes received and not yet given out. Pages that no traffic needs are never touched.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Framer {
    /// An empty one.
    pub fn new() -> Framer {
        Framer {
            bytes: vec![0; HELD_MAX],
            start: 0,
            end: 0,
        }
    }

    /// Where to receive into; then say [`Framer::received`]. For when [`Framer::next`] has given all there is: what is left
    /// then is less than a packet.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.bytes.len() - self.end < READ_CHUNK {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.bytes[self.end..][..READ_CHUNK]
    }

    /// So many bytes have come into the space.
    pub fn received(&mut self, count: usize) {
        self.end += count;
    }

    /// The next whole packet, without its length field.
    pub fn next(&mut self) -> Result<Option<&[u8]>, WireError> {
        let held = &self.bytes[self.start..self.end];
        let Some(prefix) = held.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > PACKET_MAX {
            return Err(wrong(if prefix.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                // What a login script prints arrives where the protocol should be; its first letters make a giant length.
                let text = super::super::excerpt(&String::from_utf8_lossy(held));
                format!("the account's shell prints text where SFTP should begin: `{text}`")
            } else {
                format!("a packet of {len} bytes, where {PACKET_MAX} are the most")
            }));
        }
        if len == 0 {
            return Err(wrong("an empty packet"));
        }
        let Some(packet) = held[4..].get(..len) else {
            return Ok(None);
        };
        self.start += 4 + len;
        Ok(Some(packet))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet as a server would write it: type, id, then fields.
    fn packet(kind: u8, id: u32, fields: &[&[u8]]) -> Vec<u8> {
        [&[kind], &id.to_be_bytes()[..], &fields.concat()].concat()
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    fn number(value: u32) -> [u8; 4] {
        value.to_be_bytes()
    }

    /// What came from the channel, which fills no more than there is space for.
    fn receive(framer: &mut Framer, bytes: &[u8]) {
        framer.space()[..bytes.len()].copy_from_slice(bytes);
        framer.received(bytes.len());
    }

    #[test]
    fn requests_as_the_document_has_them() {
        let check = |request: Request, kind: u8, body: &[u8]| {
            let mut bytes = Vec::new();
            request.encode(7, &mut bytes);
            let expected = packet(kind, 7, &[body]);
            assert_eq!(bytes, [&number(expected.len() as u32)[..], &expected].concat());
        };
        check(Request::open("a", open::READ), 3, b"\0\0\0\x01a\0\0\0\x01\0\0\0\0");
        check(Request::close(b"h"), 4, b"\0\0\0\x01h");
        check(
            Request::read(b"h", 1 << 40, 9),
            5,
            b"\0\0\0\x01h\0\0\x01\0\0\0\0\0\0\0\0\x09",
        );
        check(
            Request::write(b"h", 2, b"xy"),
            6,
            b"\0\0\0\x01h\0\0\0\0\0\0\0\x02\0\0\0\x02xy",
        );
        check(Request::lstat(""), 7, b"\0\0\0\0");
        check(Request::open_dir("/"), 11, b"\0\0\0\x01/");
        check(Request::read_dir(b"h"), 12, b"\0\0\0\x01h");
        check(Request::remove("ü"), 13, b"\0\0\0\x02\xc3\xbc");
        check(Request::make_dir("d"), 14, b"\0\0\0\x01d\0\0\0\0");
        check(Request::real_path("."), 16, b"\0\0\0\x01.");
        check(Request::stat("s"), 17, b"\0\0\0\x01s");
        check(Request::rename("a", "bc"), 18, b"\0\0\0\x01a\0\0\0\x02bc");
        check(Request::limits(), 200, b"\0\0\0\x12limits@openssh.com");
        check(
            Request::posix_rename("a", "b"),
            200,
            b"\0\0\0\x18posix-rename@openssh.com\0\0\0\x01a\0\0\0\x01b",
        );
        assert_eq!(init(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
    }

    #[test]
    fn replies_as_the_document_has_them() {
        let check = |kind: u8, fields: &[&[u8]], expected: Reply| {
            assert_eq!(decode(&packet(kind, 9, fields)), Ok((9, expected)));
        };
        check(
            101,
            &[&number(4), &text(b"Failure"), &text(b"en")],
            Reply::Status(4, "Failure".into()),
        );
        check(101, &[&number(0)], Reply::Status(0, String::new()));
        check(
            101,
            &[&number(4), &text(b"\x1b[31mred\n\xff")],
            Reply::Status(4, "\\u{1b}[31mred\\n\u{fffd}".into()),
        );
        check(102, &[&text(b"\0\x01")], Reply::Handle(vec![0, 1]));
        check(
            103,
            &[&text(b"bytes"), b"and what follows"],
            Reply::Data(b"bytes".to_vec()),
        );
        check(103, &[&text(b"")], Reply::Data(vec![]));
        check(105, &[&number(0)], Reply::Attributes(Attributes::default()));
        check(201, &[b"anything"], Reply::Extended(b"anything".to_vec()));
        let all = [
            &number(0x8000_000f)[..],
            &[0; 4],
            &number(5),
            &[0; 8],
            &number(0o100_644),
            &number(1),
            &number(2),
        ];
        let extended = [&number(1)[..], &text(b"k"), &text(b"v")].concat();
        let attributes = Attributes {
            size: Some(5),
            permissions: Some(0o100_644),
            mtime: Some(2),
        };
        check(105, &[&all.concat(), &extended], Reply::Attributes(attributes));
        let named = Named {
            name: b"a".to_vec(),
            hint: Kind::Directory,
            attributes: Attributes::default(),
        };
        check(
            104,
            &[&number(1), &text(b"a"), &text(b"drwxr-xr-x"), &number(0)],
            Reply::Names(vec![named]),
        );
    }

    #[test]
    fn hostile_replies() {
        let check = |kind: u8, fields: &[&[u8]]| {
            assert!(decode(&packet(kind, 1, fields)).is_err(), "{kind} {fields:?}");
        };
        check(102, &[&number(u32::MAX), b"h"]);
        check(102, &[&number(2), b"h"]);
        check(102, &[&text(&[0; 257])]);
        check(103, &[&number(6), b"bytes"]);
        check(104, &[&number(u32::MAX)]);
        check(104, &[&number(2), &text(b"a"), &text(b"-"), &number(0)]);
        let long = [b'a'; NAME_MAX + 1];
        check(104, &[&number(1), &text(&long), &text(b"-"), &number(0)]);
        check(105, &[&number(1), &[0; 7]]);
        check(
            105,
            &[&number(0x8000_0000), &number(u32::MAX), &text(b"k"), &text(b"v")],
        );
        check(101, &[&[0; 3]]);
        check(77, &[b"?"]);
        assert!(decode(&[]).is_err());
        assert!(decode(&[101, 0, 0, 0]).is_err());
    }

    #[test]
    fn versions() {
        let check = |fields: &[&[u8]], expected: Option<Extensions>| {
            let bytes = [&[2][..], &fields.concat()].concat();
            assert_eq!(decode_version(&bytes).ok(), expected, "{fields:?}");
        };
        check(&[&number(3)], Some(Extensions::default()));
        let limits = Extensions {
            limits: true,
            ..Extensions::default()
        };
        check(&[&number(3), &text(b"limits@openssh.com"), &text(b"1")], Some(limits));
        check(
            &[&number(3), &text(b"limits@openssh.com"), &text(b"2")],
            Some(Extensions::default()),
        );
        check(
            &[&number(3), &text(b"unknown"), &text(b"\xff")],
            Some(Extensions::default()),
        );
        check(&[&number(2)], None);
        check(&[&number(6)], None);
        check(&[&number(3), &text(b"half")], None);
        check(&[&number(3), &number(u32::MAX)], None);
        assert!(decode_version(&[101, 0, 0, 0, 3]).is_err());
    }

    #[test]
    fn lengths_of_packets() {
        let check = |bytes: &[u8], expected: Result<Option<usize>, &str>| {
            let mut framer = Framer::new();
            receive(&mut framer, bytes);
            match (framer.next(), expected) {
                (Ok(packet), Ok(expected)) => assert_eq!(packet.map(|packet| packet.len()), expected),
                (Err(error), Err(words)) => assert!(error.0.contains(words), "{error}"),
                (got, expected) => panic!("{got:?}, not {expected:?}"),
            }
        };
        check(b"", Ok(None));
        check(b"\0\0\0", Ok(None));
        check(b"\0\0\0\x02a", Ok(None));
        check(b"\0\0\0\x02abc", Ok(Some(2)));
        check(b"\0\0\0\0", Err("empty"));
        check(b"\xff\xff\xff\xff", Err("4294967295"));
        check(&number(PACKET_MAX as u32), Ok(None));
        check(&number(PACKET_MAX as u32 + 1), Err("262154"));
        check(b"Welcome to ACME\x1b!", Err("`Welcome to ACME\\u{1b}!`"));
    }

    #[test]
    fn kinds() {
        let check = |mode: Option<u32>, expected: Kind| {
            assert_eq!(
                Attributes {
                    permissions: mode,
                    ..Attributes::default()
                }
                .kind(),
                expected
            );
        };
        check(None, Kind::Unknown);
        check(Some(0o644), Kind::Unknown);
        check(Some(0o100_644), Kind::File);
        check(Some(0o040_755), Kind::Directory);
        check(Some(0o120_777), Kind::Link);
        check(Some(0o010_644), Kind::Other);
        check(Some(u32::MAX), Kind::Other);
    }

    /// However little of a packet is missing, there is space for a whole read.
    #[test]
    fn long_packets_through_a_buffer_of_one_size() {
        let mut framer = Framer::new();
        let mut stream = Vec::new();
        for (round, len) in [PACKET_MAX, 1, PACKET_MAX, PACKET_MAX - 1, 70_000, PACKET_MAX]
            .into_iter()
            .enumerate()
        {
            stream.extend(text(&vec![round as u8; len]));
        }
        let mut came = Vec::new();
        for piece in stream.chunks(READ_CHUNK) {
            receive(&mut framer, piece);
            while let Some(packet) = framer.next().unwrap() {
                assert!(packet.iter().all(|byte| usize::from(*byte) == came.len()));
                came.push(packet.len());
            }
        }
        assert_eq!(came, [PACKET_MAX, 1, PACKET_MAX, PACKET_MAX - 1, 70_000, PACKET_MAX]);
    }

    proptest! {
        /// Whatever a server sends ends in a reply or an error, and takes no more memory than it sent.
        #[test]
        fn rubbish_is_no_harm(bytes: Vec<u8>, kind in 95u8..106) {
            let mut packet = vec![kind];
            packet.extend(&bytes);
            drop(decode(&packet));
            drop(decode_version(&bytes));
            drop(decode_limits(&bytes));
            let mut framer = Framer::new();
            receive(&mut framer, &bytes);
            while let Ok(Some(packet)) = framer.next() {
                prop_assert!(!packet.is_empty() && packet.len() <= bytes.len());
            }
        }

        /// However the stream is cut into reads, the packets are the same.
        #[test]
        fn cuts_do_not_matter(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..20), cut in 1usize..60) {
            let mut stream = Vec::new();
            for packet in &packets {
                stream.extend(text(packet));
            }
            let mut framer = Framer::new();
            let mut came = Vec::new();
            for piece in stream.chunks(cut) {
                receive(&mut framer, piece);
                while let Some(packet) = framer.next().unwrap() {
                    came.push(packet.to_vec());
                }
            }
            prop_assert_eq!(came, packets);
        }
    }
}
