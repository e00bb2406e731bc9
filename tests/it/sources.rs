//! Sources: one contract over a local directory and a real OpenSSH server; then what only SFTP has.

mod authentication; // every way to be let in, and every way not to be
mod contract; // the verbs, over both
mod host_keys; // pins, `known_hosts`, mismatches
mod listing; // names over SFTP, many requests in flight
mod trouble; // servers that stop, stall, restart and refuse

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use feedgate::source::{LocalSource, SftpSource, Source, SourceError};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::house::sshd::Sshd;

/// Deadline of the sources in these tests, where nothing is meant to pass it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A source and the directory behind it.
pub struct Place {
    source: Arc<dyn Source>,
    root: PathBuf,
    // Held until the test is over.
    _behind: Box<dyn std::any::Any + Send>,
}

impl Place {
    /// A local directory.
    fn local() -> Place {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let source = Arc::new(LocalSource::new("acme", dir.path(), TIMEOUT));
        Place {
            source,
            root: dir.path().to_path_buf(),
            _behind: Box::new(dir),
        }
    }

    /// A directory behind OpenSSH.
    fn sftp() -> Place {
        let sshd = Sshd::start();
        let source = Arc::new(SftpSource::new("acme", &sshd.settings(), TIMEOUT));
        Place {
            source,
            root: sshd.root().to_path_buf(),
            _behind: Box::new(sshd),
        }
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
