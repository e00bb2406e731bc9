//! From a host name to a channel that speaks SFTP: TCP, handshake, host key, authentication, subsystem, VERSION.
//!
//! Plain blocking code, on the thread that will be the pump's. libssh2 waits by itself here, and every wait has what is left
//! of one deadline; afterwards the session is non-blocking for good.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ssh2::{Channel, ErrorCode, ExtendedData, MethodType, Session};

use super::super::{SourceError, excerpt};
use super::authenticate::authenticate;
use super::carrier::Carrier;
use super::deadline::{Alarm, Deadline};
use super::trust::{KeyType, SeenKey, Trust, Verdict};
use super::wire::{self, Extensions, Framer};
use crate::config::resolve::SftpSettings;

/// The channel's receive window. More than can be asked for at a time ([`super::line::Room`]), so that the server never
/// waits for us to open it.
pub(super) const WINDOW: u32 = 16 * 1024 * 1024;

/// Longest packet of the channel, as libssh2 has it by default.
const CHANNEL_PACKET: u32 = 32_768;

/// Key exchanges, strictest first; libssh2 drops what it was built without. No SHA-1, no groups under 2048 bits. libssh2
/// adds strict key exchange (against Terrapin) and `ext-info-c` (for RSA with SHA-2) by itself.
const KEY_EXCHANGES: &str = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,\
    ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,\
    diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";

/// Ciphers; no CBC at all. ChaCha20 first, for the distance: by AES-GCM libssh2 empties the socket before it gives anything
/// out, so that requests leave in bursts (50 MB over 50 ms: 0.82 s instead of 0.69 s). On the processor we pay the same for
/// both (0.43 s for 112 MB); a server with vector AES would save half of its share. libssh2 decrypts AES sixteen bytes
/// at a time, which is slower still where there is no such unit.
const CIPHERS: &str =
    "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

/// Message authentication, for the ciphers that do not bring their own.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// Session, channel and socket of one connection, taken down in the one order that frees all of them.
pub(super) struct Ssh {
    /// The session.
    pub session: Session,
    /// Its channel.
    pub channel: Channel,
    /// The socket.
    pub tcp: Arc<TcpStream>,
}

impl Drop for Ssh {
    /// libssh2 frees a channel, and the session with it, only once CLOSE is sent or the socket is known to be gone. It may be
    /// in the middle of another packet that will never be taken, or wait for an answer that never comes: so the socket goes
    /// first, and libssh2 is made to notice by reading.
    fn drop(&mut self) {
        self.session.set_blocking(false);
        drop(self.tcp.shutdown(Shutdown::Both));
        drop(self.channel.wait_eof());
    }
}

/// A connection that is ready for requests.
pub(super) struct Connected {
    /// The channel, and whatever belongs to it; non-blocking.
    pub carrier: Box<dyn Carrier>,
    /// Its socket.
    pub tcp: Arc<TcpStream>,
    /// What the server offers beyond version 3.
    pub extensions: Extensions,
    /// What came after VERSION.
    pub framer: Framer,
    /// The type of the host key that was trusted: to be asked for first the next time.
    pub key_type: KeyType,
}

/// Why there is no connection.
pub(super) enum NotIn {
    /// It could not be made, it broke, or time ran out.
    Lost(String),
    /// The server is not the one that we trust, or does not want us.
    Barred(String),
}

impl NotIn {
    /// Says so if time had run out: what libssh2 makes of a socket that was shut under its hands tells nobody why.
    fn at(self, deadline: &Deadline) -> NotIn {
        match (self, deadline.left()) {
            (NotIn::Lost(reason), Err(late)) if !reason.starts_with(&late) => NotIn::Lost(format!("{late} ({reason})")),
            (error, _) => error,
        }
    }

    /// In the source's words.
    pub fn into_source_error(self, doing: String) -> SourceError {
        match self {
            NotIn::Lost(reason) => SourceError::Lost { doing, reason },
            NotIn::Barred(reason) => SourceError::Barred { doing, reason },
        }
    }
}

/// A server that has shown its key.
struct Dialled {
    session: Session,
    tcp: Arc<TcpStream>,
    alarm: Alarm,
}

/// How a handshake failed.
enum HandshakeError {
    /// No connection, or it broke.
    Lost(String),
    /// The server and we have no method in common: with one type of host key asked for, it has none of that type.
    NothingInCommon(String),
    /// The server hung up over what we offered. dropbear says in that way that it has no key of the type asked for.
    HungUp(String),
}

/// Connects, and is let in. `key_type` is the type of host key that was trusted the last time.
pub(super) fn connect(
    settings: &SftpSettings,
    key_type: Option<KeyType>,
    timeout: Duration,
) -> Result<Connected, SourceError> {
    let whom = whom(settings);
    let deadline = Deadline::after(timeout);
    let failed = |doing: &str, error: NotIn| error.at(&deadline).into_source_error(format!("{doing} {whom}"));
    let (dialled, key_type) =
        trusted_session(settings, key_type, &deadline).map_err(|error| failed("connecting to", error))?;
    authenticate(&dialled.session, settings, &deadline).map_err(|error| failed("logging in as", error))?;
    let starting = |reason: String| failed("starting SFTP as", NotIn::Lost(reason));
    let mut ssh = open_channel(dialled.session, dialled.tcp, &deadline).map_err(starting)?;
    let (extensions, framer) = start_sftp(&mut ssh, &deadline).map_err(starting)?;
    ssh.session.set_blocking(false);
    drop(dialled.alarm);
    Ok(Connected {
        tcp: ssh.tcp.clone(),
        carrier: Box::new(ssh),
        extensions,
        framer,
        key_type,
    })
}

/// `user@host:port`, as errors have it.
pub(super) fn whom(settings: &SftpSettings) -> String {
    format!(
        "`{}@{}:{}`",
        excerpt(&settings.user),
        excerpt(&settings.host),
        settings.port
    )
}

/// Dials until the server shows a key that is trusted. A server has a key of each type and shows one: with pins that do not
/// say their type, each type is asked for before a mismatch is called.
fn trusted_session(
    settings: &SftpSettings,
    remembered: Option<KeyType>,
    deadline: &Deadline,
) -> Result<(Dialled, KeyType), NotIn> {
    let trust = Trust::read(settings).map_err(NotIn::Barred)?;
    let mut seen: Vec<SeenKey> = Vec::new();
    let first = trust.order(remembered);
    let others = trust.others_to_try().map(|key_type| vec![key_type]);
    for types in std::iter::once(first).chain(others) {
        // One type alone that was seen already is no news.
        if let [key_type] = types[..]
            && seen.iter().any(|key| key.kind == key_type.name())
        {
            continue;
        }
        let dialled = match dial(&settings.host, settings.port, &types, deadline) {
            Ok(dialled) => dialled,
            Err(HandshakeError::NothingInCommon(_) | HandshakeError::HungUp(_)) if !seen.is_empty() => continue,
            Err(
                HandshakeError::NothingInCommon(reason) | HandshakeError::HungUp(reason) | HandshakeError::Lost(reason),
            ) => return Err(NotIn::Lost(reason)),
        };
        let key = shown_key(&dialled.session).map_err(NotIn::Lost)?;
        match (trust.verdict(&key), KeyType::named(&key.kind)) {
            (Verdict::Trusted, Some(key_type)) => return Ok((dialled, key_type)),
            (Verdict::Revoked, _) => return Err(NotIn::Barred(trust.revoked(settings, &key))),
            (Verdict::Trusted | Verdict::Unknown, _) => seen.push(key),
        }
    }
    Err(NotIn::Barred(trust.mismatch(settings, &seen)))
}

/// The key a session's server showed.
fn shown_key(session: &Session) -> Result<SeenKey, String> {
    let (blob, _) = session.host_key().ok_or("the server showed no host key")?;
    SeenKey::from_blob(blob).ok_or_else(|| "the server's host key is malformed".to_string())
}

/// The keys that a server has, one dial for each type that it may have.
///
/// # Errors
/// `Lost` if it cannot be reached or has no key that we take.
pub fn host_keys(host: &str, port: u16, timeout: Duration) -> Result<Vec<SeenKey>, SourceError> {
    let deadline = Deadline::after(timeout);
    let lost = |reason: String| {
        let doing = format!("asking `{}:{port}` for its host keys", excerpt(host));
        NotIn::Lost(reason).at(&deadline).into_source_error(doing)
    };
    let mut keys = Vec::new();
    let mut refusal = String::new();
    for key_type in KeyType::ALL {
        match dial(host, port, &[key_type], &deadline) {
            Ok(dialled) => keys.push(shown_key(&dialled.session).map_err(lost)?),
            Err(HandshakeError::NothingInCommon(reason) | HandshakeError::HungUp(reason)) => refusal = reason,
            Err(HandshakeError::Lost(reason)) => return Err(lost(reason)),
        }
    }
    if keys.is_empty() { Err(lost(refusal)) } else { Ok(keys) }
}

/// TCP and the SSH handshake, with these types of host key, in this order of preference.
fn dial(host: &str, port: u16, types: &[KeyType], deadline: &Deadline) -> Result<Dialled, HandshakeError> {
    let tcp = Arc::new(tcp_connect(host, port, deadline).map_err(HandshakeError::Lost)?);
    let alarm = Alarm::set(&tcp, deadline).map_err(HandshakeError::Lost)?;
    let mut session = Session::new().map_err(|error| HandshakeError::Lost(words(&error)))?;
    let host_keys = types
        .iter()
        .flat_map(|key_type| key_type.methods())
        .copied()
        .collect::<Vec<_>>()
        .join(",");
    for (method, wanted) in [
        (MethodType::Kex, KEY_EXCHANGES),
        (MethodType::HostKey, &host_keys),
        (MethodType::CryptCs, CIPHERS),
        (MethodType::CryptSc, CIPHERS),
        (MethodType::MacCs, MACS),
        (MethodType::MacSc, MACS),
    ] {
        session
            .method_pref(method, wanted)
            .map_err(|error| HandshakeError::Lost(words(&error)))?;
    }
    session.set_compress(false);
    session.set_tcp_stream(tcp.clone());
    deadline.arm(&session).map_err(HandshakeError::Lost)?;
    match session.handshake() {
        Ok(()) => Ok(Dialled { session, tcp, alarm }),
        // LIBSSH2_ERROR_KEX_FAILURE and _METHOD_NONE: the two lists have nothing in common.
        Err(error) if matches!(error.code(), ErrorCode::Session(-5 | -17)) => {
            Err(HandshakeError::NothingInCommon(format!(
                "no SSH methods in common ({}); the server may offer only what is no longer safe",
                words(&error)
            )))
        }
        // LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE, _SOCKET_DISCONNECT and _SOCKET_RECV.
        Err(error) if matches!(error.code(), ErrorCode::Session(-8 | -13 | -43)) => {
            Err(HandshakeError::HungUp(format!("SSH handshake: {}", words(&error))))
        }
        Err(error) => Err(HandshakeError::Lost(format!("SSH handshake: {}", words(&error)))),
    }
}

fn tcp_connect(host: &str, port: u16, deadline: &Deadline) -> Result<TcpStream, String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("looking up the host name: {error}"))?;
    first_that_answers(&addresses.collect::<Vec<_>>(), deadline)
}

/// Addresses in their order, each with its share of what is left: one that swallows everything, as IPv6 does where it leads
/// nowhere, must leave time for the next.
fn first_that_answers(addresses: &[SocketAddr], deadline: &Deadline) -> Result<TcpStream, String> {
    let mut reason = "the host name has no address".to_string();
    for (index, address) in addresses.iter().enumerate() {
        let to_try = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = (deadline.left()? / to_try).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(tcp) => {
                // Requests are small and many; Nagle would hold each back for the last one's acknowledgement.
                tcp.set_nodelay(true)
                    .map_err(|error| format!("setting TCP_NODELAY: {error}"))?;
                return Ok(tcp);
            }
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(reason)
}

fn open_channel(session: Session, tcp: Arc<TcpStream>, deadline: &Deadline) -> Result<Ssh, String> {
    deadline.arm(&session)?;
    match session.channel_open("session", WINDOW, CHANNEL_PACKET, None) {
        Ok(channel) => Ok(Ssh { session, channel, tcp }),
        Err(error) => Err(format!("opening a channel: {}", words(&error))),
    }
}

/// Starts the subsystem and exchanges versions. Gives what the server offers, and what it sent beyond that.
fn start_sftp(ssh: &mut Ssh, deadline: &Deadline) -> Result<(Extensions, Framer), String> {
    let Ssh { session, channel, .. } = ssh;
    // What the server's side prints beside the protocol is thrown away, or it would fill the window. (OpenSSH sends none.)
    let ignored = channel.handle_extended_data(ExtendedData::Ignore);
    ignored.map_err(|error| words(&error))?;
    deadline.arm(session)?;
    channel.subsystem("sftp").map_err(|error| {
        let error = words(&error);
        format!("the server does not start SFTP for this account ({error}); is it enabled there?")
    })?;
    deadline.arm(session)?;
    let sent = channel.write_all(&wire::init());
    sent.map_err(|error| format!("sending INIT: {error}"))?;
    let mut framer = Framer::new();
    let extensions = loop {
        if let Some(packet) = framer.next().map_err(|error| error.to_string())? {
            break wire::decode_version(packet).map_err(|error| error.to_string())?;
        }
        deadline.arm(session)?;
        match channel.read(framer.space()) {
            Ok(0) if channel.eof() => {
                return Err("the server ended the session at once; is SFTP allowed for this account?".to_string());
            }
            Ok(count) => framer.received(count),
            Err(error) => return Err(format!("waiting for VERSION: {error}")),
        }
    };
    Ok((extensions, framer))
}

/// libssh2's words for an error, without its numbers.
pub(super) fn words(error: &ssh2::Error) -> String {
    excerpt(error.message())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address that swallows what is sent to it: its queue is full, and nobody takes from it.
    fn black_hole() -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let waiting = std::iter::from_fn(connect).take(8).collect();
        (listener, waiting)
    }

    #[test]
    fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let (hole, _waiting) = black_hole();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [hole.local_addr().unwrap(), good.local_addr().unwrap()];
        let deadline = Deadline::after(Duration::from_secs(2));
        let tcp = first_that_answers(&addresses, &deadline).unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), addresses[1]);
        assert!(deadline.left().is_ok());
        assert!(first_that_answers(&addresses[..1], &deadline).is_err());
        assert!(first_that_answers(&[], &deadline).is_err());
    }
}
