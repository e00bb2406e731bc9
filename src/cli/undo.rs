//! `undo`: an import's events taken back. First what that comes to, then whether somebody agrees.

use std::path::Path;

use serde::Serialize;

use super::args::UndoArgs;
use super::output::{Out, Table};
use super::{Ending, consent, settings};
use crate::ledger::{self, Asked, Ledger, UndoAt, UndoPlan};

/// What `--json` prints.
#[derive(Serialize)]
struct Undone<'a> {
    #[serde(flatten)]
    plan: &'a UndoPlan,
    /// The request's id; none where nothing was done.
    request: Option<i64>,
}

/// Shows the plan, asks, and notes in the ledger that the import is undone.
pub async fn run(config: Option<&Path>, args: &UndoArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    let id = args.import;
    let plan = match ledger.undo_plan(id).await? {
        Ok(plan) => plan,
        Err(refused) => anyhow::bail!("undoing import {id}: {refused}"),
    };
    if !args.json {
        let mut out = Out::new();
        print(&mut out, &plan)?;
        out.done()?;
    } else if !args.yes {
        let mut out = Out::new();
        out.json(&Undone {
            plan: &plan,
            request: None,
        })?;
        out.done()?;
    }
    consent::agreed(args.yes, &format!("undoing import {id}"))?;
    let asked = match ledger.undo(id, ledger::now()).await? {
        Ok(asked) => asked,
        Err(refused) => anyhow::bail!("undoing import {id}: {refused}"),
    };
    let mut out = Out::new();
    match args.json {
        true => out.json(&Undone {
            plan: &plan,
            request: Some(asked.request),
        })?,
        false => out.line(&done(&asked))?,
    }
    out.done()?;
    Ok(Ending::Well)
}

fn done(asked: &Asked) -> String {
    format!(
        "import {} is undone; `feedgate status {}` says which destinations have taken its events back",
        asked.import, asked.request
    )
}

fn print(out: &mut Out, plan: &UndoPlan) -> anyhow::Result<()> {
    out.line(&format!(
        "import {}: {} from {}, {} events",
        plan.import, plan.archive, plan.source, plan.events
    ))?;
    let mut table = Table::new(&["destination", "type", "has of it", "what it does"]);
    for destination in &plan.destinations {
        table.row([
            destination.name.clone(),
            destination.r#type.clone(),
            destination.has.trim_start_matches("has ").to_owned(),
            does(destination),
        ]);
    }
    if !plan.destinations.is_empty() {
        table.write(out)?;
    }
    if plan.dead_letters > 0 {
        out.line(&format!("{} dead letters are dropped", plan.dead_letters))?;
    }
    if !plan.duplicates.is_empty() {
        let ids: Vec<String> = plan.duplicates.iter().map(i64::to_string).collect();
        out.line(&format!(
            "imports that took nothing in since this one had, and stay as they are: {}",
            ids.join(", ")
        ))?;
    }
    if !plan.seen_before.is_empty() {
        let ids: Vec<String> = plan.seen_before.iter().map(i64::to_string).collect();
        out.line(&format!(
            "later imports with events that had come before: {}; those that this import had first stay undelivered, unless such an \
             import is undone too and its archive uploaded again",
            ids.join(", ")
        ))?;
    }
    out.line("the archive may be uploaded again: it is imported anew then, and its events have the same ids")?;
    out.line("the partner's receipt stays as it is")
}

fn does(destination: &UndoAt) -> String {
    match (destination.has, destination.why) {
        ("has none", _) => "never gets it".to_owned(),
        (_, None) => "takes it back".to_owned(),
        (_, Some(why)) => format!("keeps it: {why}"),
    }
}
