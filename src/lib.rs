//! Feedgate imports partners' event feeds: it polls SFTP accounts, vets each archive, records it exactly once, moves it away,
//! and delivers its events onward. This page is the map.
//!
//! ```text
//! sources ──▶ intake ──▶ SPOOL + LEDGER ──▶ delivery ──▶ destinations
//! ```
//!
//! Two short loops that never call each other, and between them what is durable: the spool holds the archives as they came,
//! the ledger says what is true of them. Intake writes, delivery reads. The only thing that ever travels back is a rename and
//! a receipt on the source, and it happens after the commit.
//!
//! The idea that keeps it small and fast: **the archive is the log.** An import does not copy events into a database; it adds
//! one row for the archive, and one for each exception. Delivery reads the archive again, less its exceptions.
//!
//! # The rooms, in the order the data takes
//!
//! | room | what it does | what it has not heard of |
//! |---|---|---|
//! | [`source`] | a few verbs over names and bytes, for an SFTP account or a directory | zip, JSON, SQL |
//! | [`spool`] | downloaded archives on the local disk, by content, synced | SQL, JSON |
//! | [`archive`] | the zip: its name, its end, its rules, its one data file | SFTP, SQL, configuration, the clock |
//! | [`feed`] | the JSON array: streaming reader, entries, rejects | zip, SFTP, SQL, configuration, the clock |
//! | [`definition`] | what an event of a name must look like, and entries held against it | zip, SFTP, SQL, configuration, the clock |
//! | [`unique`] | unique keys: which events came before | archives, feeds, SFTP, the ledger's SQL |
//! | [`ledger`] | SQLite: imports, exceptions, cursors, reports | SFTP, wire formats |
//! | [`intake`] | the flow from a source to the ledger and back | destinations |
//! | [`events`] | an import read again, less its exceptions | sources, destinations |
//! | [`people`] | who the events are about: a reader of what was imported | sources, destinations, SQL |
//! | [`erasure`] | somebody erased from the spool and the ledger's texts | sources, destinations |
//! | [`delivery`] | the other loop: cursors, pace, verdicts | sources |
//! | [`destination`] | one attempt per call | sleeping, retrying, remembering |
//!
//! Around them: [`config`] stops at the front door; [`daemon`] wires tasks together; [`cli`] looks through the ledger's reports
//! and acts through its verbs; `on_disk` makes names last, `hidden` knows what must not be shown as it is, `large` gives memory back; [`receipt`] has the words for the partner, [`verdict`] the codes, [`telemetry`] the log set-up.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | source | an SFTP account and its root directory (or a local directory), polled |
//! | archive, data file | the zip, and the JSON file inside |
//! | settled | a listed file that has stopped changing and is whole |
//! | entry, event, reject | an element of the array; an accepted one; one that is not, with reasons |
//! | violation | an archive rule not observed |
//! | unique key, duplicate | what makes two events the same; the second of them: kept, not delivered |
//! | run, block, staged, settled | keys sorted and written once; some hundred of them; before and after the ledger has their import |
//! | claim, outcome, receipt | leave to import a file; what reading it came to; what the partner is told |
//! | status | processed, failed, duplicate: an archive *fails*, an entry is *rejected*, a destination *refuses* |
//! | put away | write the receipt, rename into the processed directory, then note it |
//! | disposition | where the archive ended up: moved, left, deleted, pending |
//! | turn, batch | one pass over a source or a destination; what goes through it at a time |
//! | store, receiver | a destination that keeps events, and says how far it has got; one that is sent them, and answers |
//! | parcel, call, answer | events that are sent together; a request; what came of it, or that nothing did |
//! | verdict | of an event that was sent: delivered, deferred or refused |
//! | user, lead, clash | somebody with an id; somebody known by address and unit alone; an entry that takes two people for one |
//! | cursor, dead letter | how far a destination has got; an event it refused, kept for `retry` |
//!
//! # When things go wrong
//!
//! The archive's own faults are values: they end in a receipt, marked failed and written down once. The world's faults are
//! errors: they leave no trace, and the next turn tries again.

pub mod archive;
mod blocks;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod definition;
pub mod delivery;
#[cfg(feature = "demo")]
pub mod demo;
pub mod destination;
pub mod erasure;
pub mod events;
pub mod feed;
#[doc(hidden)]
pub use source::sftp::fuzzing; // for the tests alone: what a server's bytes come to
mod hex;
mod hidden;
pub mod intake;
mod large;
pub mod ledger;
mod on_disk;
pub mod people;
pub mod receipt;
pub mod source;
pub mod spool;
pub mod telemetry;
pub mod unique;
pub mod verdict;
