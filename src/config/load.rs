//! From what was written to what the program uses: defaults filled in, secrets read, everything held against everything else.
//!
//! Everything that is wrong is told at once, each with its place. Relative paths are relative to the working directory, as
//! with any other program; in a container all of them are absolute.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::form::{Bytes, Compression, Count, Kind, Name, Partition, RelativeDir, Strings, Text};
use super::problem::{ConfigError, Place, Problem};
use super::resolve::{
    DestinationKind, DestinationSettings, ImportLogSettings, LimitSettings, Location, PrivateKey, Secret, Settings,
    SftpSettings, SourceSettings, SpoolSettings, Start,
};
use super::section::{Section, Written};
use super::tree::{self, Node, Value};
use super::url::Url;
use super::{DAY, Destination, File, GIB, KIB, Limits, MINUTE, SECOND, Source, TIB};

/// Where the configuration is looked for when nobody names one.
const PLACES: [&str; 2] = ["config/feedgate.toml", "/etc/feedgate/feedgate.toml"];

/// The variable that names the configuration.
const CONFIG_VARIABLE: &str = "FEEDGATE_CONFIG";

/// Largest secret that is read; an RSA key of 16,384 bits has 13 KiB.
const SECRET_BYTES_MAX: u64 = 64 * KIB;

/// Level of compression where none is given: zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// What lies in `state_dir` and belongs to nobody else.
const STATE_NAMES: [&str; 5] = ["ledger.db", "spool", "imports.jsonl", "lock", "heartbeat"];

type Environment = BTreeMap<String, String>;

impl Settings {
    /// Reads the configuration: the file at `path`, else the one that `FEEDGATE_CONFIG` names, else `config/feedgate.toml`,
    /// else `/etc/feedgate/feedgate.toml`, with the environment's `FEEDGATE__…` variables laid over it. With such variables
    /// there need be no file at all.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, ConfigError> {
        let environment: Environment = environment.into_iter().collect();
        let path = place(path, &environment)?;
        let text = text_of(path.as_deref())?;
        settings(&text, &environment).map_err(|problems| wrong(path, problems))
    }

    /// Reads a text as if it were the file, with nothing laid over it.
    pub fn parse(text: &str) -> Result<Settings, ConfigError> {
        settings(text, &Environment::new()).map_err(|problems| wrong(None, problems))
    }
}

fn settings(text: &str, environment: &Environment) -> Result<Settings, Vec<Problem>> {
    let mut root = tree::parse(text)?;
    let mut problems = tree::overlay(&mut root, environment);
    let file: File = read(&root, &mut problems);
    let settings = Resolver::new(environment, &mut problems).settings(&file);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

/// Reads `state_dir` alone: `status` and `events` must work while the rest of the file is being mended, and where the
/// secrets cannot be read.
pub fn load_state_dir(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<PathBuf, ConfigError> {
    let environment: Environment = environment.into_iter().collect();
    let path = place(path, &environment)?;
    let text = text_of(path.as_deref())?;
    let mut root = tree::parse(&text).map_err(|problems| wrong(path.clone(), problems))?;
    // What is wrong with other keys is not asked here.
    tree::overlay(&mut root, &environment);
    if let Value::Table(entries) = &mut root.value {
        entries.retain(|entry| entry.key == "state_dir");
    }
    let mut problems = Vec::new();
    let file: File = read(&root, &mut problems);
    let state_dir = Resolver::new(&environment, &mut problems).absolute(&file.state_dir);
    if problems.is_empty() {
        return Ok(state_dir);
    }
    Err(wrong(path, problems))
}

/// The file that is to be read; `None` where there are only variables.
pub fn place(path: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = path {
        return Ok(Some(path.to_owned()));
    }
    if let Some(named) = environment.get(CONFIG_VARIABLE).filter(|named| !named.is_empty()) {
        return Ok(Some(PathBuf::from(named)));
    }
    if let Some(found) = PLACES.iter().find(|place| Path::new(place).exists()) {
        return Ok(Some(PathBuf::from(found)));
    }
    if tree::sets_anything(environment) {
        return Ok(None);
    }
    Err(ConfigError::Absent {
        tried: PLACES.iter().map(|place| format!("`{place}`")).collect(),
    })
}

fn wrong(path: Option<PathBuf>, mut problems: Vec<Problem>) -> ConfigError {
    // In the order of the file, then the environment's, then what is missing altogether.
    problems.sort_by_key(|problem| match problem.place {
        Place::Line(line) => (0, line),
        Place::Variable(_) => (1, 0),
        Place::Nowhere => (2, 0),
    });
    ConfigError::Wrong { path, problems }
}

fn text_of(path: Option<&Path>) -> Result<String, ConfigError> {
    match path {
        Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        }),
        None => Ok(String::new()),
    }
}

fn read<S: Section>(root: &Node, problems: &mut Vec<Problem>) -> S {
    match &root.value {
        Value::Table(entries) => S::from_entries(&root.place, entries, problems),
        _ => S::from_entries(&root.place, &[], problems),
    }
}

/// Turns what was written into settings. It always returns some; they count only if there are no problems.
struct Resolver<'a> {
    environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Resolver<'a> {
    fn new(environment: &'a Environment, problems: &'a mut Vec<Problem>) -> Resolver<'a> {
        Resolver { environment, problems }
    }

    fn problem(&mut self, place: &Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place.clone(), message));
    }

    fn settings(&mut self, file: &File) -> Settings {
        let state_dir = self.absolute(&file.state_dir);
        self.refuse_twins(
            "source",
            file.source.value.iter().filter_map(|source| source.name.as_ref()),
        );
        self.refuse_twins(
            "destination",
            file.destination
                .value
                .iter()
                .filter_map(|destination| destination.name.as_ref()),
        );
        let sources = file.source.value.iter().map(|source| self.source(source)).collect();
        let destinations: Vec<DestinationSettings> = file
            .destination
            .value
            .iter()
            .map(|destination| self.destination(destination, &state_dir))
            .collect();
        self.refuse_shared_paths(&file.destination.value, &destinations, &state_dir);
        self.refuse_stolen_names(&file.destination.value);
        let spool = &file.spool.value;
        let import_log = &file.import_log.value;
        Settings {
            sources,
            destinations,
            limits: self.limits(&file.limits.value),
            spool: SpoolSettings {
                retention: spool.retention.value,
                max_lag: spool.max_lag.value,
                max_bytes: spool.max.as_ref().map(|max| max.value.0),
                free_bytes_min: spool.free_min.value.0,
            },
            import_log: ImportLogSettings {
                rotate_bytes: self.size("rotate", &import_log.rotate, 64 * KIB..=TIB),
                keep: self.count("keep", &import_log.keep, 0..=10_000) as usize,
            },
            state_dir,
        }
    }

    fn limits(&mut self, limits: &Limits) -> LimitSettings {
        LimitSettings {
            archive_bytes: self.size("archive_bytes", &limits.archive_bytes, KIB..=1024 * TIB),
            unpacked_bytes: self.size("unpacked_bytes", &limits.unpacked_bytes, KIB..=1024 * TIB),
            ratio: self.count("ratio", &limits.ratio, 1..=1_000_000),
            entry_bytes: self.size("entry_bytes", &limits.entry_bytes, KIB..=GIB),
            depth: self.count("depth", &limits.depth, 2..=1024) as u32,
            concurrent_imports: self.count("concurrent_imports", &limits.concurrent_imports, 1..=64) as usize,
        }
    }

    fn source(&mut self, source: &Source) -> SourceSettings {
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
        }
    }

    fn sftp(&mut self, source: &Source, user: Option<String>, host: String, port: u16, root: String) -> Location {
        let url_place = source.url.as_ref().map_or(&source.place, |url| &url.place);
        let user = user.unwrap_or_else(|| {
            self.problem(url_place, "`url` names no user: write `sftp://user@host/path`");
            String::new()
        });
        if !source.gives("host_key") && !source.gives("known_hosts") {
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
        let given: [(&str, Option<&Place>); 9] = [
            ("private_key_file", placed(&source.private_key_file)),
            (
                "private_key_passphrase_file",
                placed(&source.private_key_passphrase_file),
            ),
            ("private_key_passphrase_env", placed(&source.private_key_passphrase_env)),
            ("password_file", placed(&source.password_file)),
            ("password_env", placed(&source.password_env)),
            ("host_key", placed(&source.host_key)),
            ("known_hosts", placed(&source.known_hosts)),
            ("agent", Some(&source.agent.place).filter(|_| source.agent.value)),
            (
                "timeout",
                Some(&source.timeout.place).filter(|place| **place != Place::Nowhere),
            ),
        ];
        for (key, place) in given {
            if let Some(place) = place {
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

    fn private_key(&mut self, file: &Written<PathBuf>, passphrase: Option<Secret>) -> Option<PrivateKey> {
        let text = self.secret_file("private_key_file", file)?;
        let wanted = if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
            Some("is a public key; name the private one, the file without `.pub`")
        } else if text.starts_with("PuTTY-User-Key-File") {
            Some("is in PuTTY's form; `puttygen KEY -O private-openssh -o NEW` converts it")
        } else if !text.contains("-----BEGIN ") {
            Some("holds no private key: `-----BEGIN …` is wanted")
        } else {
            None
        };
        if let Some(wanted) = wanted {
            self.problem(
                &file.place,
                format!("`private_key_file`: `{}` {wanted}", file.value.display()),
            );
            return None;
        }
        Some(PrivateKey {
            path: file.value.clone(),
            text: Secret::new(text),
            passphrase,
        })
    }

    /// A secret from a file or from a variable, not both.
    fn secret(
        &mut self,
        what: &str,
        file: &Option<Written<PathBuf>>,
        variable: &Option<Written<Text>>,
    ) -> Option<Secret> {
        match (file, variable) {
            (None, None) => None,
            (Some(_), Some(variable)) => {
                self.problem(
                    &variable.place,
                    format!("`{what}_file` and `{what}_env` are both given; leave one out"),
                );
                None
            }
            (Some(file), None) => {
                let text = self.secret_file(&format!("{what}_file"), file)?;
                // Editors and `echo` end a file with a line end; no password does.
                let text = text.trim_end_matches(['\r', '\n']);
                if text.is_empty() {
                    self.problem(
                        &file.place,
                        format!("`{what}_file`: `{}` is empty", file.value.display()),
                    );
                }
                Some(Secret::new(text))
            }
            (None, Some(variable)) => {
                match self.environment.get(&variable.value.0).filter(|text| !text.is_empty()) {
                    Some(text) => Some(Secret::new(text)),
                    None => {
                        self.problem(
                        &variable.place,
                        format!("`{what}_env`: the variable it names is not set, or empty (it wants a name, not the secret)"),
                    );
                        None
                    }
                }
            }
        }
    }

    fn secret_file(&mut self, key: &str, file: &Written<PathBuf>) -> Option<String> {
        let mut text = String::new();
        let result =
            std::fs::File::open(&file.value).and_then(|open| open.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
        let why = match result {
            Ok(_) if text.len() as u64 <= SECRET_BYTES_MAX => return Some(text),
            Ok(_) => format!("larger than {SECRET_BYTES_MAX} bytes; no secret is"),
            Err(error) => error.to_string(),
        };
        self.problem(
            &file.place,
            format!("`{key}`: reading `{}`: {why}", file.value.display()),
        );
        None
    }

    fn destination(&mut self, destination: &Destination, state_dir: &Path) -> DestinationSettings {
        for key in ["name", "type"] {
            if !destination.gives(key) {
                self.missing("destination", key, &destination.place);
            }
        }
        let name = name_of(&destination.name);
        // Without a type nothing can be said of the keys that depend on it.
        let Some(kind) = destination.r#type.as_ref().map(|kind| kind.value) else {
            return DestinationSettings {
                name,
                kind: DestinationKind::Console,
                start: Start::Now,
                was: None,
                events: Vec::new(),
                sources: Vec::new(),
            };
        };
        if kind != Kind::File {
            let file_alone = [
                ("partition", placed(&destination.partition)),
                ("compression", placed(&destination.compression)),
            ];
            for (key, place) in file_alone {
                if let Some(place) = place {
                    self.problem(place, format!("`{key}` is for destinations of type \"file\""));
                }
            }
        }
        let path = destination.path.as_ref().map(|path| self.absolute(path));
        let kind = match kind {
            Kind::Sqlite => DestinationKind::Sqlite {
                path: path.unwrap_or_else(|| state_dir.join(format!("{name}.db"))),
            },
            Kind::File => DestinationKind::File {
                dir: path.unwrap_or_else(|| state_dir.join(&name)),
                by_event_date: matches!(&destination.partition, Some(by) if by.value == Partition::EventDate),
                zstd_level: destination.compression.as_ref().map_or(
                    ZSTD_LEVEL,
                    |Written {
                         value: Compression(level),
                         ..
                     }| *level,
                ),
            },
            Kind::Console => {
                if let Some(place) = placed(&destination.path) {
                    self.problem(place, "`path` is for destinations of type \"sqlite\" and \"file\"");
                }
                DestinationKind::Console
            }
        };
        let start = match kind {
            DestinationKind::Console => Start::Now,
            _ => Start::Oldest,
        };
        let strings =
            |list: &Option<Written<Strings>>| list.as_ref().map_or_else(Vec::new, |list| list.value.0.clone());
        DestinationSettings {
            name,
            kind,
            start: destination.start.as_ref().map_or(start, |start| start.value),
            was: destination.was.as_ref().map(|was| was.value.0.clone()),
            events: strings(&destination.events),
            sources: strings(&destination.sources),
        }
    }

    /// Two destinations in one place, or one upon the ledger, would destroy each other.
    fn refuse_shared_paths(&mut self, written: &[Destination], destinations: &[DestinationSettings], state_dir: &Path) {
        let mut taken: Vec<(PathBuf, String)> = STATE_NAMES
            .iter()
            .map(|name| (state_dir.join(name), "Feedgate itself".to_owned()))
            .collect();
        for (written, destination) in written.iter().zip(destinations) {
            let path = match &destination.kind {
                DestinationKind::Sqlite { path } => path,
                DestinationKind::File { dir, .. } => dir,
                DestinationKind::Console => continue,
            };
            let place = placed(&written.path)
                .or(placed(&written.name))
                .unwrap_or(&written.place);
            if let Some((_, owner)) = taken.iter().find(|(taken, _)| taken == path) {
                self.problem(
                    place,
                    format!(
                        "`{}` belongs to {owner}; give this destination another `path`",
                        path.display()
                    ),
                );
            } else if path == state_dir {
                self.problem(
                    place,
                    "`path` is `state_dir` itself; give this destination a place of its own",
                );
            }
            taken.push((path.clone(), format!("destination `{}`", destination.name)));
        }
    }

    /// `was` takes over a cursor: it must be one that nobody else still uses.
    fn refuse_stolen_names(&mut self, destinations: &[Destination]) {
        for destination in destinations {
            let Some(was) = &destination.was else { continue };
            let is_used = |other: &&Destination| matches!(&other.name, Some(name) if name.value == was.value);
            if destinations.iter().any(|other| is_used(&other)) {
                self.problem(
                    &was.place,
                    format!("`was`: there is still a destination `{}`", was.value.0),
                );
            }
        }
    }

    fn refuse_twins<'n>(&mut self, section: &str, names: impl Iterator<Item = &'n Written<Name>>) {
        let mut seen: Vec<&Name> = Vec::new();
        for name in names {
            if seen.contains(&&name.value) {
                self.problem(
                    &name.place,
                    format!("there are two of the name `{}` in `[[{section}]]`", name.value.0),
                );
            }
            seen.push(&name.value);
        }
    }

    fn missing(&mut self, section: &str, key: &str, place: &Place) {
        self.problem(place, format!("`{key}` is missing from this `[[{section}]]`"));
    }

    fn duration(&mut self, key: &str, written: &Written<Duration>, allowed: RangeInclusive<Duration>) -> Duration {
        self.within(key, written, &written.value, &allowed, |duration| {
            humantime::format_duration(*duration).to_string()
        });
        written.value
    }

    fn size(&mut self, key: &str, written: &Written<Bytes>, allowed: RangeInclusive<u64>) -> u64 {
        self.within(key, written, &written.value.0, &allowed, |bytes| {
            bytesize::ByteSize(*bytes).to_string()
        });
        written.value.0
    }

    fn count(&mut self, key: &str, written: &Written<Count>, allowed: RangeInclusive<u64>) -> u64 {
        self.within(key, written, &written.value.0, &allowed, u64::to_string);
        written.value.0
    }

    fn within<W, T: PartialOrd + Debug>(
        &mut self,
        key: &str,
        written: &Written<W>,
        value: &T,
        allowed: &RangeInclusive<T>,
        shown: impl Fn(&T) -> String,
    ) {
        if !allowed.contains(value) {
            let (value, least, most) = (shown(value), shown(allowed.start()), shown(allowed.end()));
            self.problem(
                &written.place,
                format!("`{key}` is {value}: from {least} to {most} is wanted"),
            );
        }
    }

    fn absolute(&mut self, path: &Written<PathBuf>) -> PathBuf {
        std::path::absolute(&path.value).unwrap_or_else(|error| {
            self.problem(
                &path.place,
                format!("finding out where `{}` is: {error}", path.value.display()),
            );
            path.value.clone()
        })
    }
}

/// The name, or nothing where it is missing or wrong: that has been told.
fn name_of(name: &Option<Written<Name>>) -> String {
    name.as_ref().map_or_else(String::new, |name| name.value.0.clone())
}

fn placed<T>(written: &Option<Written<T>>) -> Option<&Place> {
    written.as_ref().map(|written| &written.place)
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
