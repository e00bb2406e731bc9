//! The turn of a destination that is sent events: one call, and the ledger told of it, before and after.
//!
//! Before a call the ledger is told what is sent, and takes it from the budget; after it, what came of each event. So a crash
//! at any moment leaves one of three things: a parcel that was not sent, which is filled anew; a call with no answer written
//! down, whose events are sent again, the same ones with the same ids; or the next parcel.

use tracing::{debug, info, warn};

use super::courier::{Courier, Unfilled};
use super::narrow::CALLS_MAX;
use super::parcel::{Parcel, Part};
use super::settling::flight;
use super::unsaid::unsaid;
use super::{Delivery, Hand, NEVER, Trouble, Turn};
use crate::destination::receiver::{Answer, Call, Needs, Verdict};
use crate::ledger::{Cursor, DestinationState, Flight, Leave, Sending, Standing, report};

impl Delivery {
    /// One call, if there is something to send.
    pub(super) async fn receiver_turn(&mut self, courier: Box<Courier>) -> Result<Turn, Trouble> {
        let mut courier = match courier.parcel {
            Some(_) => courier,
            None => match self.pack(courier).await? {
                Packed::Parcel(courier) => courier,
                Packed::Nothing(courier) => return self.rest(courier).await,
            },
        };
        let Some(mut parcel) = courier.parcel.take() else {
            self.hand = Some(Hand::Receiver(courier));
            return Ok(Turn::More);
        };
        if parcel.is_done() {
            let part = parcel.finish();
            return self.settle(courier, parcel, part).await;
        }
        let Some(call) = courier.next_call(&parcel) else {
            let reason = format!(
                "the batch it was in was refused, and {CALLS_MAX} more calls did not tell which events are at fault"
            );
            let part = parcel.give_up(&reason, self.now());
            return self.settle(courier, parcel, part).await;
        };
        let sending = self.sending(&courier, &parcel, &call);
        match self.ledger.begin_call(sending, self.now()).await? {
            Leave::Granted => {}
            Leave::NotBefore(until) => {
                courier.parcel = Some(parcel);
                return self.keep_to_the_budget(courier, until).await;
            }
            // It did so before a restart: how it stands is in the ledger still.
            Leave::Asked(until) => {
                courier.parcel = Some(parcel);
                self.hand = Some(Hand::Receiver(courier));
                let reason = match until {
                    NEVER => "nothing is sent before `feedgate retry --dead-letters`".to_owned(),
                    until => format!("the destination asked not to be called before {}", report::time(until)),
                };
                return Ok(Turn::Wait { until, reason });
            }
        }
        parcel.is_counted = parcel.is_unsure;
        let made = call.clone();
        let (courier, answer) = self
            .off_the_runtime(move || {
                let answer = courier.make(&made);
                (courier, answer)
            })
            .await?;
        let answer = unsaid(&self.ledger, &parcel, answer).await?;
        match call {
            Call::Before(number) => self.answered_before(courier, parcel, number, answer).await,
            Call::Parcel(range) => self.answered(courier, parcel, range.len(), answer).await,
        }
    }

    /// Fills a parcel: with dead letters that are due, or else with events ahead.
    async fn pack(&mut self, mut courier: Box<Courier>) -> Result<Packed, Trouble> {
        let read_until = self.people_until(&mut courier).await?;
        let bounds = courier.receiver().bounds();
        let name = &self.settings.name;
        let due = self
            .ledger
            .due_letters(name, None, self.now(), bounds.events, bounds.bytes)
            .await?;
        if !due.is_empty() {
            self.begins(courier.at).await?;
            let (courier, filled) = self
                .off_the_runtime(move || {
                    let filled = courier.fill_with_letters(&due, None);
                    (courier, filled)
                })
                .await?;
            filled?;
            return Ok(Packed::Parcel(courier));
        }
        if courier.letters >= self.settings.dead_letters_max {
            courier.letters = self.ledger.letters_count(name).await?;
            if courier.letters >= self.settings.dead_letters_max {
                return Err(self.too_many_letters(courier.letters));
            }
        }
        // What is known to be ahead may have been undone since.
        let asked = self.ledger.last_request().await?;
        if asked != courier.asked {
            courier.asked = asked;
            courier.look_anew();
        }
        if courier.wants_imports() {
            let ahead = self.ahead(courier.at).await?;
            let ahead = match read_until {
                Some(read_until) => ahead.before(read_until),
                None => ahead,
            };
            courier.waits_for_people = ahead.imports.is_empty() && ahead.is_cut;
            courier.look(ahead);
        }
        if !courier.has_imports() {
            return Ok(Packed::Nothing(courier));
        }
        self.begins(courier.at).await?;
        let (mut courier, filled) = self
            .off_the_runtime(move || {
                let filled = courier.fill(None);
                (courier, filled)
            })
            .await?;
        match filled {
            Ok(()) => Ok(Packed::Parcel(courier)),
            Err(Unfilled::NoLookup(error)) => Err(error.into()),
            // It lies elsewhere since it was looked up, or nobody wants it any more.
            Err(Unfilled::Unreadable(import, _)) if !self.ledger.is_as_before(&import).await? => {
                courier.look_anew();
                Ok(Packed::Parcel(courier))
            }
            Err(Unfilled::Unreadable(_, error)) if error.is_transient() => Err(Trouble::waiting(error.to_string())),
            Err(Unfilled::Unreadable(import, error)) => {
                // The leave holds for the whole gap: it ends with the next parcel that is delivered.
                let standing = self.leave_to_pass(&import, &error).await?;
                courier.skip(&import);
                self.ledger
                    .settle(self.settlement(Part::default(), None), self.now())
                    .await?;
                self.record(courier.at, 0, standing).await?;
                Ok(Packed::Parcel(courier))
            }
        }
    }

    /// Where the events end whose people have been read: whoever looks people up does not go beyond. `None`: wherever it likes.
    async fn people_until(&mut self, courier: &mut Courier) -> Result<Option<Cursor>, Trouble> {
        if courier.lookup.needs() == Needs::Nothing {
            return Ok(None);
        }
        let reading = self.ledger.people_reading().await?;
        courier.lookup.is_on = reading.kept;
        Ok(reading.kept.then_some(reading.at))
    }

    /// There is something to send: one that was idle no longer is, and the ledger says so before the first answer.
    async fn begins(&mut self, at: Cursor) -> Result<(), Trouble> {
        self.rate.busy(self.now());
        let is_idle = |noted: &(Cursor, Standing)| noted.1.state == DestinationState::Idle;
        if self.noted.as_ref().is_some_and(is_idle) {
            self.record(at, 0, Standing::well(DestinationState::Delivering)).await?;
        }
        Ok(())
    }

    /// Nothing is left to send.
    async fn rest(&mut self, courier: Box<Courier>) -> Result<Turn, Trouble> {
        self.rate.idle();
        let standing = match courier.waits_for_people {
            true => Standing {
                reason: Some("waiting until the people of what comes next have been read".to_owned()),
                ..Standing::well(DestinationState::Delivering)
            },
            false => Standing::well(DestinationState::Idle),
        };
        self.record(courier.at, 0, standing).await?;
        self.succeeded();
        self.say_sent(true);
        self.hand = Some(Hand::Receiver(courier));
        Ok(Turn::Idle)
    }

    /// What the ledger is to write down before a call.
    fn sending(&self, courier: &Courier, parcel: &Parcel, call: &Call) -> Sending {
        let events = match call {
            Call::Before(_) => 0,
            Call::Parcel(range) => range.len() as u64,
        };
        Sending {
            name: self.settings.name.clone(),
            flight: Flight {
                events,
                ..flight(parcel)
            },
            budget: courier.receiver().budget(call),
            resent: if parcel.is_unsure && !parcel.is_counted {
                events
            } else {
                0
            },
        }
    }

    /// Waits for the budget. What comes meanwhile is sent too, where there is room for it and nothing was sent yet.
    async fn keep_to_the_budget(&mut self, mut courier: Box<Courier>, until: i64) -> Result<Turn, Trouble> {
        let may_be_filled_anew = courier.parcel.as_ref().is_some_and(|parcel| {
            !parcel.is_full
                && !parcel.is_unsure
                && parcel.settled() == 0
                && parcel.calls_before == 0
                && !parcel.narrow.has_begun()
        });
        let at = courier.at;
        if may_be_filled_anew {
            courier.unpack();
        }
        let standing = Standing {
            reason: Some("keeping to the budget of calls".to_owned()),
            retry_at: Some(until),
            ..Standing::well(DestinationState::Delivering)
        };
        self.record(at, 0, standing).await?;
        self.say_sent(true);
        self.hand = Some(Hand::Receiver(courier));
        Ok(Turn::Paced { until })
    }

    /// What came of a call that goes before the parcel.
    async fn answered_before(
        &mut self,
        mut courier: Box<Courier>,
        mut parcel: Parcel,
        number: usize,
        answer: Answer,
    ) -> Result<Turn, Trouble> {
        match answer {
            Answer::Delivered | Answer::Verdicts(_) => {}
            // It adds to a profile, and the events go all the same: what is wrong in it is for the log.
            Answer::Refused { reason } | Answer::TooLarge { reason } | Answer::Unidentified { reason, .. } => {
                warn!(
                    destination = self.settings.name,
                    reason, "a call that goes before the events was refused"
                );
            }
            Answer::Unavailable { .. } | Answer::Unanswered { .. } | Answer::Unclear { .. } | Answer::Barred { .. } => {
                return self.in_vain(courier, parcel, &Call::Before(number), answer).await;
            }
        }
        parcel.calls_before = number + 1;
        self.ledger
            .settle(self.settlement(Part::default(), Some(flight(&parcel))), self.now())
            .await?;
        self.succeeded();
        courier.parcel = Some(parcel);
        self.hand = Some(Hand::Receiver(courier));
        Ok(Turn::More)
    }

    /// What came of sending the next `count` events.
    async fn answered(
        &mut self,
        mut courier: Box<Courier>,
        mut parcel: Parcel,
        count: usize,
        answer: Answer,
    ) -> Result<Turn, Trouble> {
        // A call in vain says nothing of the events: an outage must not end the search for those at fault.
        if !is_in_vain(&answer) {
            parcel.narrow.count_call();
        }
        if matches!(
            answer,
            Answer::Delivered | Answer::Verdicts(_) | Answer::Unidentified { .. }
        ) {
            courier.fitted();
        }
        let now = self.now();
        let part = match answer {
            Answer::Delivered => self.taken(&mut courier, &mut parcel, count),
            Answer::Verdicts(verdicts) if verdicts.len() == count => parcel.judge(&verdicts, now),
            Answer::Verdicts(_) => {
                let reason = "the destination gave another number of verdicts than it was sent events".to_owned();
                return self
                    .in_vain(courier, parcel, &Call::Parcel(0..count), Answer::Barred { reason })
                    .await;
            }
            // This one was too large by itself; whether others are, one call after the other tells.
            Answer::TooLarge { reason } if count == 1 => parcel.judge(&[Verdict::Refused { reason }], now),
            Answer::Unidentified { failed, reason } => parcel.judge_unidentified(count, failed, &reason, now),
            Answer::Refused { reason } if count == 1 => parcel.judge(&[Verdict::Refused { reason }], now),
            Answer::Refused { .. } => {
                parcel.narrow.refused(count);
                Part::default()
            }
            Answer::TooLarge { .. } => {
                courier.limit = count / 2;
                Part::default()
            }
            Answer::Unavailable { .. } | Answer::Unanswered { .. } | Answer::Unclear { .. } | Answer::Barred { .. } => {
                return self.in_vain(courier, parcel, &Call::Parcel(0..count), answer).await;
            }
        };
        parcel.is_unsure = false;
        parcel.unanswered = 0;
        self.settle(courier, parcel, part).await
    }

    /// The next events were taken. Where the receiver gave a ticket for them it is kept: it is what it is asked with later.
    fn taken(&self, courier: &mut Courier, parcel: &mut Parcel, count: usize) -> Part {
        let tickets = match courier.ticket() {
            Some(ticket) => parcel.ticketed(count, &ticket),
            None => Vec::new(),
        };
        for taken in &tickets {
            debug!(
                destination = self.settings.name,
                event_id = taken.event_id,
                ticket = taken.ticket,
                "queued there"
            );
        }
        Part {
            tickets,
            ..parcel.judge(&vec![Verdict::Delivered; count], self.now())
        }
    }

    pub(super) fn say_paced(&self, until: i64) {
        info!(
            destination = self.settings.name,
            resume_in_ms = until - self.now(),
            "the budget of calls is used up for now; the rest waits"
        );
    }
}

/// Whether nothing was taken, or nobody knows.
fn is_in_vain(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Unavailable { .. } | Answer::Unanswered { .. } | Answer::Unclear { .. } | Answer::Barred { .. }
    )
}

/// What came of filling a parcel.
enum Packed {
    /// There is one, or the next turn makes one.
    Parcel(Box<Courier>),
    /// There is nothing to send.
    Nothing(Box<Courier>),
}
