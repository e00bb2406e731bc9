//! `check`: archives held against the rules; or the configuration, with every source and destination dialled. It changes
//! nothing.

use std::path::Path;

use futures_util::future::join_all;

use super::args::CheckArgs;
use super::output::Out;
use super::vet::{Vetted, vet};
use super::{Ending, settings};
use crate::config::ConfigError;
use crate::config::resolve::{DestinationSettings, LimitSettings, Settings, SourceSettings};
use crate::destination::{self, Reply};
use crate::intake::Rules;
use crate::ledger::Ledger;
use crate::receipt::Receipt;

/// Imports counted of those that a destination has not had.
const TO_COME_MAX: usize = 1000;

/// Vets archives, or everything else.
pub async fn run(config: Option<&Path>, args: CheckArgs) -> anyhow::Result<Ending> {
    if args.archives.is_empty() {
        return connections(&settings::load(config)?, args.json).await;
    }
    // Reading and unpacking are for a thread that may block.
    let config = config.map(Path::to_owned);
    tokio::task::spawn_blocking(move || archives(config.as_deref(), &args)).await?
}

fn archives(config: Option<&Path>, args: &CheckArgs) -> anyhow::Result<Ending> {
    let (rules, limits) = rules(config, args.source.as_deref())?;
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
    Ok((Rules::of(&found, &settings.limits), settings.limits))
}

/// The rules where nobody configured anything.
pub(super) fn defaults() -> anyhow::Result<(Rules, LimitSettings)> {
    let settings = settings::defaults()?;
    Ok((
        Rules::of(&settings::default_source()?, &settings.limits),
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

/// How one of the things that the configuration names does.
#[derive(serde::Serialize)]
struct Checked {
    /// `source` or `destination`.
    what: &'static str,
    name: String,
    /// A destination's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    well: bool,
    message: String,
}

/// The configuration was read already: dials everything in it, all at once, and says how that went.
async fn connections(settings: &Settings, json: bool) -> anyhow::Result<Ending> {
    let mut checked = Vec::new();
    let dialled = join_all(settings.sources.iter().map(dial)).await;
    for (source, result) in settings.sources.iter().zip(dialled) {
        let well = result.is_ok();
        let message = match result {
            Ok(1) => format!("well, 1 file in {}", source.location),
            Ok(files) => format!("well, {files} files in {}", source.location),
            Err(error) => error.to_string(),
        };
        checked.push(Checked {
            what: "source",
            name: source.name.clone(),
            r#type: None,
            well,
            message,
        });
    }
    for destination in &settings.destinations {
        let result = try_destination(destination).await?;
        let well = result.is_ok();
        let mut message = match result {
            Ok(()) => format!("well{}", to_come(settings, destination).await?),
            Err(reason) => reason,
        };
        for source in unknown_sources(settings, destination) {
            message += &format!("; it wants events of `{source}`, and no source has this name");
        }
        checked.push(Checked {
            what: "destination",
            name: destination.name.clone(),
            r#type: Some(destination.kind.as_str()),
            well,
            message,
        });
    }
    let mut out = Out::new();
    if json {
        out.json(&checked)?;
    } else {
        if settings.sources.is_empty() {
            out.line(
                "no source: there is nothing to poll; add a `[[source]]`, or set FEEDGATE__SOURCE__0__URL and so on",
            )?;
        }
        for one in &checked {
            let kind = one.r#type.map(|kind| format!(" ({kind})")).unwrap_or_default();
            out.line(&format!("{} {}{kind}: {}", one.what, one.name, one.message))?;
        }
    }
    out.done()?;
    let failures = checked.iter().filter(|one| !one.well).count() + usize::from(settings.sources.is_empty());
    if failures > 0 {
        anyhow::bail!("checking the configuration: {failures} of what it names will not do");
    }
    Ok(Ending::Well)
}

async fn dial(source: &SourceSettings) -> Result<usize, crate::source::SourceError> {
    let opened = crate::daemon::open_source(source);
    let listed = opened.list().await;
    opened.close().await;
    Ok(listed?.len())
}

async fn try_destination(destination: &DestinationSettings) -> anyhow::Result<Result<(), String>> {
    let destination = destination.clone();
    let reply = tokio::task::spawn_blocking(move || destination::check(&destination)).await?;
    Ok(reply.map_err(|reply| match reply {
        Reply::Unavailable { reason } | Reply::Barred { reason } => reason,
        Reply::Held | Reply::Durable(_) => "it answered something that makes no sense".to_owned(),
    }))
}

/// What would be sent to it, as far as the ledger can tell.
async fn to_come(settings: &Settings, destination: &DestinationSettings) -> anyhow::Result<String> {
    let path = settings.state_dir.join("ledger.db");
    if !path.exists() {
        return Ok(String::new());
    }
    let ledger = Ledger::open_beside(&path)?;
    let mut known = ledger.destination(&destination.name).await?;
    if let (None, Some(was)) = (&known, &destination.was) {
        known = ledger.destination(was).await?;
    }
    let cursor = match known {
        Some(row) => row.cursor,
        None => ledger.start_of(destination.start).await?,
    };
    let imports = ledger
        .ahead(cursor, destination.sources.clone(), TO_COME_MAX)
        .await?
        .imports
        .len();
    Ok(match imports {
        0 => ", nothing to deliver".to_owned(),
        1 => ", 1 import to deliver".to_owned(),
        TO_COME_MAX.. => format!(", {TO_COME_MAX} imports to deliver or more"),
        _ => format!(", {imports} imports to deliver"),
    })
}

fn unknown_sources<'a>(
    settings: &'a Settings,
    destination: &'a DestinationSettings,
) -> impl Iterator<Item = &'a String> {
    let is_known = |name: &&String| !settings.sources.iter().any(|source| source.name == **name);
    destination.sources.iter().filter(is_known)
}
