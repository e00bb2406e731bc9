//! `queued`: what a destination that only queues events calls the requests that it took.
//!
//! An event that was queued there may still come to nothing. What it came to is asked for there, by this name; and whoever is told
//! of a request there finds out here which event it was.

use std::path::Path;

use super::args::QueuedArgs;
use super::dead_letters::known;
use super::output::{Out, Table};
use super::{Ending, settings};
use crate::ledger::{Ledger, QueuedWanted};

/// Lists them.
pub async fn run(config: Option<&Path>, args: &QueuedArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    known(&ledger, &args.destination, &[]).await?;
    let wanted = QueuedWanted {
        limit: (!args.all).then_some(args.limit),
        of: args.find.clone(),
        import: args.import,
    };
    let requests = ledger.queued(&args.destination, wanted).await?;
    let mut out = Out::new();
    if args.json {
        out.json(&requests)?;
    } else if requests.is_empty() {
        out.line(&format!(
            "{} has named no such requests, as far as is remembered.",
            args.destination
        ))?;
    } else {
        let mut table = Table::new(&["answered", " import", "archive", " index", "event id", "request"]);
        for request in requests {
            table.row([
                request.at,
                request.import.to_string(),
                request.archive,
                request.index.to_string(),
                request.event_id,
                request.request,
            ]);
        }
        table.write(&mut out)?;
    }
    out.done()?;
    Ok(Ending::Well)
}
