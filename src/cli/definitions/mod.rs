//! `definitions`: what events must look like, listed, checked and explained; drafted, and brought to the vendor. A file for each.

mod check;
mod explain;
mod infer;
mod list;
mod push;

use std::path::Path;

use anyhow::bail;
use serde::Serialize;

use super::args::{DefinitionsArgs, DefinitionsCommand};
use super::{Ending, settings};
use crate::definition::{Definition, Definitions, Field};

/// Does what was asked; nothing asked, it lists them.
pub fn run(config: Option<&Path>, args: &DefinitionsArgs) -> anyhow::Result<Ending> {
    match &args.command {
        None => list::run(config, args.json),
        Some(DefinitionsCommand::List(args)) => list::run(config, args.json),
        Some(DefinitionsCommand::Check(args)) => check::run(config, args),
        Some(DefinitionsCommand::Explain(args)) => explain::run(config, args),
        Some(DefinitionsCommand::Infer(args)) => infer::run(args),
        Some(DefinitionsCommand::Push(args)) => push::run(config, args),
    }
}

/// The definitions that the configuration names. What is wrong with them is the caller's end.
fn configured(config: Option<&Path>) -> anyhow::Result<Definitions> {
    let (files, actions) = settings::definition_files(config)?;
    match Definitions::parse(&files, &actions) {
        Ok(definitions) => Ok(definitions),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            bail!(
                "reading the event definitions: {} problems{}",
                lines.len(),
                lines.concat()
            );
        }
    }
}

/// A definition, as `--json` has it.
#[derive(Serialize)]
struct Described<'a> {
    event_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Its names in feeds; none: whatever has the letters and digits of its own.
    feed_events: &'a [String],
    actions: &'a [String],
    fields: Vec<DescribedField<'a>>,
    file: &'a str,
}

#[derive(Serialize)]
struct DescribedField<'a> {
    name: &'a str,
    r#type: &'static str,
    /// Where it lies in an entry.
    path: String,
    required: bool,
    unique: bool,
    sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    possible_values: &'a [String],
}

impl<'a> Described<'a> {
    fn of(definition: &'a Definition) -> Described<'a> {
        Described {
            event_name: &definition.event_name,
            description: definition.description.as_deref(),
            feed_events: &definition.feed_events,
            actions: &definition.actions,
            fields: definition.fields.iter().map(DescribedField::of).collect(),
            file: &definition.file,
        }
    }
}

impl<'a> DescribedField<'a> {
    fn of(field: &'a Field) -> DescribedField<'a> {
        DescribedField {
            name: &field.name,
            r#type: field.kind.as_str(),
            path: field.path.to_string(),
            required: field.required,
            unique: field.unique,
            sensitive: field.sensitive,
            identifier_type: field.identifier.map(|identifier| identifier.as_str()),
            regex: field.regex.as_ref().map(|regex| regex.as_str()),
            possible_values: &field.possible_values,
        }
    }
}

/// What a definition is called in feeds, in words.
fn in_feeds(definition: &Definition) -> String {
    match definition.feed_events.as_slice() {
        [] => format!("{} (any case, any signs between)", definition.event_name),
        names => names.join(", "),
    }
}
