//! `definitions infer`: a draft of definitions, from a sample archive.
//!
//! The draft goes to stdout, as a file of definitions would have it; what was seen goes to stderr, for whoever reads the draft.
//! Only entries that an import would accept count.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

use crate::archive::{self, NameClass, classify};
use crate::cli::args::InferArgs;
use crate::cli::output::{Out, Table};
use crate::cli::vet::progress;
use crate::cli::{Ending, settings};
use crate::definition::infer::{Draft, Seen};
use crate::feed::{self, Stop, Walk};
use crate::hidden::escaped;
use crate::intake::Rules;

/// Buffer for the zip's small records, in bytes; the data itself is read past it, in larger pieces.
const RECORDS_BYTES: usize = 8 * 1024;

/// So many bytes of the data file are read between two moves of the bar.
const PROGRESS_BYTES: u64 = 4 * 1024 * 1024;

/// Drafts definitions.
pub fn run(args: &InferArgs) -> anyhow::Result<Ending> {
    // By no configuration: what a partner may send is what there is to see, and not what was said of it before.
    let defaults = settings::defaults()?;
    let rules = Rules::of(&settings::default_source()?, &defaults.limits, &defaults.definitions);
    let mut seen = Seen::new();
    let rejected = look_through(&args.archive, &rules, args.event.as_deref(), &mut seen)
        .with_context(|| format!("reading `{}`", args.archive.display()))?;
    let drafts = seen.drafts();
    if drafts.is_empty() {
        match &args.event {
            Some(event) => bail!("drafting definitions: no entry that an import would accept is called `{event}`"),
            None => {
                bail!("drafting definitions: there is no entry that an import would accept; `feedgate check` says why")
            }
        }
    }
    if let Some(dir) = &args.write {
        write_files(dir, &drafts)?;
    }
    let mut out = Out::new();
    if args.json {
        out.json(&drafts)?;
    } else if args.write.is_none() {
        let definitions: Vec<_> = drafts.iter().map(|draft| &draft.definition).collect();
        out.json(&definitions)?;
    }
    out.done()?;
    if !args.json {
        tell(&drafts, rejected, seen.passed_over)?;
    }
    Ok(Ending::Well)
}

/// Looks through the feed of an archive, or through a feed by itself. Returns how many entries were none.
fn look_through(path: &Path, rules: &Rules, only: Option<&str>, seen: &mut Seen) -> anyhow::Result<u64> {
    // Looked at first: opening a pipe would wait for its other end.
    anyhow::ensure!(
        path.metadata()?.is_file(),
        "it is no regular file; give the archive itself"
    );
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if name.ends_with(".json") {
        return look_at(file, size, &name, rules, only, seen);
    }
    let NameClass::Feed(feed) = classify(&name) else {
        bail!("its name is no feed's; event_history_YYYYMMDDHHMMSS.json.zip is wanted, or the feed itself, a `.json`");
    };
    let mut archive = BufReader::with_capacity(RECORDS_BYTES, file);
    let contents = archive::inspect(&mut archive, size, &feed, &rules.limits).map_err(of_archive)?;
    let Some(member) = contents.member else {
        bail!("there is no data file in it; `feedgate check` says what is wrong");
    };
    let data = archive::open(archive, &member, &rules.limits).map_err(of_archive)?;
    look_at(data, member.size, &name, rules, only, seen)
}

fn look_at(
    data: impl Read,
    size: u64,
    name: &str,
    rules: &Rules,
    only: Option<&str>,
    seen: &mut Seen,
) -> anyhow::Result<u64> {
    let bar = progress(size, name);
    bar.set_length(size);
    let mut walk = Walk::expecting(size, data, &rules.options);
    let (mut rejected, mut told) = (0, 0);
    while let Some(entry) = walk.next().map_err(of_stop)? {
        let raw = entry.raw;
        match feed::weigh(&entry, &rules.options).rejected() {
            Some(_) => rejected += 1,
            None => {
                let keys = feed::extract(&entry, &rules.options);
                if only.is_none_or(|only| only == keys.event) {
                    seen.see(&keys.event, keys.id.as_deref(), keys.email.as_deref(), raw);
                }
            }
        }
        let bytes = walk.bytes();
        if bytes >= told + PROGRESS_BYTES {
            told = bytes;
            bar.set_position(bytes);
        }
    }
    bar.finish_and_clear();
    Ok(rejected)
}

/// Writes a file for each draft. None that is there is written over: somebody may have mended it.
fn write_files(dir: &Path, drafts: &[Draft]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making the directory `{}`", dir.display()))?;
    for draft in drafts {
        let path = dir.join(format!("{}.json", draft.event_name));
        let mut text = serde_json::to_string_pretty(&draft.definition)?;
        text.push('\n');
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => writeln!(std::io::stderr(), "{} is written", path.display()).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!(
                    "writing `{}`: it is there already, and stays as it is; move it away, or name another directory",
                    path.display()
                )
            }
            Err(error) => return Err(error).with_context(|| format!("writing `{}`", path.display())),
        }
    }
    Ok(())
}

/// Says what was seen, for people.
fn tell(drafts: &[Draft], rejected: u64, passed_over: u64) -> anyhow::Result<()> {
    let mut told = String::new();
    for draft in drafts {
        let names: Vec<String> = draft
            .feed_events
            .iter()
            .map(|name| format!("`{}`", escaped(name)))
            .collect();
        told.push_str(&format!(
            "{}: {} entries of {}\n",
            draft.event_name,
            draft.entries,
            names.join(", ")
        ));
        let mut table = Table::new(&["path", "types", " there", " of", " different", "field", "remark"]);
        for field in &draft.fields {
            table.row([
                field.path.clone(),
                field.types.clone(),
                field.there.to_string(),
                field.of.to_string(),
                field.distinct.clone(),
                field.field.clone().unwrap_or_else(|| "-".to_owned()),
                field.remark.clone(),
            ]);
        }
        table
            .lines()
            .iter()
            .for_each(|line| told.push_str(&format!("  {line}\n")));
        for remark in &draft.remarks {
            told.push_str(&format!("  {}\n", escaped(remark)));
        }
        told.push('\n');
    }
    if rejected > 0 {
        told.push_str(&format!(
            "{rejected} entries were none that an import would accept, and were left out.\n"
        ));
    }
    if passed_over > 0 {
        told.push_str(&format!(
            "{passed_over} entries are of more events than are told apart, and were left out; `--event NAME` drafts one of them.\n"
        ));
    }
    told.push_str("It is a draft, from what was there: mend it, and then `feedgate definitions check`.\n");
    // With stderr closed there is nobody to tell.
    std::io::stderr().write_all(told.as_bytes()).ok();
    Ok(())
}

fn of_stop(stop: Stop) -> anyhow::Error {
    match stop {
        Stop::Fault(violation) => anyhow::anyhow!("{}: {}", violation.code, violation.detail),
        Stop::Read(error) => match archive::fault_in(&error) {
            Some(violation) => anyhow::anyhow!("{}: {}", violation.code, violation.detail),
            None => error.into(),
        },
    }
}

fn of_archive(error: archive::Error) -> anyhow::Error {
    match error {
        archive::Error::Fault(violation) => anyhow::anyhow!("{}: {}", violation.code, violation.detail),
        archive::Error::Io(error) => error.into(),
    }
}
