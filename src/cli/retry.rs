//! `retry`: have archives looked at again, or dead letters delivered again. The daemon does so in its next turn, or `once`.

use std::path::Path;

use super::args::RetryArgs;
use super::output::Out;
use super::{Ending, dead_letters, replay, settings};
use crate::ledger::letters::{AgainCount, Letters};
use crate::ledger::retry::Again;
use crate::ledger::{self, Ledger};

/// Notes in the ledger what is to be looked at again, and says what was noted.
pub async fn run(config: Option<&Path>, args: &RetryArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    if let Some(import) = args.import {
        return replay::run(&ledger, import, args).await;
    }
    if let Some(destination) = &args.dead_letters {
        return deliver_again(&ledger, destination, args).await;
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

async fn deliver_again(ledger: &Ledger, destination: &str, args: &RetryArgs) -> anyhow::Result<Ending> {
    dead_letters::known(ledger, destination, &args.ids).await?;
    let which = Letters {
        unidentified: args.unidentified,
        ids: args.ids.clone(),
    };
    let Some(count) = ledger.deliver_again(destination, which, ledger::now()).await? else {
        anyhow::bail!(
            "asking for another delivery to `{destination}`: it is no longer configured; put it back into the configuration, \
             or give its dead letters up with `feedgate dead-letters {destination} --discard --all`"
        );
    };
    let mut out = Out::new();
    if args.json {
        out.json(&serde_json::json!({
            "destination": destination,
            "dead_letters": count.letters,
            "left_unidentified": count.left_unidentified,
        }))?;
    } else {
        words(destination, count).iter().try_for_each(|line| out.line(line))?;
    }
    out.done()?;
    Ok(Ending::Well)
}

fn words(destination: &str, count: AgainCount) -> Vec<String> {
    let mut lines = Vec::new();
    match (count.letters, count.left_unidentified) {
        (0, 0) => lines.push(format!(
            "{destination} has no dead letters; if it waits, it is tried again at once, and if it is behind, it goes on after the gap"
        )),
        (0, _) => {}
        (1, _) => lines.push(format!("1 dead letter is delivered to {destination} again with the next turn")),
        (letters, _) => lines.push(format!(
            "{letters} dead letters are delivered to {destination} again with the next turn"
        )),
    }
    let left = match count.left_unidentified {
        0 => return lines,
        1 => "1 range stays".to_owned(),
        left => format!("{left} ranges stay"),
    };
    lines.push(format!(
        "{left}: most of the events were taken, and would be there twice; `--unidentified` delivers them all the same, \
         `feedgate dead-letters {destination}` lists them"
    ));
    lines
}
