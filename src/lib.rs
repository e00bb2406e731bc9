//! Feedgate imports partners' event feeds from SFTP accounts. This page is the map.

pub mod archive;
/// Temporary: the `shell` room brings the real one.
pub mod cli {
    pub mod pack;
}
pub mod config;
pub mod destination;
pub mod events;
pub mod feed;
pub mod ledger;
pub mod source;
pub mod spool;
pub mod verdict;
