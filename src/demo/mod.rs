//! The far end of the demo: an SFTP server on loopback, and sample archives to drop on it.
//!
//! [`server`] accepts connections, `guest` lets accounts in, `session` answers the requests of one client, and `files`
//! carries them out within the account's directory. [`partner`] is the one who uploads, [`samples`] are what is uploaded;
//! [`world`] has it all running, with the real daemon, and [`findings`] say what became of it. The integration tests use
//! the same server with a [`script`] of faults.
//!
//! It is built to be tried and tested against, on loopback: it is no server for other people's files. The daemon knows
//! nothing of this room, and meets it over SFTP only.

mod files; // what a request does within the account's directory
pub mod findings; // what became of the samples, held against what they say
mod guest; // one connection: who it is, and what it may do
pub mod keys; // key pairs and passwords made on the spot
mod listing; // names and attributes, as replies carry them
pub mod partner; // who uploads
mod paths; // where a client's path lies, and that it lies within
pub mod samples; // what is uploaded
pub mod script; // faults on demand, for tests
pub mod server; // accounts, host key, accepting
mod session; // one client's requests and replies
pub mod world; // directory, server and daemon together

pub use server::{Account, Server, Setup};
