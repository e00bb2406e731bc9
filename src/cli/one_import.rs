//! One import in full, in words: for `status ARCHIVE`.

use super::output::{Out, Table};
use super::status::whereabouts;
use crate::ledger::report::{Count, ImportInFull, ImportReport, RejectReport};
use crate::receipt::{fix_reject, fix_violation};
use crate::verdict::{Position, RejectCode};

/// Writes it: what happened, the rules not observed, the entries rejected, and what to do about each.
pub fn print(out: &mut Out, full: &ImportInFull) -> anyhow::Result<()> {
    let import = &full.import;
    out.line(&format!(
        "import {}: {} from {}",
        import.id, import.archive, import.source
    ))?;
    for (what, text) in facts(import) {
        out.line(&format!("  {what:<12} {text}"))?;
    }
    if !import.violations.is_empty() {
        out.line("")?;
        out.line("rules not observed")?;
    }
    for violation in &import.violations {
        let at = violation.at.map(|at| format!(" ({})", place(&at))).unwrap_or_default();
        out.line(&format!("  {}: {}{at}", violation.code, violation.detail))?;
        if let Some(excerpt) = &violation.excerpt {
            out.line(&format!("    {excerpt}"))?;
        }
        out.line(&format!("    {}", fix_violation(violation.code)))?;
    }
    by_code(out, "rejects", &full.rejects_by_code)?;
    for count in &full.rejects_by_code {
        if let Some(code) = RejectCode::parse(&count.code) {
            out.line(&format!("    {code}: {}", fix_reject(code)))?;
        }
    }
    if !full.rejects.is_empty() {
        out.line("")?;
        rejects(&full.rejects).write(out)?;
    }
    let more = import.rejected.saturating_sub(full.rejects.len() as u64);
    if more > 0 {
        out.line(&format!(
            "and {more} more; `--json` shows up to {}",
            crate::ledger::outcome::REJECTS_KEPT
        ))?;
    }
    by_code(out, "warnings", &full.warnings_by_code)
}

fn facts(import: &ImportReport) -> Vec<(&'static str, String)> {
    let taken_in = match (import.status.as_str(), import.imported) {
        ("failed", true) => "failed; its events are imported all the same",
        ("failed", false) => "failed; nothing is imported",
        (status, _) => status,
    };
    let taken_in = match import.related.undone_by {
        Some(_) => "undone: its events were taken back, as if it had never come in",
        None => taken_in,
    };
    let mut facts = vec![
        ("status", taken_in.to_owned()),
        (
            "entries",
            format!(
                "{}, of these {} accepted and {} rejected",
                import.entries, import.accepted, import.rejected
            ),
        ),
        (
            "archive",
            format!("{} bytes, now {}: {}", import.size, whereabouts(import), import.path),
        ),
    ];
    if import.duplicates > 0 {
        facts.push((
            "duplicates",
            format!(
                "{} of the accepted came before: kept, and not delivered again",
                import.duplicates
            ),
        ));
    }
    facts.extend(import.sha256.clone().map(|sha256| ("sha256", sha256)));
    facts.extend(import.data_bytes.map(|bytes| ("data", format!("{bytes} bytes"))));
    if !import.flags.is_empty() {
        facts.push(("flags", import.flags.join(", ")));
    }
    facts.extend(related(import).map(|text| ("see", text)));
    facts.push(("first seen", import.first_seen_at.clone()));
    facts.extend(
        import
            .closed_at
            .clone()
            .map(|at| ("closed", format!("{at}, after {} ms", import.elapsed_ms))),
    );
    facts.extend(import.receipt.clone().map(|receipt| ("receipt", receipt)));
    facts.extend(import.error.clone().map(|error| ("trouble", error)));
    facts.extend(import.retry_at.clone().map(|at| ("next try", at)));
    facts.extend(
        import
            .pruned_at
            .clone()
            .map(|at| ("pruned", format!("{at}: its events can no longer be read"))),
    );
    facts
}

/// The earlier imports that the flags speak of.
fn related(import: &ImportReport) -> Option<String> {
    let related = &import.related;
    let all = [
        ("the same bytes", related.duplicate_of),
        ("the same data, packed otherwise", related.repacked_of),
        ("other data of this name", related.name_reused),
        ("the same data under another name", related.same_content),
        ("the same bytes, failed before", related.same_failure),
        ("retried", related.retry_of),
    ];
    let said: Vec<String> = all
        .iter()
        .filter_map(|(what, id)| id.map(|id| format!("import {id} ({what})")))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn by_code(out: &mut Out, what: &str, counts: &[Count]) -> anyhow::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|count| format!("{} {}", count.count, count.code))
        .collect();
    out.line("")?;
    out.line(&format!("{what}: {}", counts.join(", ")))
}

fn rejects(rejects: &[RejectReport]) -> Table {
    let mut table = Table::new(&[" entry", " line", " column", "code", "at", "why", "entry"]);
    for reject in rejects {
        table.row([
            reject.index.to_string(),
            reject.at.line.to_string(),
            reject.at.column.to_string(),
            reject.code.clone(),
            reject.pointer.clone(),
            reject.message.clone(),
            reject.excerpt.clone(),
        ]);
    }
    table
}

fn place(at: &Position) -> String {
    format!("line {}, column {}, byte {}", at.line, at.column, at.byte)
}
