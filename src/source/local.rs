//! x
/// x
pub struct LocalSource;
