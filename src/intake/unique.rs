//! Closing imports whose events have unique keys: what came before is found out first, and one import at a time does so.
//!
//! The keys are staged in their own file before the ledger's closing transaction, which then has to come to what was foretold of
//! it; if the ledger has changed meanwhile, all of it is done again. Between the two a crash leaves what every import leaves: a
//! staged run, about which whoever comes next asks the ledger.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::rejected_set::RejectedSet;
use super::{Intake, Trouble};
use crate::definition::{Held, Holder};
use crate::events::Event;
use crate::feed::{self, COMPLETED, Options, Weighed};
use crate::ledger::outcome::{Outcome, SeenBefore, WARNINGS_KEPT};
use crate::ledger::{AsForetold, Closed, now};
use crate::unique::{Again, Key, Keys, Spill, Staged, Turn, UniqueError, Whose, within};
use crate::verdict::{Violation, ViolationCode, Warning, WarningCode};

/// What was seen before in one archive.
#[derive(Default)]
struct Seen {
    set: RejectedSet,
    first: Vec<Again>,
    /// There are too many to note each of them.
    too_many: bool,
}

impl Intake {
    /// Records a batch of which some archives have unique keys.
    pub(super) async fn close_by_keys(&self, mut outcomes: Vec<Outcome>) -> Result<Closed, Trouble> {
        let source = self.source.name();
        let turn = self.unique.turn().await;
        let mut began_anew = false;
        loop {
            let foretold;
            (outcomes, foretold) = self.ledger.foretell(source, outcomes).await?;
            match self.mark_what_was_seen(&turn, &mut outcomes, &foretold).await {
                Ok(Marked::Done) => {}
                Ok(Marked::Otherwise) => continue,
                Err(Trouble::Unique(error @ UniqueError::Damaged { .. })) if !began_anew => {
                    self.begin_keys_anew(&turn, &error).await?;
                    began_anew = true;
                    continue;
                }
                Err(trouble) => return Err(trouble),
            }
            match self.ledger.close_as_foretold(source, outcomes, foretold, now()).await? {
                AsForetold::Closed(closed) => return Ok(closed),
                AsForetold::Otherwise(same) => outcomes = same,
            }
        }
    }

    /// Stages the keys of those that will take their events in, and marks the events that were seen before.
    async fn mark_what_was_seen(
        &self,
        turn: &Turn,
        outcomes: &mut [Outcome],
        foretold: &[bool],
    ) -> Result<Marked, Trouble> {
        // This drops what was staged for a try before this one, too.
        self.bring_keys_up_to_date(turn).await?;
        for outcome in outcomes.iter_mut() {
            outcome.judged.seen_before = SeenBefore::default();
        }
        let taken_in = || {
            outcomes
                .iter()
                .zip(foretold)
                .filter(|(_, taken_in)| **taken_in)
                .map(|(outcome, _)| outcome)
        };
        let batch: Vec<(i64, Keys)> = taken_in()
            .map(|outcome| (outcome.id, outcome.judged.keys.clone()))
            .collect();
        if batch.iter().all(|(_, keys)| keys.is_empty()) {
            return Ok(Marked::Done);
        }
        let undone = self.ledger.undone_keyed().await?;
        let spill = Arc::new(Spill::new(&self.state_dir.0));
        let staged = self.unique.stage(turn, batch, undone, spill).await?;
        let brought = staged.brought.clone();
        let listing = tokio::task::spawn_blocking(move || list(&staged));
        let seen = listing
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the listing thread stopped")));
        let seen = seen.map_err(|source| Trouble::Disk {
            doing: "listing events that were seen before".to_owned(),
            source,
        })?;
        let ids = seen
            .iter()
            .flat_map(|seen| &seen.first)
            .map(|again| i64::from(again.first.import));
        let archives = self.ledger.archives(ids.collect()).await?;
        let mut marked = Marked::Done;
        let taken_in = outcomes
            .iter_mut()
            .zip(foretold)
            .filter(|(_, taken_in)| **taken_in)
            .map(|(outcome, _)| outcome);
        for ((outcome, seen), keys) in taken_in.zip(seen).zip(brought) {
            if seen.too_many {
                outcome.judged.violations.push(too_many(seen.set.len()));
                marked = Marked::Otherwise;
                continue;
            }
            let warnings = seen.first.iter().map(|again| warning(again, outcome.id, &archives));
            outcome.judged.seen_before = SeenBefore {
                warnings: warnings.collect(),
                set: seen.set.finish(),
                keys,
            };
        }
        Ok(marked)
    }
}

/// What came before in the same archive, for who vets one alone.
pub fn seen_within(keys: &Keys, spill: Arc<Spill>) -> io::Result<SeenBefore> {
    let seen = list(&within(keys, spill)?)?.into_iter().next().unwrap_or_default();
    Ok(SeenBefore {
        warnings: seen
            .first
            .iter()
            .map(|again| warning(again, 0, &HashMap::new()))
            .collect(),
        set: seen.set.finish(),
        keys: 0,
    })
}

/// The unique key of an entry that breaks nothing, if its definition has one: the one place that says what it is made of.
pub(super) fn key(held: &Held<'_>, [id, email, business_unit]: [Option<&str>; 3]) -> Option<Key> {
    let values = held.unique_parts()?;
    let name = &held.definition?.event_name;
    let whose = Whose {
        id,
        email,
        business_unit,
    };
    Some(Key::of_event(name, whose, values))
}

/// The unique key of an entry: what its definition says, or else that of an order in an order feed.
pub(super) fn key_of_entry(held: Option<&Held<'_>>, weighed: &Weighed<'_, '_>) -> Option<Key> {
    let identity = weighed.identity();
    held.and_then(|held| key(held, identity))
        .or_else(|| Some(order_key(identity[2], weighed.completed_order()?)).filter(|_| weighed.counts_once()))
}

/// The unique key of an order that was imported; `None`: it has none. Ask after [`key_of`], which goes before.
pub fn order_key_of(options: &Options, event: &Event<'_>) -> Option<Key> {
    if !options.counts_orders_once() || event.event != COMPLETED || event.id.item > 0 {
        return None;
    }
    Some(order_key(event.business_unit, &feed::order_id(event.body)?))
}

/// Several shops may number their orders each on its own: the unit belongs to it, and none is the same as an empty one.
fn order_key(business_unit: Option<&str>, order_id: &str) -> Key {
    Key::of(["order", COMPLETED, business_unit.unwrap_or_default(), order_id])
}

/// The unique key of an event that was imported, by the definitions of that time; `None`: it has none.
pub fn key_of(holder: &mut Holder<'_>, event: &Event<'_>) -> Option<Key> {
    // What was made of an entry is told apart by the entry.
    if event.id.item > 0 {
        return None;
    }
    let held = holder.hold(event.body, event.event);
    key(&held, [event.user_id, event.email, event.business_unit])
}

/// What marking came to.
#[derive(PartialEq, Eq)]
enum Marked {
    Done,
    /// Something about the archives was found out that changes what becomes of them.
    Otherwise,
}

fn list(staged: &Staged) -> io::Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = staged.brought.iter().map(|_| Seen::default()).collect();
    staged.seen(|again| {
        let Some(seen) = seen.get_mut(again.archive) else {
            return;
        };
        if seen.first.len() < WARNINGS_KEPT {
            seen.first.push(again);
        }
        seen.too_many = seen.too_many || seen.set.push(again.index).is_err();
    })?;
    Ok(seen)
}

fn warning(again: &Again, import: i64, archives: &HashMap<i64, String>) -> Warning {
    let (first, index) = (i64::from(again.first.import), again.first.index);
    let message = match archives.get(&first) {
        _ if first == import => format!("the same event as entry {index} of this archive"),
        Some(archive) => format!("the same event as entry {index} of import {first} ({archive})"),
        None => format!("the same event as entry {index} of import {first}"),
    };
    Warning {
        index: again.index,
        at: again.at,
        code: WarningCode::DuplicateEvent,
        pointer: String::new(),
        message,
    }
}

fn too_many(noted: u64) -> Violation {
    let detail = format!(
        "{noted} of its events were seen before and there are more, too many to note each of them, so nothing is imported"
    );
    Violation::new(ViolationCode::TooManyRejected, detail)
}
