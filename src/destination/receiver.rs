//! What a receiver is: it takes a parcel of events by one request, and answers.
//!
//! `delivery` fills a parcel event by event ([`Receiver::add`]), and then has its calls made, one at a time
//! ([`Receiver::make`]): first those that go before, which may be made again without harm, then the parcel itself, whole or,
//! where something in it is refused, in parts. What came of each call is written down in the ledger before the next is made.

use std::ops::Range;
use std::time::Duration;

use crate::events::{Bounds, Event};
pub use crate::ledger::Budget;

/// Somebody at the far end of a network.
pub trait Receiver: Send {
    /// How large a parcel may become: events, and bytes as [`Receiver::bytes`] counts them.
    fn bounds(&self) -> Bounds;

    /// Forgets what is in the parcel: the next one begins.
    fn clear(&mut self);

    /// Adds an event to the parcel, or says why it is not in it. The same event gives the same bytes whenever it is added.
    fn add(&mut self, event: &Event<'_>) -> Added;

    /// What it cannot do without, of what an entry may lack: delivery looks it up among the people that are known, before it
    /// adds an event. One that nothing is known for is added as it is.
    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    /// Bytes in the parcel so far, before compression.
    fn bytes(&self) -> usize;

    /// Number of calls that go before the parcel itself.
    fn calls_before(&self) -> usize {
        0
    }

    /// What a call counts against; `None`: calls are not counted.
    fn budget(&self, _call: &Call) -> Option<Budget> {
        None
    }

    /// All the budgets that its calls may count against.
    fn budgets(&self) -> Vec<Budget> {
        Vec::new()
    }

    /// Makes one attempt at one call.
    fn make(&mut self, call: &Call) -> Answer;

    /// The ticket that it gave for what it took last, where it only queues events: by that it is asked later what became of
    /// them.
    fn ticket(&mut self) -> Option<String> {
        None
    }
}

/// What a receiver knows people by, and an entry may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It takes entries as they are.
    Nothing,
    /// The e-mail address, where an entry has the id alone.
    Email,
    /// The id, where an entry has an e-mail address alone.
    Id,
    /// Whichever of the two an entry lacks: some events go by the one, some by the other.
    Either,
}

/// What came of adding an event to a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is in the parcel.
    Taken,
    /// Nothing is sent for it, as configured; it is counted.
    Dropped,
    /// It cannot be sent yet: it is set aside and tried again when what it needs is known, or when somebody asks.
    Held {
        /// What is missing.
        reason: String,
    },
    /// It can never be sent as it is: a dead letter.
    Refused {
        /// What is wrong.
        reason: String,
    },
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The one of this number, from 0, of those that go before the parcel.
    Before(usize),
    /// Events of the parcel, by the order in which they were taken. Never empty.
    Parcel(Range<usize>),
}

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All of it was taken.
    Delivered,
    /// What came of each event, in order: as many as were sent.
    Verdicts(Vec<Verdict>),
    /// So many of the events were not taken, and nobody says which; the others were.
    Unidentified {
        /// How many, at least 1 and at most as many as were sent.
        failed: u64,
        /// What the receiver said.
        reason: String,
    },
    /// Something in it is wrong, and none of it was taken.
    Refused {
        /// What the receiver said.
        reason: String,
    },
    /// It is too large, and none of it was taken.
    TooLarge {
        /// What the receiver said.
        reason: String,
    },
    /// Not now: it was not sent, or was answered with a refusal that passes.
    Unavailable {
        /// What happened, for people.
        reason: String,
        /// Not before this long from now, as the receiver asked.
        retry_after: Option<Duration>,
    },
    /// It was sent, wholly or in part, and no answer came: it may have been taken.
    Unanswered {
        /// What happened, for people.
        reason: String,
    },
    /// It was answered as if it had been taken, and in a way that nobody knows: it is not sent again unasked.
    Unclear {
        /// What was said, and where to look.
        reason: String,
    },
    /// Keys or settings are wrong, and none of it was taken: somebody has to look.
    Barred {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// What came of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// It is to be sent again later.
    Deferred {
        /// What the receiver said.
        reason: String,
    },
    /// It is refused for good.
    Refused {
        /// What the receiver said.
        reason: String,
    },
}
