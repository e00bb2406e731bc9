//! Feedgate imports partners' event feeds from SFTP accounts. This page is the map.

pub mod archive;
pub mod cli {
    //! What the command line prints.
    pub mod keys;
}
pub mod config;
pub mod destination;
pub mod events;
pub mod feed;
pub mod ledger;
pub mod source;
pub mod spool;
pub mod verdict;
