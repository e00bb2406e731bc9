//! Sources: one contract over a local directory and over every server there is; then what only SFTP has.

mod authentication; // every way to be let in, and every way not to be
mod contract; // the verbs, over all of them
mod host_keys; // pins, `known_hosts`, mismatches
mod limits; // servers that take few requests, few handles, few bytes at a time
mod listing; // names over SFTP, many requests in flight
mod oddities; // servers with manners of their own
mod trouble; // servers that stop, stall, restart and refuse

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use feedgate::source::{LocalSource, SftpSource, Source, SourceError};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::house::servers::{Make, Server};
use crate::house::sshd::Sshd;

/// Deadline of the sources in these tests, where nothing is meant to pass it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a large file; where the way there is the same as over another place, a fifth will do.
const MUCH: usize = 20_000_000;

/// A source and the directory behind it.
pub struct Place {
    source: Arc<dyn Source>,
    root: PathBuf,
    /// Bytes of a file that does not come at once. All that is asked for ahead is less.
    much: usize,
    // Held until the test is over.
    _behind: Box<dyn std::any::Any + Send>,
}

impl Place {
    /// A local directory.
    fn local() -> Option<Place> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let source = Arc::new(LocalSource::new("acme", dir.path(), TIMEOUT));
        Some(Place {
            source,
            root: dir.path().to_path_buf(),
            much: MUCH,
            _behind: Box::new(dir),
        })
    }

    /// A directory behind OpenSSH, as it is without a word of configuration.
    fn openssh() -> Option<Place> {
        Some(Place {
            much: MUCH,
            ..Place::behind(Sshd::start())
        })
    }

    /// Behind OpenSSH in a chroot with nothing but `internal-sftp`, as hosters set it up.
    #[expect(clippy::print_stdout, reason = "what was not tried must not pass for tried")]
    fn openssh_chroot() -> Option<Place> {
        if !rustix::process::geteuid().is_root() {
            println!("NOT TRIED: OpenSSH in a chroot: it needs root");
            return None;
        }
        let sshd = Sshd::chroot();
        open_to_all(sshd.root());
        Some(Place::behind(sshd))
    }

    /// Behind an OpenSSH that denies whatever goes beyond the document.
    fn openssh_without_extensions() -> Option<Place> {
        let denied = "posix-rename,hardlink,statvfs,fstatvfs,fsync,lsetstat,limits,expand-path,copy-data";
        let subsystem = format!("Subsystem sftp /usr/lib/openssh/sftp-server -P {denied}");
        Some(Place::behind(Sshd::start_with(&subsystem)))
    }

    fn proftpd() -> Option<Place> {
        Place::below(Make::ProFtpd)
    }

    fn dropbear() -> Option<Place> {
        Place::below(Make::Dropbear)
    }

    fn asyncssh() -> Option<Place> {
        Place::below(Make::AsyncSsh)
    }

    fn paramiko() -> Option<Place> {
        Place::below(Make::Paramiko)
    }

    fn behind(sshd: Sshd) -> Place {
        Place {
            source: Arc::new(SftpSource::new("acme", &sshd.settings(), TIMEOUT)),
            root: sshd.root().to_path_buf(),
            much: MUCH / 5,
            _behind: Box::new(sshd),
        }
    }

    /// A directory of its own behind a server that others use as well.
    fn below(make: Make) -> Option<Place> {
        let server = Server::shared(make)?;
        let dir = tempfile::Builder::new().prefix("place-").tempdir_in(server.root());
        let dir = dir.expect("a directory in the account");
        open_to_all(dir.path());
        let mut settings = server.settings();
        let name = dir.path().file_name().expect("a name").to_string_lossy();
        settings.root = format!("{}/{name}", settings.root.trim_end_matches('/'));
        Some(Place {
            source: Arc::new(SftpSource::new("acme", &settings, TIMEOUT)),
            root: dir.path().to_path_buf(),
            much: MUCH / 5,
            _behind: Box::new((dir, server)),
        })
    }

    /// A directory in the root, for whatever account the server lets in.
    fn dir(&self, name: &str) {
        std::fs::create_dir(self.root.join(name)).expect("a directory is made there");
        open_to_all(&self.root.join(name));
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.root.join(name), bytes).expect("a file is put there");
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).expect("the file is there")
    }

    /// The names in the root, as listed, sorted.
    async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .source
            .list()
            .await
            .expect("a listing")
            .into_iter()
            .map(|file| file.name)
            .collect();
        names.sort();
        names
    }
}

/// A server's account may be another than the one that tests run as.
fn open_to_all(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).expect("chmod");
}

/// Fetches a file whole, and what the verb said.
async fn fetched(source: &dyn Source, path: &str, size: u64) -> (Vec<u8>, Result<u64, SourceError>) {
    let (into, mut pieces) = mpsc::channel::<Vec<u8>>(2);
    let gather = async {
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            assert!(
                !piece.is_empty() && piece.len() <= 1024 * 1024,
                "a piece of {} bytes",
                piece.len()
            );
            bytes.extend_from_slice(&piece);
        }
        bytes
    };
    let (outcome, bytes) = tokio::join!(source.fetch(path, size, into), gather);
    (bytes, outcome)
}

/// Bytes that look like no others, the same for the same seed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// The variant of an error, for assertions that say what they expect.
fn kind(error: &SourceError) -> &'static str {
    match error {
        SourceError::Absent { .. } => "absent",
        SourceError::Taken { .. } => "taken",
        SourceError::Refused { .. } => "refused",
        SourceError::Lost { .. } => "lost",
        SourceError::Barred { .. } => "barred",
        SourceError::Stopped { .. } => "stopped",
    }
}

/// What a verb's error is and says.
#[track_caller]
fn expect_error<T: std::fmt::Debug>(outcome: Result<T, SourceError>, expected: &str, words: &[&str]) {
    let error = outcome.expect_err("an error was expected");
    let text = error.to_string();
    assert_eq!(kind(&error), expected, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text:?}");
}
