//! An archive on this machine, held against the rules as the importer would: what `check ARCHIVE` prints.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

use crate::archive::{FeedName, NameClass, classify, kind_of};
use crate::intake::take_in_users::{PlainFile, take_in_users};
use crate::intake::{Rules, seen_within, take_in};
use crate::ledger::outcome::Judged;
use crate::ledger::report::{Count, ImportInFull, ImportReport, RejectReport, Related, time};
use crate::receipt::{REJECTS_SHOWN, Receipt};
use crate::verdict::{FeedKind, Reject, Violation, ViolationCode, WarningCode};

/// Archives smaller than this are done before anybody could read a progress bar, in bytes.
const PROGRESS_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// What vetting a file came to.
pub enum Vetted {
    /// The receipt the importer would write.
    Archive(Box<Receipt>),
    /// The importer would not look at it, and why.
    Ignored(&'static str),
}

/// Vets one file. `Err` is the disk's fault.
pub fn vet(path: &Path, rules: &Rules, archive_bytes_max: u64) -> anyhow::Result<Vetted> {
    let name = path
        .file_name()
        .context("it has no file name")?
        .to_string_lossy()
        .into_owned();
    // Looked at first: opening a pipe would wait for its other end.
    anyhow::ensure!(
        path.metadata()?.is_file(),
        "it is no regular file (a folder, pipe or device); give the archive itself"
    );
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (judged, sha256, named_at) = match classify(&name) {
        NameClass::InProgress => return Ok(Vetted::Ignored("its name is that of an upload in progress")),
        NameClass::Other => {
            return Ok(Vetted::Ignored(
                "its name is no feed's; event_history_YYYYMMDDHHMMSS.json.zip is wanted",
            ));
        }
        NameClass::NearMiss(violation) => (Judged::unread(violation), None, None),
        NameClass::Feed(feed) if size > archive_bytes_max => {
            let detail =
                format!("the archive has {size} bytes, the limit is {archive_bytes_max} (limits.archive_bytes)");
            (
                Judged::unread(Violation::new(ViolationCode::TooLarge, detail)),
                None,
                Some(feed.at()),
            )
        }
        NameClass::Feed(feed) if feed.kind().is_user_feed() => {
            let sha256 = rules.hash_data.then(|| hash(&mut file)).transpose()?;
            (vet_user_file(path, &feed, rules)?, sha256, Some(feed.at()))
        }
        NameClass::Feed(feed) => {
            // Who does not ask for the hashes does not wait for them.
            let sha256 = rules.hash_data.then(|| hash(&mut file)).transpose()?;
            let bar = progress(size, &name);
            let mut judged = take_in(file, size, &feed, rules, &mut |bytes, of| {
                bar.set_length(of);
                bar.set_position(bytes);
                true
            })?;
            bar.finish_and_clear();
            mark_what_came_before(&mut judged, rules)?;
            (judged, sha256, Some(feed.at()))
        }
    };
    let full = in_full(name, size, sha256, named_at, judged);
    Ok(Vetted::Archive(Box::new(Receipt::of(full, false))))
}

/// Vets one file of a user feed, together with the other one beside it.
fn vet_user_file(path: &Path, name: &FeedName, rules: &Rules) -> anyhow::Result<Judged> {
    let other_name = name.other().unwrap_or_default();
    let other_path = path.with_file_name(&other_name);
    let Ok(other) = File::open(&other_path) else {
        let detail = format!("`{other_name}`, the other file of this user feed, is not beside it");
        return Ok(Judged::unread(Violation::new(ViolationCode::UserFeedHalf, detail)));
    };
    let plain = |name, data: File| -> anyhow::Result<PlainFile<'_, File>> {
        let size = data.metadata()?.len();
        // The ledger alone has a use for what the two are together.
        let sha256 = [0; 32];
        Ok(PlainFile {
            name,
            size,
            sha256,
            data,
        })
    };
    let (this, other) = (plain(name.as_str(), File::open(path)?)?, plain(&other_name, other)?);
    let mut judged = match name.kind() {
        FeedKind::Header => take_in_users(this, other, rules)?.0,
        _ => take_in_users(other, this, rules)?.1,
    };
    judged.data_sha256 = None;
    Ok(judged)
}

/// Marks the events that came before in the same archive. What came in others, only the ledger's own store knows.
fn mark_what_came_before(judged: &mut Judged, rules: &Rules) -> std::io::Result<()> {
    let Some(spill) = &rules.keys_to else { return Ok(()) };
    if judged.keys.is_empty() || !judged.importable() {
        return Ok(());
    }
    let seen = seen_within(&judged.keys, Arc::clone(spill))?;
    if !seen.set.is_empty() {
        judged
            .warning_counts
            .push((WarningCode::DuplicateEvent, seen.set.len()));
        judged.warnings.extend_from_slice(&seen.warnings);
    }
    judged.seen_before = seen;
    Ok(())
}

fn hash(file: &mut File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(crate::hex::hex(&hash.finalize())),
            count => hash.update(&block[..count]),
        }
    }
}

/// A bar on stderr, for what takes long; indicatif hides it by itself where there is no terminal.
pub(in crate::cli) fn progress(size: u64, name: &str) -> ProgressBar {
    if size < PROGRESS_BYTES_MIN {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length().with_message(crate::telemetry::escaped(name));
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What the ledger would say of it, if it had never seen it before.
fn in_full(name: String, size: u64, sha256: Option<String>, named_at: Option<i64>, judged: Judged) -> ImportInFull {
    let imported = judged.importable();
    let status = if judged.observed() { "processed" } else { "failed" };
    let now = time(crate::ledger::now());
    let warnings_by_code = counts(&judged.warning_counts);
    let import = ImportReport {
        id: 0,
        source: String::new(),
        status: status.to_owned(),
        imported,
        entries: judged.entries,
        accepted: if imported { judged.valid } else { 0 },
        duplicates: judged.seen_before.set.len(),
        rejected: judged.rejected,
        warnings: warnings_by_code.iter().map(|count| count.count).sum(),
        needs_attention: status == "failed",
        violations: judged.violations,
        flags: Vec::new(),
        related: Related::default(),
        sha256,
        data_sha256: judged.data_sha256.map(|sha256| crate::hex::hex(&sha256)),
        size,
        data_bytes: judged.reading.is_some().then_some(judged.data_bytes),
        disposition: "pending".to_owned(),
        path: name.clone(),
        feed: kind_of(&name).to_string(),
        archive: name,
        error: None,
        retry_at: None,
        receipt: None,
        named_at: named_at.map(time),
        first_seen_at: now,
        imported_at: None,
        closed_at: None,
        elapsed_ms: 0,
        pruned_at: None,
    };
    ImportInFull {
        import,
        rejects_by_code: counts(&judged.reject_counts),
        warnings_by_code,
        rejects: judged
            .rejects
            .into_iter()
            .take(REJECTS_SHOWN)
            .filter_map(reject)
            .collect(),
        warning_list: judged.warnings,
        taken_in_before: None,
    }
}

/// Counts as the ledger has them: the most frequent first.
fn counts(counts: &[(impl ToString, u64)]) -> Vec<Count> {
    let mut counts: Vec<Count> = counts
        .iter()
        .map(|(code, count)| Count {
            code: code.to_string(),
            count: *count,
        })
        .collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    counts
}

fn reject(reject: Reject) -> Option<RejectReport> {
    let first = reject.reasons.first()?;
    Some(RejectReport {
        index: reject.index,
        at: reject.at,
        code: first.code.to_string(),
        pointer: first.pointer.clone(),
        message: first.message.clone(),
        excerpt: reject.excerpt.clone(),
        reasons: reject.reasons,
    })
}
