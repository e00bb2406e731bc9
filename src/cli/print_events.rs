//! `events`: what is asked for, and where it goes.

use std::path::Path;

use super::args::EventsArgs;
use super::events::{Query, events, parse_since};
use super::output::Out;
use super::status::known_source;
use super::{Ending, settings};
use crate::ledger::{Ledger, Wanted, now};

/// Prints them. Imports that cannot be read any more are named on stderr.
pub async fn run(config: Option<&Path>, args: EventsArgs) -> anyhow::Result<Ending> {
    let since = match &args.since {
        Some(text) => Some(parse_since(text, now()).map_err(|why| anyhow::anyhow!("reading `--since`: {why}"))?),
        None => None,
    };
    let query = Query {
        wanted: Wanted {
            import: args.import,
            source: args.source,
            since,
        },
        event: args.event,
        reveal: args.reveal,
    };
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    if let Some(source) = &query.wanted.source {
        known_source(&ledger, source).await?;
    }
    let mut out = Out::new();
    let printed = events(&ledger, &state_dir.join("spool"), &query, out.writer()).await?;
    out.done()?;
    for gap in &printed.gaps {
        tracing::warn!("{gap}");
    }
    match printed.gaps.is_empty() {
        true => Ok(Ending::Well),
        false => Ok(Ending::Attention),
    }
}
