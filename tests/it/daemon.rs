//! The daemon, its life.
