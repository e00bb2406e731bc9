//! One big archive: vetted where it lies, imported over SFTP, fetched over a long line.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, Contender};
use crate::generator;
use crate::proxy::Proxy;
use crate::run::{self, Cost};
use crate::server::Server;
use crate::table::{Goal, NONE, Row};

/// Entries of the large archive.
pub const MILLION: usize = 1_000_000;

/// Entries that make an archive of 50 MB.
const FIFTY_MEGABYTES: usize = 470_000;

/// Makes the archive of the first two.
pub fn prepare_million(bench: &Bench) -> Result<()> {
    bench.archive(bench.many(MILLION)).map(drop)
}

/// Makes the archive of the long lines.
pub fn prepare_link(bench: &Bench) -> Result<()> {
    bench.archive(bench.many(FIFTY_MEGABYTES)).map(drop)
}

/// `check` of the archive, against inflating it.
pub fn check(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let feedgate = bench.feedgate("url = \"file:///nowhere\"", "")?;
    let arguments = ["check", archive.to_str().context("a path that is no text")?];
    let [theirs, ours, theirs_pinned, ours_pinned] = bench.race([
        Contender::other("bare inflate", || bench.inflate(&archive)),
        Contender::ours("check", || feedgate.run(&arguments, &[0])),
        Contender::other("bare inflate on one core", || {
            let mut inflate = Command::new(std::env::current_exe()?);
            inflate.arg("--inflate").arg(&archive);
            let said = bench.fresh("inflate")?.join("said");
            run::on_one_core(|| run::run(&mut inflate, &[0], &said))
        }),
        Contender::ours("check on one core", || {
            run::on_one_core(|| feedgate.run(&arguments, &[0]))
        }),
    ]);
    Ok(vec![
        Row {
            what: format!("`check` of {}", told(entries)),
            ours,
            against: Some(("bare inflate".to_string(), theirs, 1.0)),
            goal: Goal::Share(1.3, 1.1),
        },
        Row {
            what: "the same, on one core".to_string(),
            ours: ours_pinned,
            against: Some(("bare inflate on one core".to_string(), theirs_pinned, 1.0)),
            goal: Goal::Share(1.7, 1.5),
        },
    ])
}

/// `check` of the archive where every event is held against a definition of seven fields, against inflating it.
pub fn definitions(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let dir = bench.fresh("definitions")?;
    let all: Vec<String> = generator::EVENTS.iter().map(|event| definition(event)).collect();
    std::fs::write(dir.join("all.json"), format!("[{}]", all.join(",")))?;
    let more = format!("[definitions]\ndir = '{}'\nunknown_events = \"reject\"", dir.display());
    let feedgate = bench.feedgate("url = \"file:///nowhere\"", &more)?;
    let arguments = ["check", archive.to_str().context("a path that is no text")?];
    let [theirs, ours, theirs_pinned, ours_pinned] = bench.race([
        Contender::other("bare inflate", || bench.inflate(&archive)),
        // 0: not one entry is rejected, or it would be measured how rejects are written.
        Contender::ours("check with definitions", || feedgate.run(&arguments, &[0])),
        Contender::other("bare inflate on one core", || {
            let mut inflate = Command::new(std::env::current_exe()?);
            inflate.arg("--inflate").arg(&archive);
            let said = bench.fresh("inflate")?.join("said");
            run::on_one_core(|| run::run(&mut inflate, &[0], &said))
        }),
        Contender::ours("check with definitions on one core", || {
            run::on_one_core(|| feedgate.run(&arguments, &[0]))
        }),
    ]);
    Ok(vec![
        Row {
            what: format!("`check` of {}, held against definitions", told(entries)),
            ours,
            against: Some(("bare inflate".to_string(), theirs, 1.0)),
            goal: Goal::Share(NONE, NONE),
        },
        Row {
            what: "the same, on one core".to_string(),
            ours: ours_pinned,
            against: Some(("bare inflate on one core".to_string(), theirs_pinned, 1.0)),
            goal: Goal::Share(NONE, NONE),
        },
    ])
}

/// Seven fields, at the root and in nested objects, of most types.
fn definition(event: &str) -> String {
    let name = event.replace(' ', "_");
    format!(
        r#"{{"eventName":"{name}","actions":["EIConsumer"],"fields":[
        {{"name":"customer","type":"customer","attributes":{{"isRequired":{{"value":"true"}},"identifierType":{{"value":"externalId"}}}}}},
        {{"name":"orderId","type":"string","attributes":{{"isRequired":{{"value":"true"}},"regex":{{"value":"[0-9]{{10}}"}}}}}},
        {{"name":"total","type":"double","attributes":{{"isRequired":{{"value":"true"}},"isPsiData":{{"value":"true"}}}}}},
        {{"name":"unit","type":"enum","attributes":{{"possibleValues":{{"value":"DE,FR,AT,CH"}}}}}},
        {{"name":"currency","type":"currencyCode"}},
        {{"name":"sku","type":"productSku","attributes":{{"isRequired":{{"value":"true"}}}}}},
        {{"name":"quantity","type":"integer"}}],
        "feed":{{"fields":{{"unit":"businessUnit","currency":"cart.currency","sku":"cart.products[].sku",
            "quantity":"cart.products[].quantity"}}}}}}"#
    )
}

/// `once`, from start to moved, against fetching the archive and unpacking it.
pub fn once(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let server = bench.server()?;
    let fetched = bench.fresh("fetched")?.join("archive.zip");
    let get = || {
        server.hold(std::slice::from_ref(&archive))?;
        get(bench, server, server.port(), &archive, &fetched)
    };
    let [unzip, inflate, ours] = bench.race([
        Contender::other("sftp get, unzip -p", || {
            let got = get()?;
            let unzip = bench.run(Command::new("unzip").arg("-p").arg(&fetched).stdout(Stdio::null()))?;
            Ok(got.then(unzip))
        }),
        Contender::other("sftp get, bare inflate", || Ok(get()?.then(bench.inflate(&fetched)?))),
        Contender::ours("once", || {
            server.hold(std::slice::from_ref(&archive))?;
            let feedgate = bench.feedgate(&server.source(server.port()), "")?;
            let cost = feedgate.once()?;
            feedgate.imported(1, entries)?;
            Ok(cost)
        }),
    ]);
    Ok(vec![
        Row {
            what: format!("`once`: {}, from start to moved", told(entries)),
            ours: ours.clone(),
            against: Some(("`sftp get`, then `unzip -p > /dev/null`".to_string(), unzip, 1.0)),
            goal: Goal::Share(0.5, NONE),
        },
        Row {
            what: "the same".to_string(),
            ours,
            against: Some(("`sftp get`, then bare inflate".to_string(), inflate, 1.0)),
            goal: Goal::Share(NONE, 1.0),
        },
    ])
}

/// 50 MB over a line with a round-trip time of 20 ms.
pub fn link_20(bench: &Bench) -> Result<Vec<Row>> {
    link(bench, 20)
}

/// 50 MB over a line with a round-trip time of 50 ms.
pub fn link_50(bench: &Bench) -> Result<Vec<Row>> {
    link(bench, 50)
}

fn link(bench: &Bench, milliseconds: u64) -> Result<Vec<Row>> {
    let entries = bench.many(FIFTY_MEGABYTES);
    let archive = bench.archive(entries)?;
    let server = bench.server()?;
    let proxy = Proxy::new(server.port(), Duration::from_millis(milliseconds))?;
    let fetched = bench.fresh("fetched")?.join("archive.zip");
    let [theirs, ours] = bench.race([
        Contender::other(&format!("sftp get, {milliseconds} ms"), || {
            server.hold(std::slice::from_ref(&archive))?;
            get(bench, server, proxy.port(), &archive, &fetched)
        }),
        Contender::ours(&format!("once, {milliseconds} ms"), || {
            server.hold(std::slice::from_ref(&archive))?;
            let feedgate = bench.feedgate(&server.source(proxy.port()), "")?;
            let cost = feedgate.once()?;
            feedgate.imported(1, entries)?;
            Ok(cost)
        }),
    ]);
    let size = archive.metadata()?.len() as f64 / 1e6;
    Ok(vec![Row {
        what: format!("`once`: an archive of {size:.0} MB, round trip {milliseconds} ms"),
        ours,
        against: Some(("`sftp get` alone".to_string(), theirs, 1.0)),
        goal: Goal::Faster(1.5, 2.0),
    }])
}

/// OpenSSH's client fetches an archive.
pub fn get(bench: &Bench, server: &Server, port: u16, archive: &Path, to: &Path) -> Result<Cost> {
    let name = archive
        .file_name()
        .context("an archive without a name")?
        .to_string_lossy();
    let batch = format!("get \"{}/{name}\" \"{}\"\n", server.root().display(), to.display());
    let cost = bench.run(&mut server.sftp(port, &batch)?)?;
    ensure!(
        File::open(to)?.metadata()?.len() == archive.metadata()?.len(),
        "sftp fetched something else"
    );
    Ok(cost)
}

/// An archive in words.
pub fn told(entries: usize) -> String {
    match entries {
        MILLION => "1M entries".to_string(),
        _ => format!("{}k entries", entries / 1_000),
    }
}
