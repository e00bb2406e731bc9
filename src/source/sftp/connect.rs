//! From a host name to a channel that speaks SFTP: TCP, handshake, host key, authentication, subsystem, VERSION.
//!
//! Plain blocking code, on the thread that will be the pump's. libssh2 waits by itself here, and every wait has what is left
//! of one deadline; afterwards the session is non-blocking for good.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::{Channel, ErrorCode, ExtendedData, MethodType, Session};

use super::super::{SourceError, excerpt, seconds};
use super::authenticate::authenticate;
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

/// Ciphers. ChaCha20 goes first: libssh2 decrypts AES sixteen bytes at a time, and no CBC at all.
const CIPHERS: &str =
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";

/// Message authentication, for the ciphers that do not bring their own.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// A connection that is ready for requests.
pub(super) struct Connected {
    /// The session, non-blocking.
    pub session: Session,
    /// Its channel with subsystem `sftp`.
    pub channel: Channel,
    /// The socket.
    pub tcp: Arc<TcpStream>,
    /// What the server offers beyond version 3.
    pub extensions: Extensions,
    /// What came after VERSION.
    pub framer: Framer,
    /// The type of the host key that was trusted: to be asked for first the next time.
    pub key_type: Option<KeyType>,
}

/// The moment by which all of it must be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    /// From now.
    pub fn after(whole: Duration) -> Deadline {
        Deadline {
            at: Instant::now() + whole,
            whole,
        }
    }

    /// What is left, or how to say that nothing is.
    pub fn left(&self) -> Result<Duration, String> {
        let left = self.at.saturating_duration_since(Instant::now());
        // libssh2 takes 0 ms for "for ever".
        if left < Duration::from_millis(1) {
            Err(format!("not done within {}", seconds(self.whole)))
        } else {
            Ok(left)
        }
    }

    /// Gives the session's next blocking call what is left.
    pub fn arm(&self, session: &Session) -> Result<(), String> {
        session.set_timeout(u32::try_from(self.left()?.as_millis()).unwrap_or(u32::MAX));
        Ok(())
    }
}

/// How a handshake failed.
enum HandshakeError {
    /// No connection, or it broke.
    Lost(String),
    /// The server and we have no method in common: with one type of host key asked for, it has none of that type.
    NothingInCommon(String),
}

/// Connects, and is let in.
pub(super) fn connect(
    settings: &SftpSettings,
    key_type: Option<KeyType>,
    timeout: Duration,
) -> Result<Connected, SourceError> {
    let whom = whom(settings);
    let deadline = Deadline::after(timeout);
    let lost = |reason: String| SourceError::Lost {
        doing: format!("connecting to {whom}"),
        reason,
    };
    let barred = |reason: String| SourceError::Barred {
        doing: format!("connecting to {whom}"),
        reason,
    };

    let trust = Trust::read(settings).map_err(barred)?;
    let (session, tcp, key_type) = trusted_session(settings, &trust, key_type, &deadline, &lost, &barred)?;
    authenticate(&session, settings, &deadline)
        .map_err(|error| error.into_source_error(format!("logging in as {whom}")))?;
    let outcome = open_channel(&session, &deadline);
    // From here on nothing may block, least of all the clean-up of what failed.
    session.set_blocking(false);
    let (channel, extensions, framer) = outcome.map_err(|reason| SourceError::Lost {
        doing: format!("starting SFTP as {whom}"),
        reason,
    })?;
    Ok(Connected {
        session,
        channel,
        tcp,
        extensions,
        framer,
        key_type: Some(key_type),
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
    trust: &Trust,
    remembered: Option<KeyType>,
    deadline: &Deadline,
    lost: &dyn Fn(String) -> SourceError,
    barred: &dyn Fn(String) -> SourceError,
) -> Result<(Session, Arc<TcpStream>, KeyType), SourceError> {
    let mut seen: Vec<SeenKey> = Vec::new();
    let first = trust.order(remembered);
    let dialled = dial(&settings.host, settings.port, &first, deadline);
    let (session, tcp) = dialled.map_err(|error| match error {
        HandshakeError::Lost(reason) | HandshakeError::NothingInCommon(reason) => lost(reason),
    })?;
    if let Some(found) = judge(trust, session, tcp, &mut seen, lost, barred, settings)? {
        return Ok(found);
    }
    for key_type in trust.others_to_try() {
        if seen.iter().any(|key| key.kind == key_type.name()) {
            continue;
        }
        match dial(&settings.host, settings.port, &[key_type], deadline) {
            Ok((session, tcp)) => {
                if let Some(found) = judge(trust, session, tcp, &mut seen, lost, barred, settings)? {
                    return Ok(found);
                }
            }
            Err(HandshakeError::NothingInCommon(_)) => {}
            Err(HandshakeError::Lost(reason)) => return Err(lost(reason)),
        }
    }
    Err(barred(trust.mismatch(settings, &seen)))
}

/// Looks at the key that a session shows: `None` if it is not a trusted one.
fn judge(
    trust: &Trust,
    session: Session,
    tcp: Arc<TcpStream>,
    seen: &mut Vec<SeenKey>,
    lost: &dyn Fn(String) -> SourceError,
    barred: &dyn Fn(String) -> SourceError,
    settings: &SftpSettings,
) -> Result<Option<(Session, Arc<TcpStream>, KeyType)>, SourceError> {
    let key = shown_key(&session).map_err(lost)?;
    match trust.verdict(&key) {
        Verdict::Trusted => {
            let key_type = KeyType::named(&key.kind).ok_or_else(|| lost(format!("a host key of type {}", key.kind)))?;
            Ok(Some((session, tcp, key_type)))
        }
        Verdict::Revoked => Err(barred(trust.revoked(settings, &key))),
        Verdict::Unknown => {
            seen.push(key);
            Ok(None)
        }
    }
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
    let lost = |reason: String| {
        let doing = format!("asking `{}:{port}` for its host keys", excerpt(host));
        SourceError::Lost { doing, reason }
    };
    let deadline = Deadline::after(timeout);
    let mut keys = Vec::new();
    let mut refusal = String::new();
    for key_type in KeyType::ALL {
        match dial(host, port, &[key_type], &deadline) {
            Ok((session, _)) => keys.push(shown_key(&session).map_err(lost)?),
            Err(HandshakeError::NothingInCommon(reason)) => refusal = reason,
            Err(HandshakeError::Lost(reason)) => return Err(lost(reason)),
        }
    }
    if keys.is_empty() { Err(lost(refusal)) } else { Ok(keys) }
}

/// TCP and the SSH handshake, with these types of host key, in this order of preference.
fn dial(
    host: &str,
    port: u16,
    types: &[KeyType],
    deadline: &Deadline,
) -> Result<(Session, Arc<TcpStream>), HandshakeError> {
    let tcp = Arc::new(tcp_connect(host, port, deadline).map_err(HandshakeError::Lost)?);
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
        Ok(()) => Ok((session, tcp)),
        // LIBSSH2_ERROR_KEX_FAILURE and _METHOD_NONE: the two lists have nothing in common.
        Err(error) if matches!(error.code(), ErrorCode::Session(-5 | -17)) => {
            Err(HandshakeError::NothingInCommon(format!(
                "no SSH methods in common ({}); the server may offer only what is no longer safe",
                words(&error)
            )))
        }
        Err(error) => Err(HandshakeError::Lost(format!("SSH handshake: {}", words(&error)))),
    }
}

fn tcp_connect(host: &str, port: u16, deadline: &Deadline) -> Result<TcpStream, String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("looking up the host name: {error}"))?;
    let mut reason = "the host name has no address".to_string();
    for address in addresses {
        match TcpStream::connect_timeout(&address, deadline.left()?) {
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

/// Opens the channel, starts the subsystem and exchanges versions.
fn open_channel(session: &Session, deadline: &Deadline) -> Result<(Channel, Extensions, Framer), String> {
    deadline.arm(session)?;
    let channel = session.channel_open("session", WINDOW, CHANNEL_PACKET, None);
    let mut channel = channel.map_err(|error| format!("opening a channel: {}", words(&error)))?;
    // What the server's side prints beside the protocol is thrown away, or it would fill the window. (OpenSSH sends none.)
    channel
        .handle_extended_data(ExtendedData::Ignore)
        .map_err(|error| words(&error))?;
    deadline.arm(session)?;
    channel.subsystem("sftp").map_err(|error| {
        format!(
            "the server does not start SFTP for this account ({}); is it enabled there?",
            words(&error)
        )
    })?;
    deadline.arm(session)?;
    channel
        .write_all(&wire::init())
        .map_err(|error| format!("sending INIT: {error}"))?;
    let mut framer = Framer::default();
    let mut chunk = [0; 4096];
    let version = loop {
        if let Some(packet) = framer.next().map_err(|error| error.to_string())? {
            break packet;
        }
        deadline.arm(session)?;
        match channel.read(&mut chunk) {
            Ok(0) if channel.eof() => {
                return Err("the server ended the session at once; is SFTP allowed for this account?".to_string());
            }
            Ok(count) => framer.push(&chunk[..count]),
            Err(error) => return Err(format!("waiting for VERSION: {error}")),
        }
    };
    let extensions = wire::decode_version(&version).map_err(|error| error.to_string())?;
    // What the server's side prints from now on is thrown away, or it would fill the window.
    channel
        .handle_extended_data(ExtendedData::Ignore)
        .map_err(|error| words(&error))?;
    Ok((channel, extensions, framer))
}

/// libssh2's words for an error, without its numbers.
pub(super) fn words(error: &ssh2::Error) -> String {
    excerpt(error.message())
}
