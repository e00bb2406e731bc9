//! What the configuration file may say.
//!
//! Two steps: this module holds what was written, checked only for form; [`resolve`] makes of it what the program uses,
//! with secrets read and addresses parsed.

pub mod resolve;
