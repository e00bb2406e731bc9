//! What an entry lacks and its receiver cannot do without: the address of an id, the id of an address, as it is known of
//! people when a parcel is composed.
//!
//! What was found goes with the parcel into the ledger. Composed again after a crash, it is held against that and nothing else:
//! the same events are sent to the same people, whatever has become known since.

use crate::destination::receiver::Needs;
use crate::events::Event;
use crate::ledger::people::{Directory, Known, LookedUp, Who, folded};
use crate::ledger::{Ledger, LedgerError};

/// What is looked up for one receiver.
pub(super) struct Lookup {
    needs: Needs,
    ledger: Ledger,
    /// Opened when somebody is looked up first.
    directory: Option<Directory>,
    /// Whether people are kept: what is known of them otherwise may be old.
    pub(super) is_on: bool,
    /// What was found for the parcel in hand.
    found: LookedUp,
    /// Whether that is all there is: the parcel was composed before.
    is_settled: bool,
}

impl Lookup {
    /// Nothing is looked up before people are kept.
    pub(super) fn new(needs: Needs, ledger: Ledger) -> Lookup {
        Lookup {
            needs,
            ledger,
            directory: None,
            is_on: false,
            found: LookedUp::new(),
            is_settled: false,
        }
    }

    /// What the receiver cannot do without.
    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    /// A parcel is composed: for the first time, or again, with what was found the first time.
    pub(super) fn begin(&mut self, again: Option<LookedUp>) {
        self.is_settled = again.is_some();
        self.found = again.unwrap_or_default();
    }

    /// What was found for the parcel.
    pub(super) fn end(&mut self) -> LookedUp {
        std::mem::take(&mut self.found)
    }

    /// Who is to be looked up for an event; `None` if it lacks nothing, or nobody could be found by it.
    pub(super) fn who(&self, event: &Event<'_>) -> Option<Who> {
        if !self.is_on && !self.is_settled {
            return None;
        }
        match (self.needs, event.user_id, event.email) {
            (Needs::Email | Needs::Either, Some(id), None) => Some(Who::Id(id.to_owned())),
            (Needs::Id | Needs::Either, None, Some(email)) => {
                let unit = event.business_unit.unwrap_or_default();
                Some(Who::Pair(folded(email), unit.to_owned()))
            }
            _ => None,
        }
    }

    /// What is known of somebody.
    pub(super) fn find(&mut self, who: &Who) -> Result<Option<Known>, LedgerError> {
        let key = who.key();
        if let Some(known) = self.found.get(&key) {
            return Ok(Some(known.clone()));
        }
        if self.is_settled {
            return Ok(None);
        }
        let directory = match &mut self.directory {
            Some(directory) => directory,
            None => self.directory.insert(self.ledger.directory()?),
        };
        let known = directory.find(who)?;
        if let Some(known) = &known {
            self.found.insert(key, known.clone());
        }
        Ok(known)
    }
}

/// An event with what it lacks. What the entry says itself stays.
pub(super) fn completed<'e>(event: Event<'e>, known: &'e Known) -> Event<'e> {
    let unit = Some(known.unit.as_str()).filter(|unit| !unit.is_empty());
    Event {
        user_id: event.user_id.or(known.user_id.as_deref()),
        email: event.email.or(known.email.as_deref()),
        business_unit: event.business_unit.or(unit),
        ..event
    }
}
