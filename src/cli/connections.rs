//! `check` without an archive: everything that the configuration names is dialled, all at once, and nothing is changed. It
//! also says what would be sent to each destination, since that cannot be taken back.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde::Serialize;

use super::Ending;
use super::output::Out;
use crate::config::resolve::{DestinationKind, DestinationSettings, Settings, SourceSettings, Start};
use crate::destination::{self, Reply};
use crate::ledger::report::ToCome;
use crate::ledger::{Cursor, Ledger};

/// Most requests that looking at a destination takes, each with the deadline it is given.
const REQUESTS_MAX: u32 = 2;

/// How long a destination may take beyond its requests' deadlines.
const PATIENCE: Duration = Duration::from_secs(30);

/// How one of the things that the configuration names does.
#[derive(Debug, Serialize)]
struct Checked {
    /// `definitions`, `source` or `destination`.
    what: &'static str,
    name: String,
    /// A destination's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    well: bool,
    message: String,
    /// What would be sent to a destination; none where the ledger is of an older program.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_come: Option<Sent>,
}

/// What would be sent to a destination.
#[derive(Debug, Serialize)]
struct Sent {
    begins: Begins,
    /// The name it had before, if its cursor comes from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<String>,
    imports: u64,
    /// At most: what it filters out is among them.
    events: u64,
}

/// Where a destination would begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Begins {
    /// It is new, and begins with the oldest import that is kept.
    Oldest,
    /// It is new, and begins with what comes from now on.
    Now,
    /// The ledger knows it.
    GoesOn,
}

impl Begins {
    fn of(start: Start) -> Begins {
        match start {
            Start::Oldest => Begins::Oldest,
            Start::Now => Begins::Now,
        }
    }
}

/// The configuration was read already: dials everything in it, all at once, and says how that went.
pub async fn check(settings: &Settings, json: bool) -> anyhow::Result<Ending> {
    let sources = join_all(settings.sources.iter().map(dial));
    let destinations = join_all(settings.destinations.iter().map(try_destination));
    let (sources, destinations) = join(sources, destinations).await;
    let known = known(settings)?;
    let mut checked: Vec<Checked> = of_definitions(settings).into_iter().collect();
    for (source, result) in settings.sources.iter().zip(sources) {
        checked.push(of_source(source, result));
    }
    for (destination, result) in settings.destinations.iter().zip(destinations) {
        checked.push(of_destination(settings, &known, destination, result).await?);
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

/// The event definitions, which are sound: they were read with the configuration.
fn of_definitions(settings: &Settings) -> Option<Checked> {
    let definitions = settings.definitions.definitions.as_ref()?;
    let names: Vec<&str> = definitions.iter().map(|one| one.event_name.as_str()).collect();
    let odd: String = definitions.warnings().iter().map(|odd| format!("; {odd}")).collect();
    let dir = settings.definitions.dir.as_deref().map(|dir| dir.display().to_string());
    Some(Checked {
        what: "definitions",
        name: dir.unwrap_or_default(),
        r#type: None,
        well: true,
        message: format!("well, {} of them: {}{odd}", names.len(), names.join(", ")),
        to_come: None,
    })
}

fn of_source(source: &SourceSettings, result: Result<usize, crate::source::SourceError>) -> Checked {
    Checked {
        what: "source",
        name: source.name.clone(),
        r#type: None,
        well: result.is_ok(),
        message: match result {
            Ok(1) => format!("well, 1 file in {}", source.location),
            Ok(files) => format!("well, {files} files in {}", source.location),
            Err(error) => error.to_string(),
        },
        to_come: None,
    }
}

async fn of_destination(
    settings: &Settings,
    known: &Known,
    destination: &DestinationSettings,
    result: Result<(), String>,
) -> anyhow::Result<Checked> {
    let well = result.is_ok();
    let to_come = match known {
        Known::Ledger(ledger) => Some(to_come(ledger, destination).await?),
        Known::Nothing => Some(Sent {
            begins: Begins::of(destination.start),
            was: None,
            imports: 0,
            events: 0,
        }),
        Known::Older => None,
    };
    let mut message = match (result, &to_come) {
        (Ok(()), Some(sent)) => format!("well, {}", words(sent, destination)),
        (Ok(()), None) => "well".to_owned(),
        (Err(reason), _) => reason,
    };
    for source in unknown_sources(settings, destination) {
        message += &format!("; it wants events of `{source}`, and no source has this name");
    }
    Ok(Checked {
        what: "destination",
        name: destination.name.clone(),
        r#type: Some(destination.kind.as_str()),
        well,
        message,
        to_come,
    })
}

async fn dial(source: &SourceSettings) -> Result<usize, crate::source::SourceError> {
    let opened = crate::daemon::open_source(source);
    let listed = opened.list().await;
    opened.close().await;
    Ok(listed?.len())
}

/// Dials a destination, or looks at its place. What blocks is for a thread of its own, and may not hold up the end.
async fn try_destination(destination: &DestinationSettings) -> Result<(), String> {
    let settings = destination.clone();
    let attempt = tokio::task::spawn_blocking(move || destination::check(&settings));
    let patience = patience(&destination.kind);
    match tokio::time::timeout(patience, attempt).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(Reply::Unavailable { reason } | Reply::Barred { reason }))) => Err(reason),
        Ok(Ok(Err(Reply::Held | Reply::Underway | Reply::Durable(_)))) => {
            Err("it answered something that makes no sense".to_owned())
        }
        Ok(Err(_)) => {
            Err("looking at it broke off by a fault in this program, which is on stderr; please report it".to_owned())
        }
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// A request has a deadline of its own. What has none (looking up a name, a disk at the far end of a network) must end too.
fn patience(kind: &DestinationKind) -> Duration {
    let timeout = match kind {
        DestinationKind::Http(http) => http.endpoint.timeout,
        DestinationKind::Bento(bento) => bento.endpoint.timeout,
        DestinationKind::Capillary(capillary) => capillary.endpoint.timeout,
        DestinationKind::Sqlite { .. } | DestinationKind::File { .. } | DestinationKind::Console => Duration::ZERO,
    };
    timeout.saturating_mul(REQUESTS_MAX) + PATIENCE
}

/// What there is to ask what would be sent.
enum Known {
    /// The ledger.
    Ledger(Ledger),
    /// There is none yet: nothing was ever imported.
    Nothing,
    /// One that an older program wrote. Looking at it must not upgrade it beneath a daemon that runs.
    Older,
}

fn known(settings: &Settings) -> anyhow::Result<Known> {
    let path = settings.state_dir.join("ledger.db");
    if !path.exists() {
        return Ok(Known::Nothing);
    }
    if Ledger::is_older(&path)? {
        return Ok(Known::Older);
    }
    Ok(Known::Ledger(Ledger::open_beside(&path)?))
}

/// What would be sent to a destination, as far as the ledger can tell.
async fn to_come(ledger: &Ledger, destination: &DestinationSettings) -> anyhow::Result<Sent> {
    let (begins, was, cursor) = match cursor(ledger, destination).await? {
        Some((cursor, was)) => (Begins::GoesOn, was, cursor),
        None => {
            let cursor = ledger.start_of(destination.start).await?;
            (Begins::of(destination.start), None, cursor)
        }
    };
    let ToCome { imports, events } = ledger
        .to_come(cursor, &destination.name, destination.sources.clone())
        .await?;
    Ok(Sent {
        begins,
        was,
        imports,
        events,
    })
}

/// Where the ledger has it, under its name or else the one it had before. One of another type is new.
async fn cursor(
    ledger: &Ledger,
    destination: &DestinationSettings,
) -> anyhow::Result<Option<(Cursor, Option<String>)>> {
    let kind = destination.kind.as_str();
    if let Some(row) = ledger.destination(&destination.name).await? {
        return Ok((row.kind == kind).then_some((row.cursor, None)));
    }
    let Some(was) = &destination.was else { return Ok(None) };
    let row = ledger.destination(was).await?.filter(|row| row.kind == kind);
    Ok(row.map(|row| (row.cursor, Some(was.clone()))))
}

fn words(sent: &Sent, destination: &DestinationSettings) -> String {
    let imports = match sent.imports {
        1 => "1 import".to_owned(),
        imports => format!("{imports} imports"),
    };
    let events = match sent.events {
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    };
    let is_filtered = !destination.events.is_empty() || !destination.actions.is_empty();
    let at_most = if is_filtered { "at most " } else { "" };
    let what = match sent.imports {
        0 => "nothing to send now".to_owned(),
        _ => format!("{at_most}{events} in {imports} would be sent"),
    };
    match (sent.begins, &sent.was) {
        (Begins::Now, _) => "new: begins with what comes from now on".to_owned(),
        (Begins::Oldest, _) => format!("new: begins with the oldest import that is kept: {what}"),
        (Begins::GoesOn, None) => what,
        (Begins::GoesOn, Some(was)) => format!("goes on where `{was}` is: {what}"),
    }
}

fn unknown_sources<'a>(
    settings: &'a Settings,
    destination: &'a DestinationSettings,
) -> impl Iterator<Item = &'a String> {
    let is_known = |name: &&String| !settings.sources.iter().any(|source| source.name == **name);
    destination.sources.iter().filter(is_known)
}
