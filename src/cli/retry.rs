//! `retry`: have archives looked at again, or dead letters delivered again. The daemon does so in its next turn, or `once`.

use std::path::Path;

use super::args::RetryArgs;
use super::output::Out;
use super::{Ending, settings};
use crate::ledger::Ledger;
use crate::ledger::retry::Again;

/// Notes in the ledger what is to be looked at again, and says what was noted.
pub async fn run(config: Option<&Path>, args: &RetryArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    if let Some(destination) = &args.dead_letters {
        return dead_letters(&ledger, destination, args.json).await;
    }
    let again = match &args.which {
        Some(which) => match which.parse() {
            Ok(id) => Again::Import(id),
            Err(_) => Again::Archive(which.clone()),
        },
        None => Again::Failed,
    };
    let retried = ledger.retry(again).await?;
    if let (Some(which), true) = (&args.which, retried.is_empty()) {
        anyhow::bail!(
            "looking for `{which}`: no import and no file of this name is known; `feedgate status --all` lists them"
        );
    }
    let mut out = Out::new();
    if args.json {
        out.json(&retried)?;
    } else if retried.is_empty() {
        out.line("Nothing failed that is still there.")?;
    } else {
        for one in &retried {
            out.line(&format!("{} in {} {}", one.archive, one.source, one.message))?;
        }
    }
    out.done()?;
    match retried.iter().all(|one| one.again) {
        true => Ok(Ending::Well),
        false => Ok(Ending::Attention),
    }
}

async fn dead_letters(ledger: &Ledger, destination: &str, json: bool) -> anyhow::Result<Ending> {
    let Some(count) = ledger.deliver_again(destination, crate::ledger::now()).await? else {
        anyhow::bail!(
            "looking for the destination `{destination}`: the ledger knows none of this name; `feedgate status` lists them"
        );
    };
    let mut out = Out::new();
    match (json, count) {
        (true, _) => out.json(&serde_json::json!({ "destination": destination, "dead_letters": count }))?,
        (false, 0) => out.line(&format!(
            "{destination} has refused nothing; if it waits, it is tried again at once, and if it is behind, it goes on after the gap"
        ))?,
        (false, 1) => out.line(&format!(
            "1 event is delivered to {destination} again with the next turn"
        ))?,
        (false, _) => out.line(&format!(
            "{count} events are delivered to {destination} again with the next turn"
        ))?,
    }
    out.done()?;
    Ok(Ending::Well)
}
