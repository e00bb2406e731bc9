//! A whole SFTP client, verb after verb, and a server that answers whatever the input says: [`feedgate::fuzzing::scripted`]
//! tells in which form.

use std::time::Duration;

use feedgate::fuzzing::scripted;
use feedgate::source::{Source, SourceError};
use tokio::sync::mpsc;

use super::may_be_shown;

/// Deadline of the client. Nothing here comes near it: a script answers at once, or ends.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that the fetched file is said to have.
const SIZE: u64 = 100_000;

/// Calls every verb, and holds that each one gives what it may give, or a reason.
pub fn run(script: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let source = match scripted(script, TIMEOUT).await {
            Ok(source) => source,
            Err(error) => return shown(&error),
        };
        if let Some(files) = said(source.list().await) {
            assert!(files.iter().all(|file| file.name != "." && file.name != ".."));
        }
        said(source.stat("a").await);
        if let Some(bytes) = said(source.read("a", 7, 5_000).await) {
            assert!(bytes.len() <= 5_000, "{} bytes where 5,000 were asked for", bytes.len());
        }
        let (into, mut pieces) = mpsc::channel::<Vec<u8>>(4);
        let count = async {
            let mut count = 0;
            while let Some(piece) = pieces.recv().await {
                count += piece.len() as u64;
            }
            count
        };
        let (fetched, count) = tokio::join!(source.fetch("a", SIZE, into), count);
        if let Some(fetched) = said(fetched) {
            assert_eq!(fetched, count);
            assert!(fetched <= SIZE, "{fetched} bytes of {SIZE}");
        }
        said(source.make_dirs("processed/2019").await);
        said(source.rename("a", "processed/2019/a").await);
        said(source.write("receipts/a", &[b'x'; 40_000]).await);
        said(source.remove("a").await);
        source.close().await;
    });
}

fn said<T>(outcome: Result<T, SourceError>) -> Option<T> {
    outcome.inspect_err(shown).ok()
}

fn shown(error: &SourceError) {
    let words = error.to_string();
    may_be_shown(&words);
    assert!(words.len() < 3_000, "{words}");
    // A connection that is over knows why: without a reason its thread has panicked.
    assert!(!words.ends_with("the connection ended"), "{words}");
}
