//! Destinations and dead letters.
