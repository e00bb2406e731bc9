//! `people`: who the events are about.
//!
//! Whoever asks for somebody is shown them: ids and addresses are not masked here, as they are nowhere else.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::PeopleArgs;
use super::output::{Out, Table};
use super::{Ending, settings};
use crate::daemon::{HEARTBEAT_AGE_MAX, heartbeat_age};
use crate::ledger::Ledger;
use crate::ledger::people::{ClashReport, MentionReport, PeopleReport, PersonReport};
use crate::people::{Follower, Step};

/// A daemon that reads people is waited for this long.
const DAEMON_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(50);

/// People of one address, and clashes of one of them, that are shown.
const SHOWN_MAX: usize = 1_000;

/// What `people WHO --json` prints.
#[derive(Serialize)]
struct Found {
    found: Vec<PersonReport>,
    people: Option<PeopleReport>,
}

/// Reads on, if nobody else does, and shows who is asked for.
pub async fn run(config: Option<&Path>, args: &PeopleArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    catch_up(&ledger, &state_dir).await?;
    let totals = ledger.people().await?;
    let mut out = Out::new();
    let ending = match &args.who {
        Some(who) => {
            let found = ledger.people_by(who, args.unit.clone(), SHOWN_MAX).await?;
            let ending = if found.is_empty() {
                Ending::Attention
            } else {
                Ending::Well
            };
            match args.json {
                true => out.json(&Found { found, people: totals })?,
                false => print_found(&mut out, who, &found, totals.as_ref())?,
            }
            ending
        }
        None if args.clashes => {
            let clashes = ledger.clashes((!args.all).then_some(args.limit)).await?;
            match args.json {
                true => out.json(&clashes)?,
                false => print_clashes(&mut out, &clashes, totals.as_ref())?,
            }
            Ending::Well
        }
        None => {
            match (&totals, args.json) {
                (totals, true) => out.json(totals)?,
                (Some(totals), false) => print_totals(&mut out, totals)?,
                (None, false) => out.line("Nothing was imported yet.")?,
            }
            Ending::Well
        }
    };
    out.done()?;
    Ok(ending)
}

/// Reads what there is to read. A daemon that does so is waited for, a little: two that read the same get in each other's way.
pub(super) async fn catch_up(ledger: &Ledger, state_dir: &Path) -> anyhow::Result<()> {
    let is_alive = || heartbeat_age(state_dir).is_some_and(|age| age < HEARTBEAT_AGE_MAX);
    let began = Instant::now();
    while let Some(totals) = ledger.people().await?
        && totals.kept
        && totals.imports_to_come > 0
        && is_alive()
    {
        if began.elapsed() >= DAEMON_MAX {
            tracing::warn!(
                imports_to_come = totals.imports_to_come,
                entries_to_come = totals.entries_to_come,
                "the daemon is still reading people: this is what was known so far"
            );
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let mut follower = Follower::new(ledger.clone(), &state_dir.join("spool"));
    let mut bar = None;
    while let Step::Heard(entries) = follower.step().await? {
        let bar = match &bar {
            Some(bar) => bar,
            None => bar.insert(progress(ledger, entries as u64).await?),
        };
        bar.inc(entries as u64);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

/// On a terminal, how far it is.
async fn progress(ledger: &Ledger, heard: u64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let to_come = ledger.people().await?.map_or(0, |totals| totals.entries_to_come);
    let bar = ProgressBar::new(heard + to_come);
    bar.set_style(ProgressStyle::with_template(
        "reading people {bar:40} {pos}/{len} entries, {eta} left",
    )?);
    Ok(bar)
}

/// How many there are, what clashed, and how far they have been read.
pub(super) fn print_totals(out: &mut Out, people: &PeopleReport) -> anyhow::Result<()> {
    let state = match (people.imports_to_come, people.kept) {
        (0, true) => "all that was imported is read".to_owned(),
        (0, false) => "all that was imported is read, by `feedgate people`".to_owned(),
        (imports, kept) => format!(
            "{} of {} to be read{}",
            count(people.entries_to_come, "entry", "entries"),
            count(imports, "import", "imports"),
            if kept { "" } else { ", by `feedgate people`" }
        ),
    };
    out.line(&format!(
        "people: {}, {}; {}; {state}",
        count(people.users, "user", "users"),
        count(people.leads, "lead", "leads"),
        count(people.clashes, "clash", "clashes"),
    ))?;
    if people.upgraded > 0 {
        let upgraded = count(people.upgraded, "lead", "leads");
        out.line(&format!("  {upgraded} became users"))?;
    }
    if let Some(gap) = people.gap {
        out.line(&format!(
            "  {} with {} could not be read any more, from import {} to import {}: whom they spoke of is not known",
            count(gap.imports, "import", "imports"),
            count(gap.entries, "entry", "entries"),
            gap.first,
            gap.last
        ))?;
    }
    match &people.trouble {
        Some(trouble) => out.line(&format!("  reading does not go on: {trouble}")),
        None => Ok(()),
    }
}

fn print_found(out: &mut Out, who: &str, found: &[PersonReport], totals: Option<&PeopleReport>) -> anyhow::Result<()> {
    for (number, person) in found.iter().enumerate() {
        if number > 0 {
            out.line("")?;
        }
        print_person(out, person)?;
    }
    if found.is_empty() {
        out.line(&format!("Nobody is known by {who}."))?;
    }
    // What may be missing from the answer.
    match totals {
        Some(people) if people.imports_to_come > 0 || people.gap.is_some() || people.trouble.is_some() => {
            out.line("")?;
            print_totals(out, people)
        }
        _ => Ok(()),
    }
}

fn print_person(out: &mut Out, person: &PersonReport) -> anyhow::Result<()> {
    out.line(&format!(
        "{} {}",
        person.kind,
        person.id.as_deref().unwrap_or("without an id")
    ))?;
    let mut fact = |what: &str, text: &str| out.line(&format!("  {what:<14} {text}"));
    fact("e-mail", person.email.as_deref().unwrap_or("not known"))?;
    fact(
        "business unit",
        if person.business_unit.is_empty() {
            "none"
        } else {
            &person.business_unit
        },
    )?;
    fact("first seen", &in_words(&person.first_seen))?;
    fact("last seen", &in_words(&person.last_seen))?;
    if let Some(upgraded) = &person.upgraded {
        let what = match person.merged {
            true => "the id was known, the address was a lead's; the two became one by ",
            false => "a lead that got its id by ",
        };
        fact("upgraded", &format!("{what}{}", in_words(upgraded)))?;
    }
    for clash in &person.clashes {
        fact("clash", &format!("{}: {}", in_words(&clash.place), said(clash)))?;
    }
    Ok(())
}

fn print_clashes(out: &mut Out, clashes: &[ClashReport], totals: Option<&PeopleReport>) -> anyhow::Result<()> {
    if clashes.is_empty() {
        return out.line("Nothing clashes.");
    }
    let mut table = Table::new(&[" import", "archive", " index", "id", "e-mail", "unit", "what"]);
    for clash in clashes {
        table.row([
            clash.place.import.to_string(),
            clash.place.archive.clone().unwrap_or_default(),
            clash.place.index.to_string(),
            clash.id.clone(),
            clash.email.clone(),
            clash.business_unit.clone(),
            said(clash),
        ]);
    }
    table.write(out)?;
    let total = totals.map_or(0, |people| people.clashes);
    match total.saturating_sub(clashes.len() as u64) {
        0 => Ok(()),
        more => out.line(&format!(
            "and {more} more; `--limit` or `--all` shows them, up to 10,000 of an import"
        )),
    }
}

/// What an entry says that cannot be.
fn said(clash: &ClashReport) -> String {
    let other = match &clash.other_id {
        Some(id) => format!("{id}, whose address it is"),
        None => "a lead, whose address it is".to_owned(),
    };
    match clash.what.as_str() {
        "new_id_for_a_user" => format!("a new id {} for {other}", clash.id),
        _ => format!("the id {} for {other}", clash.id),
    }
}

fn in_words(place: &MentionReport) -> String {
    let archive = match &place.archive {
        Some(archive) => format!(" ({archive})"),
        None => String::new(),
    };
    format!(
        "import {}{archive}, index {}, at {}",
        place.import, place.index, place.at
    )
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
