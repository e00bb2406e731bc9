//! Feedgate imports partners' event feeds from SFTP accounts. This page is the map.

pub mod archive;
pub mod cli;
pub mod config;
pub mod destination;
pub mod events;
pub mod feed;
pub mod intake;
pub mod ledger;
pub mod receipt;
pub mod source;
pub mod spool;
pub mod telemetry;
pub mod verdict;
