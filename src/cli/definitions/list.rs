//! `definitions list`: a row for each.

use std::path::Path;

use super::{Described, configured, in_feeds};
use crate::cli::Ending;
use crate::cli::output::{Out, Table};
use crate::definition::{Definition, Field};

/// Lists the definitions that are configured.
pub fn run(config: Option<&Path>, json: bool) -> anyhow::Result<Ending> {
    let definitions = configured(config)?;
    let mut out = Out::new();
    if json {
        out.json(&definitions.iter().map(Described::of).collect::<Vec<_>>())?;
    } else if definitions.is_empty() {
        out.line("There are no event definitions: every event is taken as it is.")?;
    } else {
        table(definitions.iter()).write(&mut out)?;
    }
    out.done()?;
    Ok(Ending::Well)
}

fn table<'a>(definitions: impl Iterator<Item = &'a Definition>) -> Table {
    let mut table = Table::new(&[
        "event",
        "in feeds",
        "actions",
        " fields",
        "required",
        "unique by",
        "sensitive",
    ]);
    for definition in definitions {
        let names = |of: &dyn Fn(&Field) -> bool| {
            let fields = definition.fields.iter().filter(|field| of(field));
            fields.map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        table.row([
            definition.event_name.clone(),
            in_feeds(definition),
            definition.actions.join(", "),
            definition.fields.len().to_string(),
            names(&|field| field.required),
            names(&|field| field.unique),
            names(&|field| field.sensitive),
        ]);
    }
    table
}
