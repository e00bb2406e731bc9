//! The integration tests: one binary, a module for each part of the story.

mod house; // the harness: real sshd, archives from readable text, the scripted far end

mod again; // delivered once more, taken back, erased
mod archives; // every rule of packaging, and hostile zips
mod arriving; // large archives, read while they arrive
mod bento; // what is sent to Bento, against its pages and its own client; what its answers mean
mod capillary; // what is sent to Capillary, what its answers mean, its definitions made like ours; drafts of such
mod cli; // stdout, stderr and exit code
mod config; // what the configuration may say
mod crash_walk; // stopped before and after every outside call, and arrived at the same end
mod daemon; // its life: signals, two at once, servers that go and come, uploads, new settings
mod definitions; // what events must look like: held, checked, explained, hidden
mod delivery; // cursor, batches, restart, a destination that fails
mod demo; // the demo, as a newcomer runs it
mod feeds; // every rule of entries, and the reader against serde_json
mod feeds_other; // order feeds and their items, user feeds, and who goes first
#[cfg(feature = "parquet")]
mod files; // Parquet, read back by DuckDB and by the crate that wrote it
mod fuzz; // any bytes at all: the fuzz targets, for a few seconds each
mod hostile; // every hazard of zip and JSON that we know, through the real daemon, and what it answers
mod http; // what is posted, and what every answer and every absence of one comes to
mod intake; // one test per rule and per ending, over a directory and over SFTP
mod kills; // SIGKILL at random moments
mod network; // faults at any byte, servers that limit, refuse, flood and lie: recovered from without a restart
mod people; // who is who: users, leads, upgrades, clashes; what is looked up for Bento
mod receivers; // deliveries through faults, refusals, hours and crashes
mod secrets; // in no output: a whole life, searched
mod seeing; // destinations and dead letters, as `status`, `dead-letters`, `retry` and `check` show them
mod sources; // one contract over a local directory and SFTP; authentication; host keys
mod supply; // licences, sources and versions of what the program is made of
mod tidy; // rooms that must not know each other
mod unique; // events that come a second time: told, not delivered; crashes, lost files, many keys
mod upgrade; // every older ledger opens and equals a fresh one
mod uploads; // real uploaders racing the poll, and every way to write a file
