//! For the tests and the fuzzer alone: what a server's bytes come to, with no cryptography before them.
//!
//! The protocol's own code runs here, all of it: the framer, the decoder, the pump on its thread, the client, the verbs.
//! Only the carrier is another, and it needs no network: it answers each request, at once, with the next reply of a script.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::carrier::Carrier;
use super::client::Client;
use super::connect::Connected;
use super::lessons::Lessons;
use super::pump::Pump;
use super::trust::KeyType;
use super::wire::{Extensions, Framer, Reply, decode, decode_limits, decode_version};
use super::{SftpSource, Slot};
use crate::config::resolve::SftpSettings;
use crate::source::SourceError;

/// What a stream of bytes was read as.
#[derive(Debug, Default)]
pub struct Packets {
    /// Every packet, and what it was decoded to as a reply, as VERSION and as limits.
    pub replies: Vec<String>,
    /// The server's words, as they would be shown.
    pub messages: Vec<String>,
    /// Why it could not be cut into packets any further.
    pub error: Option<String>,
}

/// Cuts bytes that come in pieces of at most `size` into packets, and decodes each.
pub fn packets(bytes: &[u8], size: usize) -> Packets {
    let mut framer = Framer::new();
    let mut packets = Packets::default();
    for piece in bytes.chunks(size) {
        let space = framer.space();
        space[..piece.len()].copy_from_slice(piece);
        framer.received(piece.len());
        loop {
            match framer.next() {
                Ok(Some(packet)) => packets.note(packet),
                Ok(None) => break,
                Err(error) => {
                    packets.error = Some(error.to_string());
                    return packets;
                }
            }
        }
    }
    packets
}

impl Packets {
    fn note(&mut self, packet: &[u8]) {
        let reply = decode(packet);
        match &reply {
            Ok((_, Reply::Status(_, message))) => self.messages.push(message.clone()),
            Ok(_) => {}
            Err(error) => self.messages.push(error.to_string()),
        }
        let (version, limits) = (decode_version(packet), decode_limits(packet));
        self.replies.push(format!("{reply:?} {version:?} {limits:?}"));
    }
}

/// A source whose server answers by this script: a byte of what it offers beyond version 3, then replies, each with its
/// length in two bytes before it. In a reply the type comes first; the id is the request's, the length the truth. A reply of
/// type 0 is sent as it stands, without its type: lies about lengths and ids are told with it. Where the script ends, or leaves
/// a request unanswered, the server ends the session.
///
/// # Errors
/// What the client says where the server does not even resolve the root.
pub async fn scripted(script: &[u8], timeout: Duration) -> Result<SftpSource, SourceError> {
    let (offers, script) = script.split_first().unwrap_or((&0, &[]));
    let (here, there) = UnixStream::pair().expect("a pair of sockets");
    here.set_nonblocking(true).expect("a socket that does not block");
    // The client shuts its socket to end a connection, whatever kind of socket it is.
    let tcp = Arc::new(TcpStream::from(OwnedFd::from(here)));
    let up = Connected {
        carrier: Box::new(Script {
            script: script.to_vec(),
            at: 0,
            requests: Vec::new(),
            replies: Vec::new(),
            owed: 0,
            untold: Vec::new(),
            is_over: false,
            tcp: tcp.clone(),
            _there: there,
        }),
        tcp,
        extensions: Extensions {
            posix_rename: offers & 1 != 0,
            limits: offers & 2 != 0,
        },
        framer: Framer::new(),
        key_type: KeyType::Ed25519,
    };
    let (carry, carrier) = std::sync::mpsc::sync_channel::<Pump>(1);
    std::thread::spawn(move || carrier.recv().map(|pump| pump.run(timeout, timeout)));
    let settings = SftpSettings {
        host: "127.0.0.1".to_owned(),
        port: 1, // nothing is there: a connection that ended stays so
        user: "fuzz".to_owned(),
        root: "in".to_owned(),
        password: None,
        private_key: None,
        agent: false,
        host_keys: Vec::new(),
        known_hosts: None,
    };
    let mut lessons = Lessons::default();
    let (client, key_type) = Client::start(&settings, &lessons, up, carry, timeout).await?;
    lessons.key_type = Some(key_type);
    Ok(SftpSource {
        slot: Mutex::new(Slot {
            client: Some(Arc::new(client)),
            lessons,
            failed: None,
        }),
        ..SftpSource::new("fuzz", &settings, timeout)
    })
}

/// A server in the client's own memory.
struct Script {
    script: Vec<u8>,
    /// As far as it has been told.
    at: usize,
    /// Bytes of requests that are not whole yet.
    requests: Vec<u8>,
    /// Bytes of replies that are not read yet.
    replies: Vec<u8>,
    /// Requests that no packet has gone out for, and what has gone out of the packet that is not whole yet.
    owed: usize,
    untold: Vec<u8>,
    is_over: bool,
    tcp: Arc<TcpStream>,
    /// The far end of the socket, which is open as long as the server is.
    _there: UnixStream,
}

impl Script {
    /// Notes the packets that these bytes make whole.
    fn told(&mut self, bytes: &[u8]) {
        self.untold.extend(bytes);
        while let Some(len) = self.untold.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) {
            if self.untold.len() - 4 < len {
                break;
            }
            self.untold.drain(..4 + len);
            self.owed = self.owed.saturating_sub(1);
        }
    }

    /// Answers the request that is whole, by its id.
    fn answer(&mut self, id: &[u8]) {
        let Some((len, rest)) = self.script[self.at..].split_first_chunk() else {
            self.is_over = true;
            return;
        };
        let reply = &rest[..usize::from(u16::from_be_bytes(*len)).min(rest.len())];
        self.at += 2 + reply.len();
        match reply.split_first() {
            None => {}
            Some((0, as_it_stands)) => self.replies.extend(as_it_stands),
            Some((&kind, body)) => {
                let len = u32::try_from(body.len() + 5).expect("at most 64 KiB");
                self.replies.extend(len.to_be_bytes());
                self.replies.push(kind);
                self.replies.extend(id);
                self.replies.extend(body);
            }
        }
    }
}

impl Carrier for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.replies.is_empty() && self.owed > 0 {
            // Whoever waits would wait for the deadline: the session ends instead.
            self.is_over = true;
        }
        if self.replies.is_empty() && !self.is_over {
            // Nothing ever comes by the socket; but it tells whether the client has shut it.
            return io::Read::read(&mut &*self.tcp, &mut [0]).inspect(|_| self.is_over = true);
        }
        let count = into.len().min(self.replies.len());
        into[..count].copy_from_slice(&self.replies[..count]);
        self.replies.drain(..count);
        self.told(&into[..count]);
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.requests.extend(bytes);
        while let Some(len) = self.requests.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) {
            if self.requests.len() < 4 + len {
                break;
            }
            let request: Vec<u8> = self.requests.drain(..4 + len).collect();
            self.owed += 1;
            self.answer(&request[5..9]);
        }
        Ok(bytes.len())
    }

    fn is_over(&self) -> bool {
        self.is_over && self.replies.is_empty()
    }

    fn waits_to_write(&self) -> bool {
        false
    }

    fn part(&mut self) {
        self.is_over = true;
    }
}
