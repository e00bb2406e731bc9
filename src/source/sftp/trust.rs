//! Which host keys are trusted: pins from the configuration, and `known_hosts` files as OpenSSH writes them.
//!
//! A server has one key of each type and shows the one that the client asks for first. So the types that we know go first in
//! the negotiation, or a server with a perfectly known key would show another one and be called an impostor.
//!
//! Lines of `known_hosts` are read here, for names, patterns, ports and `@revoked`; hashed names are left to libssh2, which
//! has the HMAC-SHA-1 for it. Certificates (`@cert-authority`) are not supported: such lines are passed over.

use std::path::Path;

use sha2::{Digest, Sha256};
use ssh2::{CheckResult, KnownHostFileKind, Session};

use super::super::excerpt;
use crate::config::resolve::SftpSettings;

/// Longest `known_hosts` file read. A large site's has a few MB; without a bound a wrong path could name a log.
const KNOWN_HOSTS_MAX: u64 = 16 * 1024 * 1024;

/// A type of host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Ed25519,
    Ecdsa256,
    Ecdsa384,
    Ecdsa521,
    Rsa,
}

impl KeyType {
    /// All that we take, best first. DSA and certificates are not among them.
    pub const ALL: [KeyType; 5] = [
        KeyType::Ed25519,
        KeyType::Ecdsa256,
        KeyType::Ecdsa384,
        KeyType::Ecdsa521,
        KeyType::Rsa,
    ];

    /// Its name in keys and in `known_hosts`.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Ed25519 => "ssh-ed25519",
            KeyType::Ecdsa256 => "ecdsa-sha2-nistp256",
            KeyType::Ecdsa384 => "ecdsa-sha2-nistp384",
            KeyType::Ecdsa521 => "ecdsa-sha2-nistp521",
            KeyType::Rsa => "ssh-rsa",
        }
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|key_type| key_type.name() == name)
    }

    /// Its methods in the negotiation. RSA with SHA-1 is not among them.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            KeyType::Ed25519 => &["ssh-ed25519"],
            KeyType::Ecdsa256 => &["ecdsa-sha2-nistp256"],
            KeyType::Ecdsa384 => &["ecdsa-sha2-nistp384"],
            KeyType::Ecdsa521 => &["ecdsa-sha2-nistp521"],
            KeyType::Rsa => &["rsa-sha2-512", "rsa-sha2-256"],
        }
    }
}

/// A host key that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKey {
    /// Its type, such as `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:` and 43 characters, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The key itself, as `known_hosts` has it.
    pub base64: String,
}

impl SeenKey {
    /// From the key's bytes, whose first field is the type.
    pub(super) fn from_blob(blob: &[u8]) -> Option<SeenKey> {
        let (len, rest) = blob.split_first_chunk::<4>()?;
        let kind = std::str::from_utf8(rest.get(..u32::from_be_bytes(*len) as usize)?).ok()?;
        let printable = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_graphic());
        printable.then(|| SeenKey {
            kind: kind.to_string(),
            fingerprint: format!("SHA256:{}", base64(&Sha256::digest(blob)).trim_end_matches('=')),
            base64: base64(blob),
        })
    }
}

impl std::fmt::Display for SeenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.fingerprint)
    }
}

/// What a key is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one of those expected.
    Trusted,
    /// `known_hosts` says that it was revoked.
    Revoked,
    /// It is none of them.
    Unknown,
}

/// What is trusted for one host.
#[derive(Debug)]
pub(super) struct Trust {
    fingerprints: Vec<String>,
    keys: Vec<(String, String)>,
    revoked: Vec<String>,
}

impl Trust {
    /// From the configuration; errors are for the operator.
    pub fn read(settings: &SftpSettings) -> Result<Trust, String> {
        let mut trust = Trust {
            fingerprints: Vec::new(),
            keys: Vec::new(),
            revoked: Vec::new(),
        };
        for pin in &settings.host_keys {
            trust.pin(pin)?;
        }
        if let Some(path) = &settings.known_hosts {
            let text = read_known_hosts(path)?;
            trust.known_hosts(&text, &settings.host, settings.port);
        }
        if settings.host_keys.is_empty() && settings.known_hosts.is_none() {
            return Err(
                "no host key is trusted: set `host_key` or `known_hosts` (`feedgate keys` shows the key)".into(),
            );
        }
        Ok(trust)
    }

    /// `SHA256:…`, with or without padding, or `type base64 [comment]`.
    fn pin(&mut self, pin: &str) -> Result<(), String> {
        let pin = pin.trim();
        if let Some(hash) = pin.strip_prefix("SHA256:") {
            let hash = hash.trim_end_matches('=');
            if hash.len() != 43 || !hash.bytes().all(is_base64) {
                return Err(format!(
                    "`host_key`: `{}` is not `SHA256:` and 43 characters",
                    excerpt(pin)
                ));
            }
            self.fingerprints.push(format!("SHA256:{hash}"));
            return Ok(());
        }
        let mut words = pin.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(key)) if KeyType::named(kind).is_some() && is_key(key) => {
                self.keys.push((kind.to_string(), key.to_string()));
                Ok(())
            }
            _ => Err(format!(
                "`host_key`: `{}` is neither `SHA256:…` nor a whole key such as `ssh-ed25519 AAAA…`",
                excerpt(pin)
            )),
        }
    }

    /// Takes over the lines about this host. Lines that make no sense are passed over, as OpenSSH does.
    fn known_hosts(&mut self, text: &str, host: &str, port: u16) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = words.next_if(|word| word.starts_with('@'));
            let (Some(names), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if names.starts_with('#') || !is_key(key) || !names_host(names, host, port) {
                continue;
            }
            match marker {
                None => self.keys.push((kind.to_string(), key.to_string())),
                Some("@revoked") => self.revoked.push(key.to_string()),
                Some(_) => {}
            }
        }
    }

    /// What this key is to us.
    pub fn verdict(&self, key: &SeenKey) -> Verdict {
        if self.revoked.contains(&key.base64) {
            Verdict::Revoked
        } else if self.fingerprints.contains(&key.fingerprint)
            || self
                .keys
                .iter()
                .any(|(kind, base64)| *kind == key.kind && *base64 == key.base64)
        {
            Verdict::Trusted
        } else {
            Verdict::Unknown
        }
    }

    /// Every type, those that are known for this host first.
    pub fn order(&self, remembered: Option<KeyType>) -> Vec<KeyType> {
        let mut order = KeyType::ALL.to_vec();
        order.sort_by_key(|key_type| (Some(*key_type) != remembered, !self.knows(*key_type)));
        order
    }

    /// The types worth another dial when the first key shown was not trusted.
    pub fn others_to_try(&self) -> impl Iterator<Item = KeyType> {
        KeyType::ALL
            .into_iter()
            .filter(|key_type| !self.fingerprints.is_empty() || self.knows(*key_type))
    }

    fn knows(&self, key_type: KeyType) -> bool {
        self.keys.iter().any(|(kind, _)| kind == key_type.name())
    }

    /// What to say of keys that are not trusted, and what to write if they should be.
    pub fn mismatch(&self, settings: &SftpSettings, seen: &[SeenKey]) -> String {
        let shown = seen.iter().map(SeenKey::to_string).collect::<Vec<_>>().join(", ");
        let why = match &settings.known_hosts {
            Some(path) if settings.host_keys.is_empty() && self.keys.is_empty() => {
                format!("`{}` has no key for this host", path.display())
            }
            Some(path) if settings.host_keys.is_empty() => {
                format!("`{}` has another key for this host", path.display())
            }
            _ => "it is not the key that is pinned".to_string(),
        };
        let line = seen.first().map(host_key_line).unwrap_or_default();
        format!(
            "the server shows the host key {shown}, and {why}; either the server got a new key, or somebody stands in \
             between: ask whoever runs it, and if the key is right, write `{line}`"
        )
    }

    /// What to say of a revoked key.
    pub fn revoked(&self, settings: &SftpSettings, key: &SeenKey) -> String {
        let path = settings.known_hosts.as_deref().unwrap_or(Path::new("known_hosts"));
        format!(
            "the server shows the host key {key}, which `{}` marks as revoked",
            path.display()
        )
    }
}

/// The line of the configuration that trusts a key.
pub fn host_key_line(key: &SeenKey) -> String {
    format!("host_key = \"{}\"", key.fingerprint)
}

fn read_known_hosts(path: &Path) -> Result<String, String> {
    let reading = |error: std::io::Error| format!("`known_hosts`: reading `{}`: {error}", path.display());
    let len = std::fs::metadata(path).map_err(reading)?.len();
    if len > KNOWN_HOSTS_MAX {
        return Err(format!(
            "`known_hosts`: `{}` has {len} bytes, which is no list of keys",
            path.display()
        ));
    }
    let bytes = std::fs::read(path).map_err(reading)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the first field of a line names this host: `name,name`, `*.example.com`, `!name`, `[name]:port`, or a hash.
///
/// As OpenSSH does, a line without a port counts for any port.
fn names_host(names: &str, host: &str, port: u16) -> bool {
    let bare = host.to_ascii_lowercase();
    let with_port = format!("[{bare}]:{port}");
    if names.starts_with('|') {
        return hashed_name_is(names, &with_port) || hashed_name_is(names, &bare);
    }
    let mut found = false;
    for pattern in names.split(',') {
        let pattern = pattern.to_ascii_lowercase();
        let (negated, pattern) = pattern
            .strip_prefix('!')
            .map_or((false, pattern.as_str()), |rest| (true, rest));
        if glob(pattern.as_bytes(), bare.as_bytes()) || glob(pattern.as_bytes(), with_port.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Asks libssh2 whether a hashed name is this one. The key beside it plays no part: any answer but "not found" will do.
fn hashed_name_is(hashed: &str, name: &str) -> bool {
    let check = || -> Result<CheckResult, ssh2::Error> {
        let session = Session::new()?;
        let mut hosts = session.known_hosts()?;
        hosts.read_str(
            &format!("{hashed} ssh-ed25519 {}", "A".repeat(68)),
            KnownHostFileKind::OpenSSH,
        )?;
        Ok(hosts.check(name, b"any"))
    };
    matches!(check(), Ok(CheckResult::Match | CheckResult::Mismatch))
}

/// `*` and `?`, as in `known_hosts`. Linear in pattern times name: the last star is all that is ever gone back to.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut here, mut star) = (0, 0, None);
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[here] => {
                at += 1;
                here += 1;
            }
            _ => match star {
                Some((star_at, star_here)) => {
                    at = star_at + 1;
                    here = star_here + 1;
                    star = Some((star_at, here));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn is_key(text: &str) -> bool {
    text.len() >= 40 && text.trim_end_matches('=').bytes().all(is_base64)
}

/// Base64 with padding. A dozen lines; not worth a dependency.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            text.push(match place <= group.len() {
                true => char::from(LETTERS[(bits >> (18 - 6 * place) & 0x3f) as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_rfc_4648_has_it() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, expected) in cases {
            assert_eq!(base64(plain.as_bytes()), expected);
        }
    }

    #[test]
    fn names_of_hosts() {
        let check =
            |names: &str, expected: bool| assert_eq!(names_host(names, "SFTP.example.com", 2222), expected, "{names}");
        check("sftp.example.com", true);
        check("[sftp.example.com]:2222", true);
        check("[sftp.example.com]:22", false);
        check("other,sftp.example.com", true);
        check("*.example.com", true);
        check("*.example.org", false);
        check("sftp?example.com", true);
        check("*.example.com,!sftp.example.com", false);
        check("!sftp.example.com,*.example.com", false);
        check("!other.example.com", false);
        check("*", true);
        check("", false);
        check("**a**", true);
        check("|1|", false);
        check("|1|not|base64", false);
        check("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=", false);
    }

    #[test]
    fn names_that_are_hashed() {
        // The vector of OpenSSH's own key tests: 192.168.1.61 under this salt.
        let hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";
        assert!(names_host(hashed, "192.168.1.61", 22));
        assert!(!names_host(hashed, "192.168.1.62", 22));
    }

    #[test]
    fn pins() {
        let check = |pin: &str, expected: bool| {
            let mut trust = Trust {
                fingerprints: vec![],
                keys: vec![],
                revoked: vec![],
            };
            assert_eq!(trust.pin(pin).is_ok(), expected, "{pin}");
        };
        let hash = "n".repeat(43);
        check(&format!("SHA256:{hash}"), true);
        check(&format!(" SHA256:{hash}= "), true);
        check(&format!("SHA256:{hash}n"), false);
        check("SHA256:short", false);
        check(&format!("MD5:{hash}"), false);
        check(&format!("ssh-ed25519 {}", "A".repeat(68)), true);
        check(&format!("ssh-ed25519 {} a comment", "A".repeat(68)), true);
        check("ssh-ed25519", false);
        check("ssh-ed25519 short", false);
        check(&format!("ssh-dss {}", "A".repeat(68)), false);
        check("", false);
    }

    #[test]
    fn keys_that_are_no_keys() {
        for blob in [
            &b""[..],
            b"\0\0",
            b"\0\0\0\x0bssh",
            b"\xff\xff\xff\xffssh-rsa",
            b"\0\0\0\0",
            b"\0\0\0\x02\n\n",
        ] {
            assert_eq!(SeenKey::from_blob(blob), None);
        }
    }
}
