//! `erase`: somebody forgotten, wherever that can be done; and where it cannot.
//!
//! The request goes into the log, and local destinations come to it as they come to everything. Spool and ledger are cleared
//! by the daemon, which is waited for; or here, where none runs.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::EraseArgs;
use super::output::Out;
use super::people::catch_up as people_read;
use super::{Ending, consent, requests, settings};
use crate::daemon::{LockError, clear_by_hand};
use crate::erasure::{self, Found};
use crate::ledger::people::{self, Who};
use crate::ledger::report::{DestinationReport, RequestReport};
use crate::ledger::{self, Address, Ledger, Whom};

/// Time between two looks at what the daemon has done.
const LOOK: Duration = Duration::from_millis(200);

/// Between two words about what is waited for.
const SAY: Duration = Duration::from_secs(5);

/// How long destinations that are at work are waited for, when spool and ledger are cleared.
const DESTINATIONS_MAX: Duration = Duration::from_secs(30);

/// What `--json` prints.
#[derive(Serialize)]
struct Erased {
    /// How the person is known.
    whom: Whom,
    /// What there was in the spool beforehand; none with `--yes`.
    found: Option<Found>,
    /// The request; none where nothing was done.
    request: Option<RequestReport>,
    /// Where nothing can be erased, and why.
    out_of_reach: Vec<OutOfReach>,
}

/// Where a person's data may be that nobody here can reach.
#[derive(Debug, Serialize)]
struct OutOfReach {
    /// Where.
    what: String,
    /// Why not, and what to do.
    why: String,
}

/// Shows the plan, asks, notes the request in the ledger, and sees it through as far as it goes at once.
pub async fn run(config: Option<&Path>, args: &EraseArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    let whom = whom(args)?;
    // Who is known by an id and by an address shows when all is read; nobody may have needed it so far.
    people_read(&ledger, &state_dir).await?;
    let whom = known_otherwise(&ledger, whom).await?;
    let out_of_reach = out_of_reach(&ledger).await?;
    let mut found = None;
    if !args.yes {
        let searched = erasure::search(&ledger, &state_dir.join("spool"), &whom).await?;
        let mut out = Out::new();
        plan(&mut out, &whom, &searched, &ledger.destinations(ledger::now()).await?)?;
        out.done()?;
        found = Some(searched);
    }
    consent::agreed(args.yes, "erasing this person")?;
    let id = ledger.erase(whom.clone(), ledger::now()).await?;
    let request = see_through(&state_dir, &ledger, id).await?;
    let ending = match request
        .cleared
        .as_ref()
        .is_some_and(|cleared| !cleared.unreadable.is_empty())
    {
        true => Ending::Attention,
        false => Ending::Well,
    };
    let mut out = Out::new();
    if args.json {
        out.json(&Erased {
            whom,
            found,
            request: Some(request),
            out_of_reach,
        })?;
    } else {
        requests::print_one(&mut out, &request)?;
        out.line("out of reach")?;
        for place in &out_of_reach {
            out.line(&format!("  {}: {}", place.what, place.why))?;
        }
        out.line("what comes in later of the same person is imported as before: erasing is not blocking")?;
    }
    out.done()?;
    Ok(ending)
}

fn whom(args: &EraseArgs) -> anyhow::Result<Whom> {
    let given = args.id.as_deref().or(args.email.as_deref()).unwrap_or_default();
    if given.trim().is_empty() {
        anyhow::bail!("erasing a person: an empty id or address is nobody's");
    }
    Ok(match &args.id {
        Some(id) => Whom::by_id(id),
        None => Whom::by_address(given, args.unit.as_deref().unwrap_or_default()),
    })
}

/// With the other identities of the same person, where people are kept: the id that an address belongs to, the address of an id.
async fn known_otherwise(ledger: &Ledger, mut whom: Whom) -> anyhow::Result<Whom> {
    let by_id = whom.ids.iter().cloned().map(Who::Id);
    let by_address = whom.addresses.iter();
    let by_address = by_address.map(|address| Who::Pair(people::folded(&address.email), address.unit.clone()));
    let known = ledger.concerned(by_id.chain(by_address).collect()).await?;
    for person in known.people {
        let pair = person.pair();
        whom.ids.extend(person.user_id.filter(|id| !whom.ids.contains(id)));
        if let Some((email, unit)) = pair
            && !whom.is(None, Some(&email), Some(&unit))
        {
            whom.addresses.push(Address { email, unit });
        }
    }
    Ok(whom)
}

fn plan(out: &mut Out, whom: &Whom, found: &Found, destinations: &[DestinationReport]) -> anyhow::Result<()> {
    out.line("who")?;
    for id in &whom.ids {
        out.line(&format!("  the id {id}"))?;
    }
    for address in &whom.addresses {
        match address.unit.as_str() {
            "" => out.line(&format!("  the address {} without a business unit", address.email))?,
            unit => out.line(&format!("  the address {} in the business unit {unit}", address.email))?,
        }
    }
    out.line("what is erased")?;
    out.line(&format!(
        "  spool: {} entries in {} of {} archives",
        found.entries, found.archives, found.searched
    ))?;
    if found.unreadable > 0 {
        out.line(&format!("  spool: {} archives cannot be read", found.unreadable))?;
    }
    for (unit, entries) in &found.in_other_units {
        let unit = match unit.as_str() {
            "" => "no business unit".to_owned(),
            unit => format!("the business unit {unit}"),
        };
        out.line(&format!(
            "  spool: {entries} entries have the same address in {unit}, and are somebody else's; `--unit` names another"
        ))?;
    }
    out.line("  ledger: dead letters, texts of rejects and warnings")?;
    for destination in destinations.iter().filter(|one| is_local(one)) {
        out.line(&format!(
            "  destination {} ({}): their events",
            destination.name, destination.r#type
        ))?;
    }
    Ok(())
}

/// Whether a destination takes out what it has.
fn is_local(destination: &DestinationReport) -> bool {
    matches!(destination.r#type.as_str(), "sqlite" | "file") && destination.state != "removed"
}

async fn out_of_reach(ledger: &Ledger) -> anyhow::Result<Vec<OutOfReach>> {
    let mut places = vec![OutOfReach {
        what: "the servers of the sources".to_owned(),
        why: "archives that were put away, and receipts, are the partner's; ask them to delete these".to_owned(),
    }];
    for destination in ledger.destinations(ledger::now()).await? {
        let why = match (destination.state.as_str(), destination.r#type.as_str()) {
            ("removed", _) => "it is no longer configured, and what it has stays; delete it there",
            (_, "sqlite" | "file") => continue,
            (_, "console") => "what was printed stays printed",
            _ => "what it was sent is there; erase the person there as well",
        };
        places.push(OutOfReach {
            what: format!("the destination {} ({})", destination.name, destination.r#type),
            why: why.to_owned(),
        });
    }
    places.push(OutOfReach {
        what: "backups, logs, copies".to_owned(),
        why: "whatever was copied from here, free blocks of the disk included".to_owned(),
    });
    Ok(places)
}

/// Clears spool and ledger, or waits for whoever does.
async fn see_through(state_dir: &Path, ledger: &Ledger, id: i64) -> anyhow::Result<RequestReport> {
    let mut said = Instant::now();
    let mut by_hand = false;
    let mut cleared_since = None;
    loop {
        let Some(request) = ledger.request(id).await? else {
            anyhow::bail!("looking for request {id}: the ledger knows nothing of it any more");
        };
        let is_cleared = request.cleared_at.is_some();
        let since = *cleared_since.get_or_insert_with(Instant::now);
        if !is_cleared {
            cleared_since = None;
        }
        let waits_for = at_work(ledger, &request).await?;
        if is_cleared && (by_hand || waits_for.is_empty() || since.elapsed() > DESTINATIONS_MAX) {
            return Ok(request);
        }
        if !is_cleared {
            match clear_by_hand(state_dir, ledger.clone()).await {
                Ok(()) => {
                    by_hand = true;
                    continue;
                }
                // Somebody else holds the directory, and does it.
                Err(error) if matches!(error.downcast_ref(), Some(LockError::Held { .. })) => {}
                Err(error) => {
                    return Err(error.context(format!(
                        "erasing the person (request {id} stays, and is gone on with by `feedgate run` or `feedgate once`)"
                    )));
                }
            }
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            let what = match is_cleared {
                true => waits_for.join(", "),
                false => "the daemon to clear the spool".to_owned(),
            };
            // With stderr closed there is nobody to tell.
            writeln!(std::io::stderr(), "feedgate: waiting for {what}").ok();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Local destinations that have not come to a request, and are on their way.
async fn at_work(ledger: &Ledger, request: &RequestReport) -> anyhow::Result<Vec<String>> {
    let all = ledger.destinations(ledger::now()).await?;
    let on_its_way = |one: &&DestinationReport| {
        is_local(one) && matches!(one.state.as_str(), "idle" | "delivering") && request.waits_for.contains(&one.name)
    };
    Ok(all.iter().filter(on_its_way).map(|one| one.name.clone()).collect())
}
