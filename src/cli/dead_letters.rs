//! `dead-letters`: what a destination did not take, and why; and giving it up.
//!
//! Bodies hold what people have said of themselves: the table for people does not show them, `--json` does, without what a
//! definition calls sensitive.

use std::path::Path;

use serde::Serialize;

use super::args::DeadLettersArgs;
use super::masking::Masking;
use super::output::{Out, Table};
use super::{Ending, settings};
use crate::ledger::report::{LetterReport, LettersWanted};
use crate::ledger::{Ledger, now};

/// A dead letter, as `--json` has it.
#[derive(Serialize)]
struct InFull<'a> {
    #[serde(flatten)]
    letter: &'a LetterReport,
    /// The text kept, whatever is in it: numbers stay as they were written.
    body: String,
}

/// Lists them, or gives them up.
pub async fn run(config: Option<&Path>, args: &DeadLettersArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    if args.discard && args.ids.is_empty() && !args.all {
        anyhow::bail!("giving dead letters up: say which, by `--id` as often as needed, or `--all`");
    }
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    known(&ledger, &args.destination, &args.ids).await?;
    match args.discard {
        true => discard(&ledger, args).await,
        false => list(&ledger, args).await,
    }
}

/// Refuses a destination of which the ledger has never heard, and letters that it does not have.
pub(super) async fn known(ledger: &Ledger, destination: &str, ids: &[i64]) -> anyhow::Result<()> {
    if ledger.destination(destination).await?.is_none() {
        anyhow::bail!(
            "looking for the destination `{destination}`: the ledger knows none of this name; `feedgate status` lists them"
        );
    }
    if ids.is_empty() {
        return Ok(());
    }
    let wanted = LettersWanted {
        limit: None,
        ids: ids.to_vec(),
    };
    let letters = ledger.dead_letters(destination, wanted).await?;
    let is_there = |id: &&i64| letters.iter().any(|letter| letter.id == **id);
    let missing: Vec<String> = ids.iter().filter(|id| !is_there(id)).map(i64::to_string).collect();
    if !missing.is_empty() {
        anyhow::bail!(
            "looking for dead letters of `{destination}`: it has none with the number {}; `feedgate dead-letters {destination}` \
             lists them",
            missing.join(", ")
        );
    }
    Ok(())
}

async fn list(ledger: &Ledger, args: &DeadLettersArgs) -> anyhow::Result<Ending> {
    let wanted = LettersWanted {
        limit: (!args.all && args.ids.is_empty()).then_some(args.limit),
        ids: args.ids.clone(),
    };
    let letters = ledger.dead_letters(&args.destination, wanted).await?;
    let mut out = Out::new();
    match args.json {
        true => json(ledger, &mut out, &letters, Masking::new(args.reveal)).await?,
        false => table(ledger, &mut out, &letters, args).await?,
    }
    out.done()?;
    Ok(Ending::Well)
}

/// One after the other: a body may be of megabytes, and there may be a hundred thousand.
async fn json(ledger: &Ledger, out: &mut Out, letters: &[LetterReport], mut masking: Masking) -> anyhow::Result<()> {
    let mut is_first = true;
    for letter in letters {
        // One that was delivered or given up meanwhile is gone.
        let Some(body) = ledger.dead_letter_body(letter.id).await? else {
            continue;
        };
        let body = masked(ledger, letter, &body, &mut masking).await?;
        out.bytes(if is_first { b"[\n" } else { b",\n" })?;
        out.json(&InFull { letter, body })?;
        is_first = false;
    }
    out.bytes(if is_first { b"[]\n" } else { b"]\n" })
}

/// A letter's body: an entry, or a line for each of a range, which may be of several imports.
async fn masked(ledger: &Ledger, letter: &LetterReport, body: &str, masking: &mut Masking) -> anyhow::Result<String> {
    let mut mask = masking.of_import(ledger, letter.import).await?;
    if letter.range.is_none() {
        return Ok(mask.entry(&letter.event, body).into_owned());
    }
    let mut lines = String::with_capacity(body.len());
    let mut import = letter.import;
    for line in body.lines() {
        if let Some(other) = import_of(line).filter(|other| *other != import) {
            mask = masking.of_import(ledger, other).await?;
            import = other;
        }
        lines.push_str(&mask.line(line));
        lines.push('\n');
    }
    Ok(lines)
}

/// The import that a line of an event names.
fn import_of(line: &str) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Line {
        import: i64,
    }
    Some(serde_json::from_str::<Line>(line).ok()?.import)
}

async fn table(ledger: &Ledger, out: &mut Out, letters: &[LetterReport], args: &DeadLettersArgs) -> anyhow::Result<()> {
    let name = &args.destination;
    if letters.is_empty() && args.limit > 0 {
        return out.line(&format!("{name} has no dead letters."));
    }
    let headings = [
        " id",
        "kind",
        "archive",
        " index",
        "event",
        " attempts",
        "last tried",
        "reason",
    ];
    let mut table = Table::new(&headings);
    for letter in letters {
        table.row([
            letter.id.to_string(),
            kind(letter),
            letter.archive.clone(),
            index(letter),
            event(letter),
            letter.attempts.to_string(),
            letter.last_at().to_owned(),
            letter.reason.clone(),
        ]);
    }
    table.write(out)?;
    let all = ledger.destinations(now()).await?;
    let total = all
        .iter()
        .find(|one| one.name == *name)
        .map_or(0, |one| one.dead_letters);
    let more = total.saturating_sub(letters.len() as u64);
    if more > 0 && args.ids.is_empty() {
        out.line(&format!("and {more} older; `--limit` or `--all` shows them"))?;
    }
    Ok(())
}

fn kind(letter: &LetterReport) -> String {
    match (letter.in_flight, &letter.retry_at) {
        (true, _) => format!("{}, on its way", letter.kind),
        (false, Some(_)) => format!("{}, to be sent again", letter.kind),
        (false, None) => letter.kind.clone(),
    }
}

fn index(letter: &LetterReport) -> String {
    match &letter.range {
        Some(range) if range.last_import == letter.import => format!("{}-{}", letter.index, range.last_index),
        Some(_) => format!("from {}", letter.index),
        None => letter.index.to_string(),
    }
}

fn event(letter: &LetterReport) -> String {
    match &letter.range {
        Some(range) => format!("{} of {} events", range.failed, range.events),
        None => letter.event.clone(),
    }
}

async fn discard(ledger: &Ledger, args: &DeadLettersArgs) -> anyhow::Result<Ending> {
    let name = &args.destination;
    let Some(discarded) = ledger.discard(name, args.ids.clone(), now()).await? else {
        anyhow::bail!("giving up dead letters of `{name}`: the ledger knows no destination of this name any more");
    };
    let mut out = Out::new();
    if args.json {
        out.json(&serde_json::json!({
            "destination": name,
            "discarded": discarded.letters,
            "in_flight": discarded.in_flight,
        }))?;
        out.done()?;
        return Ok(ending(discarded.in_flight));
    }
    match discarded.letters {
        0 if discarded.in_flight > 0 => {}
        0 => out.line(&format!("{name} has no dead letters."))?,
        1 => out.line(&format!("1 dead letter of {name} is given up"))?,
        letters => out.line(&format!("{letters} dead letters of {name} are given up"))?,
    }
    match discarded.in_flight {
        0 => {}
        1 => out.line("1 is on its way just now, and stays; ask again when its answer is there")?,
        letters => out.line(&format!(
            "{letters} are on their way just now, and stay; ask again when their answer is there"
        ))?,
    }
    out.done()?;
    Ok(ending(discarded.in_flight))
}

/// What was asked for was not done wholly while letters are on their way.
fn ending(in_flight: u64) -> Ending {
    match in_flight {
        0 => Ending::Well,
        _ => Ending::Attention,
    }
}
