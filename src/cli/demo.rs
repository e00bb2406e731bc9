//! `feedgate demo`: a whole world on loopback, told as a short story.
//!
//! It starts an SFTP server and the real daemon, uploads good and bad archives as a partner would, waits until all are
//! judged, and shows what became of them. It is also a test of itself: what each sample should come to is known, and the
//! exit code says whether it did. What is printed is put into words by [`page`]; nothing of the daemon is known here but what
//! its commands print.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Ending;
use super::args::DemoArgs;
use super::output::{Closed, Out};
use crate::demo::findings::{Finding, complaint};
use crate::demo::partner::Partner;
use crate::demo::samples::{AS_PRINTED, COMMA_MENDED, Expect, Sample, WITH_REJECTS, waves};
use crate::demo::world::{PARTNER, World};

mod page; // the demo's words
mod text; // breaking lines, quoting

/// Events of the whole world that are printed.
const EVENTS_SHOWN: usize = 3;

/// Somebody ended the demo before its end.
#[derive(Debug, thiserror::Error)]
#[error("the demo was interrupted")]
struct Interrupted;

/// Runs the demo. All is well if everything came out as the samples say.
pub async fn run(args: DemoArgs) -> anyhow::Result<Ending> {
    let mut stop = Stop::listen()?;
    let keep = args.keep.clone();
    let mut world = tokio::task::spawn_blocking(move || World::start(keep.as_deref())).await??;
    let mut ended = tokio::select! {
        told = tell(&mut world, &args) => told,
        () = stop.wait() => Err(Interrupted.into()),
    };
    if args.stay && ended.is_ok() {
        tokio::select! {
            Err(lost) = stay(&mut world) => ended = Err(lost),
            () = stop.wait() => {} // as one does who has seen enough
        }
    }
    if let Err(error) = &ended
        && !error.is::<Interrupted>()
        && !error.is::<Closed>()
    {
        writeln!(io::stderr(), "the daemon's log ends with:\n{}", world.log_tail())?;
    }
    // The daemon is given time to finish, which is no work for the runtime.
    tokio::task::spawn_blocking(move || drop(world)).await?;
    ended
}

/// Ctrl-C, or a request to end.
struct Stop(Signal, Signal);

impl Stop {
    fn listen() -> anyhow::Result<Stop> {
        let listen = |kind| signal(kind).context("listening for Ctrl-C");
        Ok(Stop(listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn tell(world: &mut World, args: &DemoArgs) -> anyhow::Result<Ending> {
    let bold = io::stdout().is_terminal();
    let heading = |text: &str| say(&page::heading(text, bold));
    let [first, second] = waves();
    let all = [first.as_slice(), second.as_slice()].concat();

    say(&page::opening(world, all.len()))?;
    let addr = world.server().addr();
    let partner = Partner::dial(addr, &world.server().host_key_fingerprint(), PARTNER, world.password()).await?;
    wave(world, &partner, &first, &first, "uploads").await?;
    let findings = wave(world, &partner, &second, &all, "then uploads").await?;

    heading("What became of each")?;
    say(&page::table(&findings))?;
    heading("A receipt, as the partner finds it beside the archives")?;
    let half_bad = receipt(&partner, WITH_REJECTS).await?;
    say(&page::receipt_excerpt(WITH_REJECTS, &half_bad))?;
    heading("What the vendor's own example comes to")?;
    say(&page::vendor(
        &receipt(&partner, AS_PRINTED).await?,
        &receipt(&partner, COMMA_MENDED).await?,
    ))?;
    heading("Some of the events that came out (`feedgate events`)")?;
    say(&page::events(&world.feedgate(&["events"]).await?, EVENTS_SHOWN))?;
    heading("The same in SQL (`events.db`, the `sqlite` destination)")?;
    say(&page::rows(&delivered(world, accepted(&findings)).await?))?;
    heading("The partner's account afterwards")?;
    for (dir, shown) in [(".", 24), ("processed", 24), ("receipts", 4)] {
        say(&page::listing(dir, &partner.names(dir).await?, shown))?;
    }
    partner.leave().await;

    let complaints: Vec<String> = findings
        .iter()
        .filter_map(|finding| Some(page::complaint(finding, complaint(finding)?)))
        .collect();
    heading("And so")?;
    say(&page::verdict(findings.len(), &complaints))?;
    say(&page::how_to_look(world, args))?;
    Ok(if complaints.is_empty() {
        Ending::Well
    } else {
        Ending::Attention
    })
}

/// Uploads a wave and waits until all that has been uploaded so far is judged.
async fn wave(
    world: &mut World,
    partner: &Partner,
    wave: &[Sample],
    so_far: &[Sample],
    does: &str,
) -> anyhow::Result<Vec<Finding>> {
    say(&format!("The partner {does} {} files over SFTP …\n", wave.len()))?;
    let started = Instant::now();
    for sample in wave {
        partner.upload(sample).await?;
    }
    let findings = world.findings(so_far).await?;
    let judged = wave.iter().filter(|sample| sample.expect != Expect::Ignored).count();
    say(&format!(
        "… and {:.1} s later {judged} have been judged and put where they belong.\n",
        started.elapsed().as_secs_f32()
    ))?;
    Ok(findings)
}

async fn receipt(partner: &Partner, archive: &str) -> anyhow::Result<Value> {
    let path = format!("receipts/{archive}.receipt.json");
    let bytes = partner.read(&path).await?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading the receipt `{path}`"))
}

fn accepted(findings: &[Finding]) -> u64 {
    findings
        .iter()
        .filter_map(|(_, import)| import.as_ref())
        .map(|import| import.accepted)
        .sum()
}

/// How often each event is in the `sqlite` destination, once all have arrived there or have had time enough.
async fn delivered(world: &World, expected: u64) -> anyhow::Result<Vec<(String, u64)>> {
    let started = Instant::now();
    loop {
        let path = world.path("events.db");
        let rows = tokio::task::spawn_blocking(move || count_events(&path)).await?;
        match rows {
            Ok(rows) if rows.iter().map(|(_, count)| count).sum::<u64>() == expected => return Ok(rows),
            rows if started.elapsed() > DELIVERED_WITHIN => {
                let rows = rows.context("reading the `sqlite` destination")?;
                anyhow::bail!(
                    "waiting for the `sqlite` destination: {expected} events should be in it, and there are {rows:?}"
                )
            }
            _ => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}

/// How long deliveries may take after the last import.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

fn count_events(path: &std::path::Path) -> rusqlite::Result<Vec<(String, u64)>> {
    let database = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut select =
        database.prepare("SELECT event, count(*) FROM events GROUP BY event ORDER BY count(*) DESC, event")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// Says what becomes of each archive that somebody drops. Returns only when the daemon is lost.
async fn stay(world: &mut World) -> anyhow::Result<()> {
    let mut told: HashSet<i64> = world.imports().await?.iter().map(|import| import.id).collect();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.check_daemon()?;
        for import in world.imports().await?.iter().filter(|import| import.is_settled()) {
            if told.insert(import.id) {
                say(&page::line(import))?;
            }
        }
    }
}

/// Prints at once: somebody is watching.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = Out::new();
    out.bytes(text.as_bytes())?;
    out.done()
}
