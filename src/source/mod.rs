//! Where archives come from: a few verbs over names and bytes.
//!
//! [`SftpSource`] speaks to an SFTP account, [`LocalSource`] to a directory; one contract test holds for both. A source has not heard
//! of zip, JSON or SQL. Every request is answered within the source's deadline, or the connection is lost; the next verb
//! dials anew. A listing and a fetch may take longer, as long as something comes. Paths are relative to the source's root, parts separated by `/`, and never begin with one.

mod beneath;
mod local;
pub(crate) mod sftp;
mod threads;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::hidden::is_hidden;

pub use local::LocalSource;
pub use sftp::{SeenKey, SftpSource, host_key_line, host_keys};

/// A regular file in the root, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name. Bytes that are not UTF-8, or that no file's name can have, appear as `\xNN`; such a name cannot be used to
    /// open the file.
    pub name: String,
    /// Size and time of last change.
    pub stat: Stat,
}

/// Size and time of last change: what tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// UTC milliseconds (SFTP tells whole seconds). 0 where the server does not say.
    pub mtime: i64,
}

/// What can go wrong with a verb. [`SourceError::is_about_the_file`] is the question callers ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no such file or directory.
    #[error("{doing}: no such file")]
    Absent {
        /// What was being done, to what.
        doing: String,
    },
    /// The target of a rename exists already; something other than a regular file is there.
    #[error("{doing}: the name is taken by something else")]
    Taken {
        /// What was being done, to what.
        doing: String,
    },
    /// The server refused this operation: permission denied, failure, unsupported.
    #[error("{doing}: {reason}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        /// What the server said, and what to do about it.
        reason: String,
    },
    /// The connection could not be made or was lost, or an operation passed its deadline. The next verb dials anew.
    #[error("{doing}: {reason}")]
    Lost {
        /// What was being done, to what.
        doing: String,
        /// How it was lost.
        reason: String,
    },
    /// The server's host key, or our keys and password, are not accepted: an operator has to look.
    #[error("{doing}: {reason}")]
    Barred {
        /// What was being done, to what.
        doing: String,
        /// What was seen, and what to write into the configuration.
        reason: String,
    },
    /// Nobody wants the bytes any more: the receiver of a fetch was dropped.
    #[error("{doing}: stopped")]
    Stopped {
        /// What was being done, to what.
        doing: String,
    },
}

impl SourceError {
    /// Whether the trouble is one file's alone, so that the others go on.
    pub fn is_about_the_file(&self) -> bool {
        matches!(
            self,
            SourceError::Absent { .. } | SourceError::Taken { .. } | SourceError::Refused { .. }
        )
    }
}

/// An SFTP account or a local directory, polled.
///
/// Verbs may be called many at a time; an implementation keeps as many requests in flight as its server and its window
/// allow, and queues the rest.
#[async_trait]
pub trait Source: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// The regular files in the root. Directories and symbolic links are left out, and so are `.` and `..`.
    async fn list(&self) -> Result<Vec<ListedFile>, SourceError>;

    /// Size and mtime of a regular file now, or `None` if nothing is there. Something other than a regular file is `Taken`.
    async fn stat(&self, path: &str) -> Result<Option<Stat>, SourceError>;

    /// Up to `len` bytes from `offset`; fewer at the end of the file. For small reads: `len` is at most 1 MiB.
    async fn read(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SourceError>;

    /// Sends the whole file, in order, in pieces of at most 1 MiB, and returns the number of bytes sent. A file that is
    /// longer than `size` is read to `size` only; a shorter one ends early. The receiver's pace holds the reading back.
    async fn fetch(&self, path: &str, size: u64, into: mpsc::Sender<Vec<u8>>) -> Result<u64, SourceError>;

    /// Renames a file, and never knowingly over another: `Taken` if something is at `to`.
    async fn rename(&self, from: &str, to: &str) -> Result<(), SourceError>;

    /// Removes a file; `Absent` if it is not there.
    async fn remove(&self, path: &str) -> Result<(), SourceError>;

    /// Creates a directory and its parents where they are absent.
    async fn make_dirs(&self, path: &str) -> Result<(), SourceError>;

    /// Writes a small file whole: beside it first, then renamed over what may be there. Its directory exists.
    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SourceError>;

    /// Returns when something may have changed in the root. Never returns where nobody tells (SFTP): the caller polls.
    async fn changed(&self);

    /// Ends the session and everything that belongs to it.
    async fn close(&self);
}

/// Longest piece of foreign text in a message, in characters.
const EXCERPT_MAX: usize = 200;

/// Text from outside as a message may hold it: control characters and what turns text around are escaped, and it is cut.
fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for (index, letter) in text.chars().enumerate() {
        if index == EXCERPT_MAX {
            shown.push('…');
            break;
        }
        if is_hidden(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A duration for people: `30s`, `500ms`.
fn seconds(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A name as it is listed: bytes that are not UTF-8 become `\xNN`, so that the name can be shown and told from others. So do
/// `/` and NUL, which no name can have: what a server lists must not lead anywhere else.
fn listed_name(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '/' | '\0' => name.push_str(&format!("\\x{:02x}", letter as u32)),
                letter => name.push(letter),
            }
        }
        for byte in chunk.invalid() {
            name.push_str(&format!("\\x{byte:02x}"));
        }
    }
    name
}

/// Holds a path against the rule: parts separated by `/`, none of them empty, `.` or `..`, and no NUL. So none can leave
/// the root by its spelling.
fn checked<'a>(doing: &str, path: &'a str) -> Result<&'a str, SourceError> {
    let fine = !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if fine {
        return Ok(path);
    }
    Err(SourceError::Refused {
        doing: format!("{doing} `{}`", excerpt(path)),
        reason: "not a path below the root".to_string(),
    })
}

/// Where a file is written before it is renamed into place. Always the same for the same file, so that an attempt that was
/// cut off leaves nothing that the next one does not take over. A leading dot and `.tmp`: no importer, ours or another,
/// takes it for a file that is meant for it.
fn beside(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/.{name}.feedgate.tmp"),
        None => format!(".{path}.feedgate.tmp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_root() {
        let check = |path: &str, expected: bool| assert_eq!(checked("reading", path).is_ok(), expected, "{path:?}");
        check("a.zip", true);
        check("processed/2019/a.zip", true);
        check("..a", true);
        check("a..", true);
        check(".hidden", true);
        check("-rf", true);
        check(" ", true);
        check("", false);
        check(".", false);
        check("..", false);
        check("/a", false);
        check("a/", false);
        check("a//b", false);
        check("a/../b", false);
        check("a/.", false);
        check("a\0", false);
    }

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        let check = |text: &str, expected: &str| assert_eq!(excerpt(text), expected);
        check("plain ünïcödé ✓", "plain ünïcödé ✓");
        check("two\nlines\t\u{1b}[31m", "two\\nlines\\t\\u{1b}[31m");
        check("txt.\u{202e}piz", "txt.\\u{202e}piz");
        check("\u{61c}1\u{200b}", "\\u{61c}1\\u{200b}");
        check("\u{85}\u{2028}", "\\u{85}\\u{2028}");
        check(&"é".repeat(1000), &format!("{}…", "é".repeat(EXCERPT_MAX)));
        check(&"é".repeat(EXCERPT_MAX), &"é".repeat(EXCERPT_MAX));
    }

    #[test]
    fn names_that_are_not_utf_8() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(listed_name(bytes), expected);
        check(b"a.zip", "a.zip");
        check("ü✓".as_bytes(), "ü✓");
        check(b"\xff.zip", "\\xff.zip");
        check(b"a\xc3", "a\\xc3");
        check(b"\xe2\x9c.\xe2\x9c\x93", "\\xe2\\x9c.✓");
        check(b"../a\0", "..\\x2fa\\x00");
        check(b"", "");
    }
}
