//! `status --health`: is the daemon alive? Answered from its heartbeat, so that a busy ledger does not make it look dead.

use std::path::Path;

use super::args::StatusArgs;
use super::output::Out;
use super::{Ending, settings};
use crate::daemon::{HEARTBEAT_AGE_MAX, heartbeat_age};

/// Looks at the heartbeat's age.
pub fn run(config: Option<&Path>, args: &StatusArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let age = heartbeat_age(&state_dir);
    let alive = age.is_some_and(|age| age <= HEARTBEAT_AGE_MAX);
    let seconds = age.map(|age| age.as_secs());
    let mut out = Out::new();
    match (args.json, seconds) {
        (true, _) => out.json(&serde_json::json!({ "alive": alive, "heartbeat_seconds": seconds }))?,
        (false, None) => out.line(&format!("no daemon is running on {}", state_dir.display()))?,
        (false, Some(seconds)) if alive => out.line(&format!("alive: last heartbeat {seconds} s ago"))?,
        (false, Some(seconds)) => out.line(&format!("not alive: last heartbeat {seconds} s ago"))?,
    }
    out.done()?;
    match alive {
        true => Ok(Ending::Well),
        false => Ok(Ending::Attention),
    }
}
