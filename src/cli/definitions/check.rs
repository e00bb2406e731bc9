//! `definitions check`: files held against what the vendor checks, and what we need besides. Nothing is changed.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::cli::args::DefinitionsCheckArgs;
use crate::cli::output::Out;
use crate::cli::{Ending, settings};
use crate::config::{ConfigError, read_file};
use crate::definition::{Definitions, Problem};

/// What checking came to.
#[derive(Serialize)]
struct Checked<'a> {
    well: bool,
    files: usize,
    definitions: usize,
    problems: &'a [Problem],
    warnings: &'a [Problem],
}

/// Checks the files that are named, or else those that are configured.
pub fn run(config: Option<&Path>, args: &DefinitionsCheckArgs) -> anyhow::Result<Ending> {
    let (files, actions) = match args.files.as_slice() {
        [] => settings::definition_files(config)?,
        paths => {
            let read = paths.iter().map(|path| read_file(path));
            let files = read
                .collect::<Result<Vec<_>, _>>()
                .context("reading event definitions")?;
            // Who mends a file may have no configuration: then the vendor's actions are those that are known.
            let actions = match settings::definition_files(config) {
                Ok((_, actions)) => actions,
                Err(ConfigError::Absent { .. }) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            (files, actions)
        }
    };
    let parsed = Definitions::parse(&files, &actions);
    let (definitions, problems, warnings) = match &parsed {
        Ok(definitions) => (definitions.iter().count(), [].as_slice(), definitions.warnings()),
        Err(problems) => (0, problems.as_slice(), [].as_slice()),
    };
    let checked = Checked {
        well: problems.is_empty(),
        files: files.len(),
        definitions,
        problems,
        warnings,
    };
    let mut out = Out::new();
    match args.json {
        true => out.json(&checked)?,
        false => print(&mut out, &checked)?,
    }
    out.done()?;
    match checked.well {
        true => Ok(Ending::Well),
        false => Ok(Ending::Attention),
    }
}

fn print(out: &mut Out, checked: &Checked<'_>) -> anyhow::Result<()> {
    for problem in checked.problems {
        out.line(&problem.to_string())?;
    }
    for warning in checked.warnings {
        out.line(&format!("warning: {warning}"))?;
    }
    let files = match checked.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    match (checked.problems.len(), checked.definitions) {
        (0, 1) => out.line(&format!("1 definition in {files} is sound.")),
        (0, definitions) => out.line(&format!("{definitions} definitions in {files} are sound.")),
        (1, _) => out.line(&format!("1 problem in {files}.")),
        (problems, _) => out.line(&format!("{problems} problems in {files}.")),
    }
}
