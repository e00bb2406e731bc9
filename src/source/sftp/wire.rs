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

/// Codes of STATUS that we tell apart. The two beyond version 3 are sent by servers that speak it all the same.
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
    pub const NO_SUCH_PATH: u32 = 10;
    pub const ALREADY_EXISTS: u32 = 11;
    pub const NO_SPACE: u32 = 14;
    pub const QUOTA: u32 = 15;
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

    /// `fsync@openssh.com`.
    pub fn fsync(handle: &[u8]) -> Request {
        Request::new(200).string(b"fsync@openssh.com").string(handle)
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

    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        4 + 1 + 4 + self.body.len()
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
pub(super) fn decode(mut packet: Vec<u8>) -> Result<(u32, Reply), WireError> {
    let mut fields = Fields(&packet);
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
        103 => {
            let len = fields.string()?.len();
            // The packet itself becomes the data: no second buffer for what is up to 256 KiB.
            packet.drain(..1 + 4 + 4);
            packet.truncate(len);
            return Ok((id, Reply::Data(packet)));
        }
        104 => {
            let count = fields.number()?;
            let mut names = Vec::new(); // not reserved: the count is the server's word, the bytes are not
            for _ in 0..count {
                let name = fields.string()?.to_vec();
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
    /// `fsync@openssh.com`.
    pub fsync: bool,
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
            (b"fsync@openssh.com", b"1") => extensions.fsync = true,
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

/// Cuts the stream of bytes into packets.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Bytes received and not yet given out, from `start` on.
    bytes: Vec<u8>,
    start: usize,
}

impl Framer {
    /// Takes in what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        // What is left is one unfinished packet at most, so the buffer never holds more than that and one read.
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole packet, without its length field.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let held = &self.bytes[self.start..];
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
        let packet = packet.to_vec();
        self.start += 4 + len;
        Ok(Some(packet))
    }
}
