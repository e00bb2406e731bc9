//! `definitions explain`: what an entry must look like, in words for whoever writes the feed, and an example to begin with.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::{Described, configured, in_feeds};
use crate::cli::Ending;
use crate::cli::args::DefinitionsExplainArgs;
use crate::cli::output::{Out, Table};
use crate::definition::{Definition, Definitions, Field};

/// A definition with an example.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    described: Described<'a>,
    example: Value,
}

/// Explains one definition.
pub fn run(config: Option<&Path>, args: &DefinitionsExplainArgs) -> anyhow::Result<Ending> {
    let definitions = configured(config)?;
    let definition = find(&definitions, &args.name)?;
    let (example, guessed) = definition.example();
    let mut out = Out::new();
    match args.json {
        true => out.json(&Explained {
            described: Described::of(definition),
            example,
        })?,
        false => print(&mut out, definition, &example, &guessed)?,
    }
    out.done()?;
    Ok(Ending::Well)
}

/// By its own name, or by what a feed calls it.
fn find<'d>(definitions: &'d Definitions, name: &str) -> anyhow::Result<&'d Definition> {
    if let Some(definition) = definitions.named(name).or_else(|| definitions.of(name)) {
        return Ok(definition);
    }
    let known: Vec<&str> = definitions
        .iter()
        .map(|definition| definition.event_name.as_str())
        .collect();
    match known.as_slice() {
        [] => anyhow::bail!("looking for a definition of `{name}`: there are no event definitions"),
        known => anyhow::bail!(
            "looking for a definition of `{name}`: there is none; there are {}",
            known.join(", ")
        ),
    }
}

fn print(out: &mut Out, definition: &Definition, example: &Value, guessed: &[&Field]) -> anyhow::Result<()> {
    match &definition.description {
        Some(description) => out.line(&format!("{}: {description}", definition.event_name))?,
        None => out.line(&definition.event_name)?,
    }
    out.line(&format!("  in feeds   {}", in_feeds(definition)))?;
    out.line(&format!("  actions    {}", definition.actions.join(", ")))?;
    let unique: Vec<&str> = definition
        .fields
        .iter()
        .filter(|field| field.unique)
        .map(|field| field.name.as_str())
        .collect();
    if !unique.is_empty() {
        let unique = unique.join(", ");
        out.line(&format!(
            "  unique by  whose it is (\"id\", else \"email\" and \"businessUnit\") and {unique}: a second one is kept, and not delivered"
        ))?;
    }
    out.line("")?;
    table(definition).write(out)?;
    out.line("")?;
    out.line("Besides, an entry needs \"event\", and \"id\" or both \"email\" and \"businessUnit\". What is not named here may be there too.")?;
    out.line("For example:")?;
    out.line("")?;
    out.lines(&serde_json::to_string_pretty(example)?)?;
    for field in guessed {
        out.line(&format!(
            "No example was found for `{}`: write {}.",
            field.path,
            field.wanted()
        ))?;
    }
    Ok(())
}

fn table(definition: &Definition) -> Table {
    let mut table = Table::new(&["in the entry", "field", "", "is", "remarks"]);
    for field in &definition.fields {
        let mut remarks = Vec::new();
        remarks.extend(
            field
                .identifier
                .map(|identifier| format!("the customer's {identifier}")),
        );
        if field.unique {
            remarks.push("part of the unique key".to_owned());
        }
        if field.sensitive {
            remarks.push("shown to nobody".to_owned());
        }
        table.row([
            field.path.to_string(),
            field.name.clone(),
            if field.required { "required" } else { "" }.to_owned(),
            field.wanted(),
            remarks.join(", "),
        ]);
    }
    table
}
