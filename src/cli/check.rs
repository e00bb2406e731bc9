//! `check`: archives held against the rules; or the configuration, with every source and destination dialled
//! ([`connections`]). It changes nothing.

use std::path::Path;
use std::sync::Arc;

use super::args::CheckArgs;
use super::output::Out;
use super::vet::{Vetted, vet};
use super::{Ending, connections, settings};
use crate::config::ConfigError;
use crate::config::resolve::LimitSettings;
use crate::intake::Rules;
use crate::receipt::Receipt;
use crate::unique::Spill;

/// Vets archives, or everything else.
pub async fn run(config: Option<&Path>, args: CheckArgs) -> anyhow::Result<Ending> {
    if args.archives.is_empty() {
        return connections::check(&settings::load(config)?, args.json).await;
    }
    // Reading and unpacking are for a thread that may block.
    let config = config.map(Path::to_owned);
    tokio::task::spawn_blocking(move || archives(config.as_deref(), &args)).await?
}

fn archives(config: Option<&Path>, args: &CheckArgs) -> anyhow::Result<Ending> {
    let (mut rules, limits) = rules(config, args.source.as_deref())?;
    // Words show no hashes.
    rules.hash_data = args.json;
    let mut out = Out::new();
    let mut ending = Ending::Well;
    let mut unreadable = Vec::new();
    for path in &args.archives {
        match vet(path, &rules, limits.archive_bytes) {
            Ok(Vetted::Archive(receipt)) => {
                if needs_attention(&receipt) {
                    ending = Ending::Attention;
                }
                match args.json {
                    true => out.json(&receipt)?,
                    false => print(&mut out, &receipt)?,
                }
            }
            Ok(Vetted::Ignored(why)) => {
                ending = Ending::Attention;
                let archive = path.display().to_string();
                match args.json {
                    true => {
                        out.json(&serde_json::json!({ "archive": archive, "status": "ignored", "summary": why }))?
                    }
                    false => out.line(&format!("{archive}: would be ignored: {why}"))?,
                }
            }
            // The others are vetted all the same.
            Err(error) => unreadable.push(format!("checking `{}`: {error:#}", path.display())),
        }
    }
    out.done()?;
    if !unreadable.is_empty() {
        anyhow::bail!(unreadable.join("\n"));
    }
    Ok(ending)
}

/// The rules of the source that was named, of the only one there is, or the defaults. A partner who vets an archive has no
/// configuration, and needs none.
fn rules(config: Option<&Path>, source: Option<&str>) -> anyhow::Result<(Rules, LimitSettings)> {
    let settings = match settings::load(config) {
        Ok(settings) => settings,
        Err(ConfigError::Absent { .. }) if source.is_none() => settings::defaults()?,
        Err(error) => return Err(error.into()),
    };
    let found = match (source, settings.sources.as_slice()) {
        (Some(name), sources) => match sources.iter().find(|source| source.name == name) {
            Some(source) => source.clone(),
            None => anyhow::bail!("looking for the source `{name}`: the configuration has none of this name"),
        },
        (None, [only]) => only.clone(),
        (None, _) => settings::default_source()?,
    };
    // Many unique keys are sorted on the disk: where temporary files go, or, in a container that has no such place, where the
    // state is.
    let places = [std::env::temp_dir(), settings.state_dir.clone()];
    let keys_to = places.iter().map(|dir| Spill::new(dir)).find(Spill::is_usable);
    let rules = Rules {
        keys_to: keys_to.map(Arc::new),
        ..Rules::of(&found, &settings.limits, &settings.definitions)
    };
    Ok((rules, settings.limits))
}

/// The rules where nobody configured anything, but for event definitions: those of the configuration, if there is a sound one.
pub(super) fn defaults(config: Option<&Path>) -> anyhow::Result<(Rules, LimitSettings)> {
    let settings = settings::defaults()?;
    let definitions = match settings::load(config) {
        Ok(settings) => settings.definitions,
        // Who names one wants it to count.
        Err(error) if config.is_some() => return Err(error.into()),
        Err(_) => settings.definitions.clone(),
    };
    Ok((
        Rules::of(&settings::default_source()?, &settings.limits, &definitions),
        settings.limits,
    ))
}

/// A failed archive, or one with rejects.
pub(super) fn needs_attention(receipt: &Receipt) -> bool {
    receipt.status != "processed" || receipt.rejected > 0
}

/// Writes a receipt in words.
pub(super) fn print(out: &mut Out, receipt: &Receipt) -> anyhow::Result<()> {
    out.line(&format!("{}: {}: {}", receipt.archive, receipt.status, receipt.summary))?;
    for line in &receipt.violations {
        let violation = &line.violation;
        let at = violation
            .at
            .map(|at| format!(" (line {}, column {}, byte {})", at.line, at.column, at.byte))
            .unwrap_or_default();
        out.line(&format!("  {}: {}{at}", violation.code, violation.detail))?;
        if let Some(excerpt) = &violation.excerpt {
            out.line(&format!("    {excerpt}"))?;
        }
    }
    for reject in &receipt.rejects {
        for reason in &reject.reasons {
            out.line(&format!(
                "  entry {}, line {}, column {}: {}: {}",
                reject.index, reject.at.line, reject.at.column, reason.code, reason.message
            ))?;
        }
        out.line(&format!("    {}", reject.excerpt))?;
    }
    if receipt.rejects_not_shown > 0 {
        out.line(&format!("  and {} more rejected entries", receipt.rejects_not_shown))?;
    }
    for count in &receipt.warnings_by_code {
        out.line(&format!("  warning: {} {}", count.count, count.code))?;
    }
    for (code, fix) in &receipt.how_to_fix {
        out.line(&format!("  {code}: {fix}"))?;
    }
    Ok(())
}
