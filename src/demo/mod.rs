//! The far end of the demo: an SFTP server on loopback, and sample archives to drop on it.
//!
//! [`server`] lets accounts in over SSH, [`session`] answers the requests of one client, [`files`] carries them out within
//! the account's directory, [`partner`] is the one who uploads, and [`samples`] are what he uploads. The integration
//! tests use the same server with a [`script`] of faults.
//!
//! It is built to be tried and tested against, on loopback: it is no server for other people's files. The daemon knows
//! nothing of this room, and meets it over SFTP only.

mod files; // what a request does within the account's directory
pub mod findings; // what became of the samples
pub mod keys; // key pairs and passwords made on the spot
mod listing; // names and attributes
pub mod partner; // who uploads
mod paths; // where a client's path lies, and that it lies within
pub mod samples;
pub mod script; // faults on demand, for tests
pub mod server; // accounts, host key, accepting
mod session;
pub mod world; // directory, server and daemon together // one client's requests and replies // what is uploaded

pub use server::{Account, Server, Setup};
