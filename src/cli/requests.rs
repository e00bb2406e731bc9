//! Requests in words: all of them for `status`, one for `status ID`.

use super::output::{Out, Table};
use crate::ledger::report::RequestReport;

/// A row for each.
pub fn table(requests: &[RequestReport]) -> Table {
    let mut table = Table::new(&[" request", "what", " import", "archive", "asked at", "state"]);
    for request in requests {
        table.row([
            request.id.to_string(),
            request.kind.clone(),
            request.import.map(|id| id.to_string()).unwrap_or_default(),
            request.archive.clone().unwrap_or_default(),
            request.asked_at.clone(),
            state(request),
        ]);
    }
    table
}

/// Writes all that is known of one.
pub fn print_one(out: &mut Out, request: &RequestReport) -> anyhow::Result<()> {
    let of = match (&request.import, &request.archive) {
        (Some(id), Some(archive)) => format!(" of import {id} ({archive})"),
        _ => String::new(),
    };
    out.line(&format!("request {}: {}{of}", request.id, request.kind))?;
    let mut facts = vec![("asked at", request.asked_at.clone()), ("state", state(request))];
    if !request.done_by.is_empty() {
        facts.push(("done by", request.done_by.join(", ")));
    }
    if !request.waits_for.is_empty() {
        facts.push(("waits for", request.waits_for.join(", ")));
    }
    if let Some(cleared) = &request.cleared {
        facts.push((
            "spool",
            match &request.cleared_at {
                Some(at) => format!(
                    "cleared at {at}: {} entries in {} archives",
                    cleared.entries, cleared.archives
                ),
                None => "not cleared yet".to_owned(),
            },
        ));
        facts.push((
            "ledger",
            format!(
                "{} people, {} dead letters and {} texts erased",
                cleared.people, cleared.dead_letters, cleared.texts
            ),
        ));
        for (import, why) in &cleared.unreadable {
            facts.push(("not read", format!("import {import}: {why}")));
        }
    }
    if request.whom_is_known == Some(true) {
        facts.push(("whom", "known until all are past it".to_owned()));
    }
    facts
        .iter()
        .try_for_each(|(what, text)| out.line(&format!("  {what:<12} {text}")))
}

fn state(request: &RequestReport) -> String {
    if request.undone {
        return "taken back: the import was undone".to_owned();
    }
    let spool = request.cleared.is_some() && request.cleared_at.is_none();
    let waits: Vec<&str> = spool
        .then_some("the spool")
        .into_iter()
        .chain(request.waits_for.iter().map(String::as_str))
        .collect();
    match waits.is_empty() {
        true => "done".to_owned(),
        false => format!("waits for {}", waits.join(", ")),
    }
}
