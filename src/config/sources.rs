//! Sources: where they are, how to be let in, how the server is known.

use std::path::PathBuf;
use std::time::Duration;

use super::form::{RelativeDir, Strings};
use super::problem::Place;
use super::resolve::{Location, SftpSettings, SourceSettings};
use super::resolver::{Resolver, name_of, placed};
use super::section::Written;
use super::url::Url;
use super::{DAY, MINUTE, SECOND, Source};

/// Keys that say something only of a server.
const SFTP_KEYS: [&str; 9] = [
    "private_key_file",
    "private_key_passphrase_file",
    "private_key_passphrase_env",
    "password_file",
    "password_env",
    "host_key",
    "known_hosts",
    "agent",
    "timeout",
];

impl Resolver<'_> {
    pub(super) fn source(&mut self, source: &Source) -> SourceSettings {
        for key in ["name", "url"] {
            if !source.gives(key) {
                self.missing("source", key, &source.place);
            }
        }
        let location = match source.url.as_ref().map(|url| url.value.clone()) {
            Some(Url::Sftp { user, host, port, root }) => self.sftp(source, user, host, port, root),
            Some(Url::File(dir)) => {
                self.refuse_sftp_keys(source);
                Location::Local { dir }
            }
            None => Location::Local { dir: PathBuf::new() },
        };
        self.refuse_shared_dirs(source);
        SourceSettings {
            name: name_of(&source.name),
            location,
            poll_interval: self.duration("poll_interval", &source.poll_interval, Duration::from_millis(100)..=DAY),
            settle: self.duration("settle", &source.settle, Duration::ZERO..=DAY),
            incomplete_grace: self.duration("incomplete_grace", &source.incomplete_grace, Duration::ZERO..=30 * DAY),
            timeout: self.duration("timeout", &source.timeout, SECOND..=60 * MINUTE),
            packaging: source.packaging.value,
            after: source.after.value,
            processed_dir: source.processed_dir.value.0.clone(),
            failed_dir: source.failed_dir.as_ref().map(|dir| dir.value.0.clone()),
            receipts: source.receipts.value,
            receipts_dir: source.receipts_dir.value.0.clone(),
            default_business_unit: source.default_business_unit.as_ref().map(|unit| unit.value.0.clone()),
            duplicate_keys: source.duplicate_keys.value,
            max_rejected: source.max_rejected.as_ref().map(|limit| limit.value),
            ordered_items: source.ordered_items.value,
            order_unique: source.order_unique.value,
            user_feed_wait: self.duration("user_feed_wait", &source.user_feed_wait, Duration::ZERO..=DAY),
        }
    }

    fn sftp(&mut self, source: &Source, user: Option<String>, host: String, port: u16, root: String) -> Location {
        let url_place = source.url.as_ref().map_or(&source.place, |url| &url.place);
        let user = user.unwrap_or_else(|| {
            self.problem(url_place, "`url` names no user: write `sftp://user@host/path`");
            String::new()
        });
        // An empty list pins nothing.
        let is_empty = source.host_key.as_ref().is_some_and(|keys| keys.value.0.is_empty());
        if (is_empty || !source.gives("host_key")) && !source.gives("known_hosts") {
            self.problem(
                url_place,
                format!(
                    "the server cannot be told from an impostor: add `host_key` or `known_hosts`; `feedgate keys \
                     sftp://{}` shows the server's keys",
                    authority(&host, port)
                ),
            );
        }
        let has_key = source.gives("private_key_file");
        if !has_key && !source.gives("password_file") && !source.gives("password_env") && !source.agent.value {
            self.problem(
                url_place,
                "nothing says how to be let in: add `private_key_file`, `password_file`, `password_env` or `agent = true`",
            );
        }
        let passphrase = self.secret(
            "private_key_passphrase",
            &source.private_key_passphrase_file,
            &source.private_key_passphrase_env,
        );
        if let (false, Some(place)) = (has_key, passphrase_place(source)) {
            self.problem(place, "a passphrase without a key: add `private_key_file`");
        }
        let private_key = source
            .private_key_file
            .as_ref()
            .and_then(|file| self.private_key(file, passphrase));
        Location::Sftp(SftpSettings {
            host,
            port,
            user,
            root,
            password: self.secret("password", &source.password_file, &source.password_env),
            private_key,
            agent: source.agent.value,
            host_keys: source
                .host_key
                .as_ref()
                .map_or_else(Vec::new, |keys| self.host_keys(keys)),
            known_hosts: source.known_hosts.as_ref().map(|file| {
                if let Err(error) = std::fs::File::open(&file.value) {
                    self.problem(&file.place, format!("reading `{}`: {error}", file.value.display()));
                }
                file.value.clone()
            }),
        })
    }

    fn refuse_sftp_keys(&mut self, source: &Source) {
        for key in SFTP_KEYS {
            // What is switched off does no harm.
            let is_off = key == "agent" && !source.agent.value;
            if let Some(place) = source.place_of(key).filter(|_| !is_off) {
                self.problem(
                    place,
                    format!("`{key}` is for `sftp://` sources; this one is a local directory"),
                );
            }
        }
    }

    /// A receipt among the processed archives, or a failed one, would be taken for something else.
    fn refuse_shared_dirs(&mut self, source: &Source) {
        let mut dirs: Vec<(&str, &Written<RelativeDir>)> = vec![
            ("processed_dir", &source.processed_dir),
            ("receipts_dir", &source.receipts_dir),
        ];
        dirs.extend(source.failed_dir.as_ref().map(|dir| ("failed_dir", dir)));
        for (n, (key, dir)) in dirs.iter().enumerate() {
            if let Some((other, _)) = dirs[..n].iter().find(|(_, other)| other.value == dir.value) {
                let place = if dir.place == Place::Nowhere {
                    &source.place
                } else {
                    &dir.place
                };
                self.problem(
                    place,
                    format!("`{key}` and `{other}` are the same directory; give each its own"),
                );
            }
        }
    }

    /// Two sources of one root would import every archive twice: to the ledger they are two.
    pub(super) fn refuse_shared_roots(&mut self, written: &[Source], sources: &[SourceSettings]) {
        for (n, source) in sources.iter().enumerate() {
            let Some(url) = &written[n].url else { continue };
            if let Some(other) = sources[..n]
                .iter()
                .find(|other| same_root(&other.location, &source.location))
            {
                self.problem(
                    &url.place,
                    format!(
                        "source `{}` has the same root, and every archive in it would be imported twice; leave one out",
                        other.name
                    ),
                );
            }
        }
    }

    fn host_keys(&mut self, keys: &Written<Strings>) -> Vec<String> {
        let mut pins = Vec::new();
        for key in &keys.value.0 {
            match host_key(key) {
                Ok(pin) => pins.push(pin),
                Err(wanted) => self.problem(&keys.place, format!("`host_key`: {wanted}")),
            }
        }
        pins
    }
}

/// Whether two places are one, as far as their spelling tells.
fn same_root(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Sftp(one), Location::Sftp(other)) => {
            one.host.eq_ignore_ascii_case(&other.host)
                && (one.port, &one.user) == (other.port, &other.user)
                && one.root.trim_end_matches('/') == other.root.trim_end_matches('/')
        }
        (Location::Local { dir }, Location::Local { dir: other }) => dir.components().eq(other.components()),
        _ => false,
    }
}

fn passphrase_place(source: &Source) -> Option<&Place> {
    placed(&source.private_key_passphrase_file).or(placed(&source.private_key_passphrase_env))
}

fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    if port == 22 { host } else { format!("{host}:{port}") }
}

/// A pin in the form that `source` compares: `SHA256:…` without padding, or type and key without a comment.
fn host_key(text: &str) -> Result<String, &'static str> {
    let is_base64 = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    };
    if let Some(digest) = text.strip_prefix("SHA256:") {
        let digest = digest.trim_end_matches('=');
        // 32 bytes are 43 letters.
        if digest.len() == 43 && is_base64(digest) {
            return Ok(format!("SHA256:{digest}"));
        }
        return Err("after `SHA256:` 43 letters are wanted, as `ssh-keygen -l` and `feedgate keys` show them");
    }
    if text.starts_with("MD5:") || (text.len() == 47 && text.matches(':').count() == 15) {
        return Err("MD5 fingerprints can be forged; `feedgate keys` shows the SHA256 one");
    }
    let mut words = text.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err("`SHA256:…` or a whole key, `ssh-ed25519 AAAA…`, is wanted");
    };
    let is_kind = kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-") || kind.starts_with("sk-");
    if !is_kind {
        return Err("a key begins with its type, such as `ssh-ed25519`; a host's name in front of it is left out");
    }
    if !key.starts_with("AAAA") || !is_base64(key.trim_end_matches('=')) {
        return Err("after the key's type `AAAA…` is wanted");
    }
    Ok(format!("{kind} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(host_key(text).ok().as_deref(), expect, "{text}");
        };
        let digest = "SHA256:uNiVztksCsDhcc0u9e8BrmJwPfjKCXdxpLJ3ETDSfbE";
        check(digest, Some(digest));
        check(&format!("{digest}="), Some(digest));
        check("SHA256:short", None);
        check("SHA256:uNiVztksCsDhcc0u9e8BrmJwPfjKCXdxpLJ3ETDSfb!", None);
        check("ssh-ed25519 AAAAC3Nz host", Some("ssh-ed25519 AAAAC3Nz"));
        check("ecdsa-sha2-nistp256 AAAAE2Vj==", Some("ecdsa-sha2-nistp256 AAAAE2Vj=="));
        check("example.com ssh-ed25519 AAAAC3Nz", None);
        check("ssh-ed25519", None);
        check("MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", None);
        check("16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", None);
    }
}
