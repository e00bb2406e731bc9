//! `status`: what became of every archive, what waits and why, how sources and destinations do.

use std::path::Path;

use serde::Serialize;

use super::args::StatusArgs;
use super::output::{Out, Table};
use super::{Ending, destinations, one_import, people, requests, settings};
use crate::ledger::people::PeopleReport;
use crate::ledger::report::{DestinationReport, ImportReport, RequestReport, SourceReport, WaitingReport, Which};
use crate::ledger::{Ledger, now};

/// Rejects listed of one import.
const REJECTS_SHOWN: usize = 100;

/// Rejects in the JSON of one import: all that the ledger keeps.
const REJECTS_IN_JSON: usize = crate::ledger::outcome::REJECTS_KEPT;

/// Files listed of those that wait; the rest is counted.
const WAITING_SHOWN: usize = 50;

/// What `status --json` prints. Programs rely on `imports` and `destinations`.
#[derive(Debug, Serialize)]
struct Status {
    imports: Vec<ImportReport>,
    waiting: Vec<WaitingReport>,
    sources: Vec<SourceReport>,
    destinations: Vec<DestinationReport>,
    people: Option<PeopleReport>,
    requests: Vec<RequestReport>,
}

/// Looks into the ledger and prints.
pub async fn run(config: Option<&Path>, args: &StatusArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    if let Some(source) = &args.source {
        known_source(&ledger, source).await?;
    }
    if let Some(name) = &args.destination {
        return one_destination(&ledger, name, args.json).await;
    }
    if let Some(which) = &args.which {
        return one(&ledger, which, args).await;
    }
    let status = Status {
        imports: ledger
            .imports(Which {
                limit: (!args.all).then_some(args.limit),
                failed: args.failed,
                source: args.source.clone(),
                archive: None,
            })
            .await?,
        waiting: of_source(ledger.waiting().await?, args, |waiting| &waiting.source),
        sources: of_source(ledger.sources().await?, args, |source| &source.name),
        destinations: ledger.destinations(now()).await?,
        people: ledger.people().await?,
        requests: ledger.requests((!args.all).then_some(args.limit)).await?,
    };
    let mut out = Out::new();
    match args.json {
        true => out.json(&status)?,
        false => print(&mut out, &status, args)?,
    }
    out.done()?;
    Ok(ending(&status))
}

/// Refuses a source of which the ledger has never heard: nothing to be said of it would read like all well.
pub(super) async fn known_source(ledger: &Ledger, source: &str) -> anyhow::Result<()> {
    if ledger.sources().await?.iter().any(|known| known.name == source) {
        return Ok(());
    }
    let which = Which {
        limit: Some(1),
        source: Some(source.to_owned()),
        ..Which::default()
    };
    if ledger.imports(which).await?.is_empty() {
        anyhow::bail!(
            "looking for the source `{source}`: the ledger knows none of this name; `feedgate status` lists them"
        );
    }
    Ok(())
}

/// What is listed and failed, a source in trouble, a destination that an operator must look at.
fn ending(status: &Status) -> Ending {
    let failed = status.imports.iter().any(|import| import.needs_attention);
    let troubled = status.sources.iter().any(|source| source.trouble.is_some());
    let stuck = status.destinations.iter().any(DestinationReport::needs_attention);
    match failed || troubled || stuck {
        true => Ending::Attention,
        false => Ending::Well,
    }
}

async fn one_destination(ledger: &Ledger, name: &str, json: bool) -> anyhow::Result<Ending> {
    let known = ledger.destinations(now()).await?;
    let Some(destination) = known.iter().find(|destination| destination.name == name) else {
        anyhow::bail!(
            "looking for the destination `{name}`: the ledger knows none of this name; `feedgate status` lists them"
        );
    };
    let mut out = Out::new();
    match json {
        true => out.json(destination)?,
        false => destinations::print_one(&mut out, destination)?,
    }
    out.done()?;
    match destination.needs_attention() {
        true => Ok(Ending::Attention),
        false => Ok(Ending::Well),
    }
}

fn of_source<T>(mut reports: Vec<T>, args: &StatusArgs, source: impl Fn(&T) -> &String) -> Vec<T> {
    if let Some(wanted) = &args.source {
        reports.retain(|report| source(report) == wanted);
    }
    reports
}

async fn one(ledger: &Ledger, which: &str, args: &StatusArgs) -> anyhow::Result<Ending> {
    let id = match which.parse::<i64>() {
        Ok(id) => Some(id),
        Err(_) => latest_of(ledger, which, args).await?,
    };
    let rejects = if args.json { REJECTS_IN_JSON } else { REJECTS_SHOWN };
    let found = match id {
        Some(id) => ledger.import_in_full(id, rejects).await?,
        None => None,
    };
    let mut out = Out::new();
    let asked = match (&found, id) {
        (None, Some(id)) => ledger.request(id).await?,
        _ => None,
    };
    if let Some(request) = asked {
        match args.json {
            true => out.json(&request)?,
            false => requests::print_one(&mut out, &request)?,
        }
        out.done()?;
        return Ok(Ending::Well);
    }
    let Some(full) = found else {
        let waits = ledger
            .waiting()
            .await?
            .into_iter()
            .find(|waiting| waiting.archive == which);
        let Some(waiting) = waits else {
            anyhow::bail!("looking for the import `{which}`: there is none; `feedgate status --all` lists them all");
        };
        match args.json {
            true => out.json(&waiting)?,
            false => out.line(&format!(
                "{} in {} waits: {}",
                waiting.archive, waiting.source, waiting.reason
            ))?,
        }
        out.done()?;
        return Ok(Ending::Well);
    };
    let ending = match full.import.needs_attention {
        true => Ending::Attention,
        false => Ending::Well,
    };
    match args.json {
        true => out.json(&full)?,
        false => one_import::print(&mut out, &full)?,
    }
    out.done()?;
    Ok(ending)
}

/// The latest import of an archive.
async fn latest_of(ledger: &Ledger, archive: &str, args: &StatusArgs) -> anyhow::Result<Option<i64>> {
    let which = Which {
        limit: Some(1),
        source: args.source.clone(),
        archive: Some(archive.to_owned()),
        ..Which::default()
    };
    Ok(ledger.imports(which).await?.last().map(|import| import.id))
}

fn print(out: &mut Out, status: &Status, args: &StatusArgs) -> anyhow::Result<()> {
    match (status.imports.is_empty(), args.failed) {
        (false, _) => imports(&status.imports).write(out)?,
        // There may be any number of them.
        (true, _) if args.limit == 0 && !args.all => out.line("No imports asked for.")?,
        (true, true) => out.line("No import failed.")?,
        (true, false) => out.line("No imports yet.")?,
    }
    if !status.waiting.is_empty() && !args.failed {
        out.line("")?;
        waiting(&status.waiting).write(out)?;
        let more = status.waiting.len().saturating_sub(WAITING_SHOWN);
        if more > 0 {
            out.line(&format!("and {more} more"))?;
        }
    }
    if !status.sources.is_empty() {
        out.line("")?;
        sources(&status.sources).write(out)?;
    }
    if !status.destinations.is_empty() {
        out.line("")?;
        destinations::print_all(out, &status.destinations)?;
    }
    if let Some(of) = &status.people {
        out.line("")?;
        people::print_totals(out, of)?;
    }
    if !status.requests.is_empty() {
        out.line("")?;
        requests::table(&status.requests).write(out)?;
    }
    Ok(())
}

fn imports(imports: &[ImportReport]) -> Table {
    let headings = [
        " id",
        "status",
        "source",
        "archive",
        " accepted",
        " rejected",
        "put away",
        "why",
    ];
    let mut table = Table::new(&headings);
    for import in imports {
        table.row([
            import.id.to_string(),
            import.status.clone(),
            import.source.clone(),
            import.archive.clone(),
            import.accepted.to_string(),
            import.rejected.to_string(),
            whereabouts(import),
            remarks(import),
        ]);
    }
    table
}

/// Where the archive is now, in few words.
pub(super) fn whereabouts(import: &ImportReport) -> String {
    match import.disposition.as_str() {
        "moved" => import.path.rsplit_once('/').map_or("moved", |(dir, _)| dir).to_owned() + "/",
        other => other.to_owned(),
    }
}

/// The codes, the flags, and what is in the way.
fn remarks(import: &ImportReport) -> String {
    let mut remarks: Vec<String> = import
        .violations
        .iter()
        .map(|violation| violation.code.to_string())
        .collect();
    // `duplicate` says the status already.
    remarks.extend(
        import
            .flags
            .iter()
            .filter(|flag| **flag != import.status)
            .map(|flag| (*flag).to_owned()),
    );
    if import.duplicates > 0 {
        let noun = if import.duplicates == 1 {
            "duplicate event"
        } else {
            "duplicate events"
        };
        remarks.push(format!("{} {noun}", import.duplicates));
    }
    if import.status == "failed" && import.imported {
        remarks.push("imported all the same".to_owned());
    }
    remarks.extend(import.error.clone());
    remarks.join(", ")
}

fn waiting(waiting: &[WaitingReport]) -> Table {
    let mut table = Table::new(&["waiting", "source", " bytes", "why", "looked at again"]);
    for waiting in waiting.iter().take(WAITING_SHOWN) {
        table.row([
            waiting.archive.clone(),
            waiting.source.clone(),
            waiting.size.to_string(),
            waiting.reason.clone(),
            waiting.look_at.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn sources(sources: &[SourceReport]) -> Table {
    let mut table = Table::new(&[
        "source",
        "last listed",
        " files",
        " no feeds",
        " in progress",
        "trouble",
        "next try",
    ]);
    for source in sources {
        table.row([
            source.name.clone(),
            source.listed_at.clone().unwrap_or_else(|| "never".to_owned()),
            source.files.to_string(),
            source.ignored.to_string(),
            source.in_progress.to_string(),
            source.trouble.clone().unwrap_or_else(|| "none".to_owned()),
            source.retry_at.clone().unwrap_or_default(),
        ]);
    }
    table
}
