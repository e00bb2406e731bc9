//! Feedgate imports partners' event feeds from SFTP accounts. This page is the map.

pub mod archive;
/// Temporary, until the command line is here.
#[cfg(feature = "demo")]
pub mod cli {
    pub mod demo;
}
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod destination;
pub mod events;
pub mod feed;
pub mod intake;
pub mod ledger;
pub mod receipt;
pub mod source;
pub mod spool;
pub mod verdict;
