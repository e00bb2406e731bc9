//! The import status log: `imports.jsonl`, a line per outcome, and the same in words on stderr.
//!
//! What is to be said waits in the ledger, written by the transaction it tells of. A line is forgotten there only when it is
//! in the file and synced: a crash may repeat a line, and loses none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::config::resolve::ImportLogSettings;
use crate::ledger::{Ledger, LogLine};
use crate::on_disk;

/// Lines written with one sync.
const LINES_AT_A_TIME: usize = 500;

/// How long news may wait.
const PAUSE: Duration = Duration::from_millis(300);

/// The log's file.
pub struct ImportLog {
    ledger: Ledger,
    path: PathBuf,
    settings: ImportLogSettings,
}

impl ImportLog {
    /// The log in a state directory.
    pub fn new(ledger: Ledger, state_dir: &Path, settings: ImportLogSettings) -> ImportLog {
        ImportLog {
            ledger,
            path: state_dir.join("imports.jsonl"),
            settings,
        }
    }

    /// Says what there is to say, until told to stop, and what is left then.
    pub async fn run(self, stop: CancellationToken) {
        let mut troubled = false;
        loop {
            let stopped = stop.is_cancelled();
            match self.write_all().await {
                Ok(()) => troubled = false,
                Err(error) if !troubled => {
                    tracing::error!(%error, "the import status log cannot be written; its lines wait in the ledger");
                    troubled = true;
                }
                Err(_) => {}
            }
            if stopped {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Says everything that waits.
    pub async fn write_all(&self) -> anyhow::Result<()> {
        loop {
            let lines = self.ledger.log_lines(LINES_AT_A_TIME).await?;
            let Some(last) = lines.last().map(|line| line.n) else {
                return Ok(());
            };
            let (path, settings) = (self.path.clone(), self.settings);
            let lines = tokio::task::spawn_blocking(move || append(&path, settings, &lines).map(|()| lines)).await??;
            self.ledger.logged(last).await?;
            lines.iter().for_each(say);
        }
    }
}

/// Appends lines and syncs them; a file that has grown large is put aside first.
fn append(path: &Path, settings: ImportLogSettings, lines: &[LogLine]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() >= settings.rotate_bytes {
        rotate(path, settings.keep)?;
        file = OpenOptions::new().create(true).append(true).open(path)?;
    }
    if file.metadata()?.len() == 0 {
        // A new one: its name has to last before there is a line in it that nobody has to say again.
        on_disk::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    let mut text = String::new();
    // A crash may have left half a line; what follows begins a new one.
    if ends_in_mid_line(path)? {
        text.push('\n');
    }
    for line in lines {
        text.push_str(&line.line);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn ends_in_mid_line(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// `imports.jsonl` becomes `imports.jsonl.1`, that becomes `.2`, and so on; the oldest goes.
fn rotate(path: &Path, keep: usize) -> io::Result<()> {
    let aside = |n: usize| PathBuf::from(format!("{}.{n}", path.display()));
    if keep == 0 {
        return fs::remove_file(path);
    }
    for n in (1..keep).rev() {
        match fs::rename(aside(n), aside(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, aside(1))
}

/// The same line in words.
fn say(line: &LogLine) {
    let Ok(value) = serde_json::from_str::<Value>(&line.line) else {
        return;
    };
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let number = |key: &str| value[key].as_u64().unwrap_or_default();
    let source = text("source");
    match text("kind") {
        "source_retry" => tracing::warn!(
            source,
            attempts = number("attempts"),
            retry_at = text("retry_at"),
            trouble = text("trouble"),
            "the source is in trouble and is tried again"
        ),
        "source_recovered" => tracing::info!(source, "the source is well again"),
        "dead_letters_discarded" => tracing::warn!(
            destination = text("destination"),
            letters = number("letters"),
            "dead letters were given up, as was asked for"
        ),
        "people_clash" => tracing::warn!(
            import = number("import"),
            clashes = number("clashes"),
            first_index = number("first_index"),
            "entries say of people what contradicts what is known; nothing was changed (`feedgate people --clashes`)"
        ),
        "replay" => say_request(&value, "an import is delivered once more, as was asked for"),
        "undo" => say_request(&value, "an import is undone, as was asked for"),
        "erase" => say_request(&value, "somebody is to be erased, as was asked for"),
        _ => say_import(&value, source),
    }
}

fn say_request(value: &Value, message: &str) {
    tracing::info!(
        request = value["request"].as_u64(),
        import = value["import"].as_u64(),
        source = value["source"].as_str(),
        archive = value["archive"].as_str(),
        events = value["events"].as_u64(),
        "{message}"
    );
}

fn say_import(value: &Value, source: &str) {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let number = |key: &str| value[key].as_u64().unwrap_or_default();
    let codes = |key: &str| -> String {
        let items = value[key].as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item["code"].as_str().or(item.as_str()))
            .collect::<Vec<_>>()
            .join(",")
    };
    let elapsed_ms = number("elapsed_ms");
    let per_second = |amount: u64| amount.saturating_mul(1000) / elapsed_ms.max(1);
    let message = match (text("status"), text("disposition")) {
        (status, "pending") => format!("{status}, but not put away yet"),
        (status, "left") => format!("{status}, left where it is"),
        (status, disposition) => format!("{status} and {disposition}"),
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                source,
                archive = text("archive"),
                import = number("id"),
                entries = number("entries"),
                accepted = number("accepted"),
                duplicates = number("duplicates"),
                rejected = number("rejected"),
                violations = codes("violations"),
                flags = codes("flags"),
                path = text("path"),
                error = text("error"),
                bytes = number("size"),
                elapsed_ms,
                entries_per_second = per_second(number("entries")),
                bytes_per_second = per_second(number("data_bytes")),
                "{message}"
            )
        };
    }
    match text("error").is_empty() {
        true => line!(info),
        false => line!(warn),
    }
}
