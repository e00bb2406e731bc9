//! What follows from a call: verdicts, the cursor, dead letters, or another try, all in one settlement with the ledger.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::courier::Courier;
use super::parcel::{Parcel, Part};
use super::{Delivery, Hand, NEVER, Trouble, Turn};
use crate::destination::receiver::{Answer, Call};
use crate::ledger::{DestinationState, Flight, LetterKind, Settlement, Standing};

/// So many parcels in a row that are refused whole are hardly a matter of single events: the destination is barred, and
/// spoils another parcel only now and then.
const REFUSED_PARCELS_MAX: u32 = 10;

/// A destination that delivers without a pause says so once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// Where there is a budget, the rate is told after this long, in milliseconds.
const BURST_MS: i64 = 60_000;

impl Delivery {
    /// Writes down what came of a part of the parcel.
    pub(super) async fn settle(
        &mut self,
        mut courier: Box<Courier>,
        parcel: Parcel,
        part: Part,
    ) -> Result<Turn, Trouble> {
        courier.at = part.cursor.unwrap_or(courier.at);
        courier.letters += part.letters.len() as u64;
        self.say_buried(&part);
        let (is_done, is_refused_whole) = (parcel.is_done(), parcel.is_refused_whole());
        if is_refused_whole {
            self.refused_parcels = self.refused_parcels.saturating_add(1);
        } else if is_done && parcel.len() > 0 {
            self.refused_parcels = 0;
        }
        let (delivered, now) = (part.delivered, self.now());
        let settlement = Settlement {
            standing: Some(Standing::well(DestinationState::Delivering)),
            rate: self.rate_of(&courier, delivered, now),
            refused_parcels: Some(self.refused_parcels),
            ..self.settlement(part, (!is_done).then(|| flight(&parcel)))
        };
        self.noted = settlement.standing.clone().map(|standing| (courier.at, standing));
        self.ledger.settle(settlement, now).await?;
        self.delivered += delivered;
        self.unsaid.0 += delivered;
        self.succeeded();
        self.say_sent(false);
        courier.parcel = (!is_done).then_some(parcel);
        self.hand = Some(Hand::Receiver(courier));
        match is_refused_whole && self.refused_parcels >= REFUSED_PARCELS_MAX {
            // The next try is another parcel: it goes on, slowly.
            true => Err(self.refuses_everything()),
            false => Ok(Turn::More),
        }
    }

    /// Nothing was taken, or nobody knows: the parcel stays, and is tried again later.
    pub(super) async fn in_vain(
        &mut self,
        mut courier: Box<Courier>,
        mut parcel: Parcel,
        call: &Call,
        answer: Answer,
    ) -> Result<Turn, Trouble> {
        let now = self.now();
        let mut blocked = None;
        let trouble = match answer {
            Answer::Unavailable { reason, retry_after } => {
                let until =
                    retry_after.map(|wait| now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1_000));
                blocked = courier.receiver().budget(call).zip(until);
                Trouble {
                    not_before: until,
                    ..Trouble::waiting(reason)
                }
            }
            Answer::Unanswered { reason } => {
                parcel.may_have_been_taken(call);
                Trouble::waiting(reason)
            }
            Answer::Unclear { reason } => {
                parcel.may_have_been_taken(call);
                Trouble {
                    not_before: Some(NEVER),
                    ..Trouble::barred(format!("{reason}; {}", self.how_to_go_on()))
                }
            }
            Answer::Barred { reason } => Trouble::barred(reason),
            _ => Trouble::waiting("nothing came of the last call"),
        };
        let mut flight = Flight {
            not_before: trouble.not_before,
            ..flight(&parcel)
        };
        if let Call::Parcel(range) = call {
            // The very same call is made again, after a restart as well.
            flight.events = range.len() as u64;
        }
        let settlement = Settlement {
            blocked,
            ..self.settlement(Part::default(), Some(flight))
        };
        self.ledger.settle(settlement, now).await?;
        courier.parcel = Some(parcel);
        self.hand = Some(Hand::Receiver(courier));
        Err(trouble)
    }

    pub(super) fn settlement(&self, part: Part, flight: Option<Flight>) -> Settlement {
        Settlement {
            name: self.settings.name.clone(),
            cursor: part.cursor,
            delivered: part.delivered,
            dropped: part.dropped,
            letters: part.letters,
            letters_gone: part.letters_gone,
            letters_kept: part.letters_kept,
            tickets: part.tickets,
            flight,
            ..Settlement::default()
        }
    }

    /// Events a second, lately. A budget lets a burst through before it counts, which says nothing of what comes after.
    fn rate_of(&mut self, courier: &Courier, delivered: u64, now: i64) -> Option<f64> {
        let rate = self.rate.delivered(delivered, now);
        let is_told = courier.receiver().budgets().is_empty() || self.rate.measured_ms() >= BURST_MS;
        rate.filter(|_| is_told)
    }

    fn how_to_go_on(&self) -> String {
        format!(
            "nothing more is sent before `feedgate retry --dead-letters {}`, which sends these events again first",
            self.settings.name
        )
    }

    fn refuses_everything(&self) -> Trouble {
        let name = &self.settings.name;
        Trouble::barred(format!(
            "the last {} batches were refused whole, so it is hardly a matter of single events: see `feedgate dead-letters {name}` \
             for what it says, mend the settings, and then `feedgate retry --dead-letters {name}`",
            self.refused_parcels
        ))
    }

    pub(super) fn too_many_letters(&self, letters: u64) -> Trouble {
        let name = &self.settings.name;
        Trouble::barred(format!(
            "there are {letters} dead letters, and `dead_letters_max` is {}: see `feedgate dead-letters {name}`, and deliver them \
             again or discard them",
            self.settings.dead_letters_max
        ))
    }

    /// Says how much was delivered, now and then.
    pub(super) fn say_sent(&mut self, at_once: bool) {
        let (events, said) = self.unsaid;
        let is_due = at_once || said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if events == 0 || !is_due {
            return;
        }
        self.unsaid = (0, Some(Instant::now()));
        info!(destination = self.settings.name, events, "delivered");
    }

    fn say_buried(&self, part: &Part) {
        let Some(first) = part.letters.first() else { return };
        let of_kind = |kind| part.letters.iter().filter(|letter| letter.kind == kind).count();
        warn!(
            destination = self.settings.name,
            refused = of_kind(LetterKind::Refused),
            held = of_kind(LetterKind::Held),
            deferred = of_kind(LetterKind::Deferred),
            unidentified = of_kind(LetterKind::Unidentified),
            import = first.place.0,
            index = first.place.1,
            reason = first.reason,
            "events became dead letters"
        );
    }
}

/// What the ledger is to know of a parcel.
pub(super) fn flight(parcel: &Parcel) -> Flight {
    Flight {
        letters: parcel.letters.clone(),
        begin: parcel.at(),
        end: parcel.end,
        events: (parcel.len() - parcel.settled()) as u64,
        calls_before: parcel.calls_before as u64,
        narrowed: parcel.narrow.calls,
        suspects: parcel.narrow.suspects.map(|suspects| suspects as u64),
        sent_at: None,
        unanswered: parcel.unanswered,
        not_before: None,
        looked_up: parcel.looked_up.clone(),
    }
}
