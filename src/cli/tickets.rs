//! `tickets`: what a destination that only queues events calls each that it took.
//!
//! An event that was queued there may still come to nothing. What it came to is asked for there, by this name; and whoever is told
//! of one there finds out here which event it was.

use std::path::Path;

use super::args::TicketsArgs;
use super::dead_letters::known;
use super::output::{Out, Table};
use super::{Ending, settings};
use crate::ledger::{Ledger, TicketsWanted};

/// Lists them.
pub async fn run(config: Option<&Path>, args: &TicketsArgs) -> anyhow::Result<Ending> {
    let state_dir = settings::state_dir(config)?;
    let ledger = Ledger::open_beside(&state_dir.join("ledger.db"))?;
    known(&ledger, &args.destination, &[]).await?;
    let wanted = TicketsWanted {
        limit: (!args.all).then_some(args.limit),
        of: args.find.clone(),
        import: args.import,
    };
    let tickets = ledger.tickets(&args.destination, wanted).await?;
    let mut out = Out::new();
    if args.json {
        out.json(&tickets)?;
    } else if tickets.is_empty() {
        out.line(&format!(
            "{} gave no such tickets, as far as is remembered.",
            args.destination
        ))?;
    } else {
        let mut table = Table::new(&["answered", " import", "archive", " index", "event id", "ticket"]);
        for ticket in tickets {
            table.row([
                ticket.at,
                ticket.import.to_string(),
                ticket.archive,
                ticket.index.to_string(),
                ticket.event_id,
                ticket.ticket,
            ]);
        }
        table.write(&mut out)?;
    }
    out.done()?;
    Ok(Ending::Well)
}
