//! Thousands of small archives, every step included: listed, fetched, vetted, recorded, put away; with receipts and without.
//!
//! Nobody else does all of that. `rclone move` and `lftp mirror` fetch the files and remove them from the server, and no more.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bench::{Bench, Contender, NotHad, SMALL_ENTRIES};
use crate::proxy::Proxy;
use crate::run::Cost;
use crate::table::{Found, Goal, NONE, Row, thousands};

const COUNT: usize = 5_000;

/// Files that the others are given over the long line: they take time for each.
const FEW: usize = 1_000;

/// Makes the archives.
pub fn prepare(bench: &Bench) -> Result<()> {
    bench.small(bench.many(COUNT)).map(drop)
}

/// On loopback.
pub fn loopback(bench: &Bench) -> Result<Vec<Row>> {
    let goals = [Goal::Rate(bench.many(COUNT), 3_000.0, 6_000.0), Goal::Faster(3.0, 5.0)];
    small(bench, None, bench.many(COUNT), goals)
}

/// Over a line with a round-trip time of 20 ms.
pub fn link_20(bench: &Bench) -> Result<Vec<Row>> {
    let goals = [
        Goal::Rate(bench.many(COUNT), 1_000.0, 2_500.0),
        Goal::Faster(12.0, 25.0),
    ];
    small(bench, Some(20), bench.many(COUNT).min(FEW), goals)
}

/// `theirs`: how many of the files the others are given.
fn small(bench: &Bench, round_trip: Option<u64>, theirs: usize, goals: [Goal; 2]) -> Result<Vec<Row>> {
    let archives = bench.small(bench.many(COUNT))?;
    let server = bench.server()?;
    let proxy = round_trip
        .map(|ms| Proxy::new(server.port(), Duration::from_millis(ms)))
        .transpose()?;
    let port = proxy.as_ref().map_or(server.port(), Proxy::port);
    let line = round_trip.map_or("loopback".to_string(), |ms| format!("round trip {ms} ms"));
    let once = |receipts: bool| {
        server.hold(&archives)?;
        let source = format!("{}receipts = {receipts}\n", server.source(port));
        let feedgate = bench.feedgate(&source, "")?;
        let cost = feedgate.once()?;
        feedgate.imported(archives.len(), archives.len() * SMALL_ENTRIES)?;
        Ok(cost)
    };
    let given = &archives[..theirs];
    let [rclone, lftp, with, without] = bench.race([
        Contender::other(&format!("rclone, {line}"), || rclone(bench, port, given)),
        Contender::other(&format!("lftp, {line}"), || lftp(bench, port, given)),
        Contender::ours(&format!("once, small, {line}, receipts"), || once(true)),
        Contender::ours(&format!("once, small, {line}, no receipts"), || once(false)),
    ]);
    let scale = archives.len() as f64 / theirs as f64;
    let of = if scale > 1.0 {
        format!(", {theirs} of them, × {scale}")
    } else {
        String::new()
    };
    let rclone = (format!("`rclone move --transfers 16`{of}"), rclone, scale);
    let lftp = (format!("`lftp mirror --parallel=16`{of}"), lftp, scale);
    let row = |what: &str, ours: &Found, against: Option<&(String, Found, f64)>, goal: Goal| Row {
        what: what.to_string(),
        ours: ours.clone(),
        against: against.cloned(),
        goal,
    };
    let what = format!(
        "`once`: {} small archives, {line}, with receipts",
        thousands(archives.len() as f64)
    );
    let no_goal = Goal::Faster(NONE, NONE);
    Ok(vec![
        row(&what, &with, None, goals[0]),
        row("the same", &with, Some(&rclone), goals[1]),
        row("the same", &with, Some(&lftp), no_goal),
        row("without receipts", &without, None, goals[0]),
        row("the same", &without, Some(&rclone), goals[1]),
    ])
}

fn rclone(bench: &Bench, port: u16, files: &[PathBuf]) -> Result<Cost> {
    had("rclone")?;
    let server = bench.server()?;
    server.hold(files)?;
    let to = bench.fresh("rclone")?;
    let mut command = Command::new("rclone");
    command.args(["--config", "/dev/null", "--transfers", "16", "--checkers", "16"]);
    // Its fastest: no hashes by a shell on the server, no setting of times there.
    command.args([
        "--sftp-disable-hashcheck",
        "--sftp-shell-type",
        "none",
        "--sftp-set-modtime=false",
    ]);
    command.args(["--sftp-host", "127.0.0.1", "--sftp-port", &port.to_string()]);
    command
        .args(["--sftp-user", server.user(), "--sftp-key-file"])
        .arg(server.key());
    command
        .arg("move")
        .arg(format!(":sftp:{}", server.root().display()))
        .arg(&to);
    let cost = bench.run(&mut command)?;
    arrived(&to, files.len())?;
    Ok(cost)
}

fn lftp(bench: &Bench, port: u16, files: &[PathBuf]) -> Result<Cost> {
    had("lftp")?;
    let server = bench.server()?;
    server.hold(files)?;
    let to = bench.fresh("lftp")?;
    let connect = format!("ssh -a -x {}", server.ssh_options().join(" "));
    let script = format!(
        "set net:max-retries 2; set sftp:connect-program \"{connect}\"; \
         open -u {},none -p {port} sftp://127.0.0.1; \
         mirror --parallel=16 --Remove-source-files \"{}\" \"{}\"",
        server.user(),
        server.root().display(),
        to.display()
    );
    let cost = bench.run(Command::new("lftp").args(["--norc", "-c", &script]))?;
    arrived(&to, files.len())?;
    Ok(cost)
}

fn had(program: &str) -> Result<()> {
    match Command::new(program).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => Err(NotHad(format!("no {program} on this machine")).into()),
    }
}

fn arrived(dir: &std::path::Path, count: usize) -> Result<()> {
    let found = std::fs::read_dir(dir)?.count();
    ensure!(found == count, "{found} of {count} files arrived");
    Ok(())
}
