//! What lies in the root: many READDIRs in flight, and attributes asked for where the listing does not tell them.
//!
//! Servers tell more or less of each name. What is missing is asked for name by name, many at a time: a listing without
//! attributes costs a round trip for hundreds of names, not for each.

use std::collections::VecDeque;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::super::{ListedFile, SourceError, listed_name};
use super::client::{Client, Doing};
use super::file_stat;
use super::handles::Holder;
use super::pump::Holds;
use super::wire::{Attributes, Kind, Named, Reply, Request, status};

/// READDIRs in flight on one listing. OpenSSH answers about a hundred names each: 100,000 files are 1,000 of them.
const READ_DIRS: usize = 128;

/// READDIRs that are asked for before the first answer is there.
const READ_DIRS_FIRST: usize = 4;

/// Memory that the READDIRs in flight may bring, going by the longest answer so far: a server that answers thousands of names
/// at a time is asked for few at a time.
const READ_DIR_BYTES: usize = 2 * 1024 * 1024;

/// Most names in one listing; a directory with more is refused rather than held in memory.
const NAMES_MAX: usize = 1_000_000;

/// Most bytes of names in one listing, likewise: a name may have as many as a packet, and honest ones have some forty.
const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many deadlines the names of a listing may take as a whole: so many, and one more for each thousand names that came. A
/// server that gives one name at a time, each just in time, would be listened to for a year.
const LISTING_DEADLINES: u32 = 10;

/// Names whose attributes are asked for at a time.
const LOOKS: usize = 256;

/// The regular files in the root.
pub(super) async fn list(client: &Client) -> Result<Vec<ListedFile>, SourceError> {
    let doing = Doing("listing", &client.root);
    let names = match read_dir(client, &client.root, READ_DIRS, doing).await {
        // Perhaps it was one too many at a time for this server; if not, it says so again.
        Err(SourceError::Refused { .. }) => read_dir(client, &client.root, 1, doing).await?,
        outcome => outcome?,
    };
    let names = names.ok_or_else(|| SourceError::Refused {
        doing: doing.to_string(),
        reason: format!(
            "more than {NAMES_MAX} names, or more than {} MiB of them; move some away",
            NAMES_BYTES_MAX >> 20
        ),
    })?;
    let mut files = Vec::with_capacity(names.len());
    let mut untold = Vec::new();
    for named in names {
        if named.name == b"." || named.name == b".." {
            continue;
        }
        let name = listed_name(&named.name);
        match told(&named) {
            Some(attributes) => files.extend(file_stat(&attributes).map(|stat| ListedFile { name, stat })),
            // A name that cannot be asked for is listed by what there is.
            None if name.as_bytes() != named.name => {
                files.extend(file_stat(&named.attributes).map(|stat| ListedFile { name, stat }));
            }
            None => untold.push(name),
        }
    }
    let mut looks = stream::iter(untold)
        .map(|name| async move {
            let doing = Doing("looking at", &name);
            let found = match client.lstat(&client.path(&name), doing).await {
                // It cannot be looked at, or it is gone meanwhile.
                Err(error) if error.is_about_the_file() => None,
                found => found?,
            };
            let stat = found.and_then(|attributes| file_stat(&attributes));
            Ok::<_, SourceError>(stat.map(|stat| ListedFile { name, stat }))
        })
        .buffer_unordered(LOOKS);
    while let Some(found) = looks.try_next().await? {
        files.extend(found);
    }
    Ok(files)
}

/// What the listing itself tells of a name, if it is enough.
fn told(named: &Named) -> Option<Attributes> {
    let mut attributes = named.attributes;
    if attributes.kind() == Kind::Unknown {
        // The mode is told without the type, or not at all; the long name begins with it.
        attributes.permissions = match named.hint {
            Kind::File => Some(0o100_000),
            Kind::Directory => Some(0o040_000),
            Kind::Link => Some(0o120_000),
            Kind::Other => Some(0o010_000),
            Kind::Unknown => None,
        };
    }
    match attributes.kind() {
        Kind::Unknown => None,
        Kind::File if attributes.size.is_none() || attributes.mtime.is_none() => None,
        _ => Some(attributes),
    }
}

/// All names of a directory, with up to `depth_max` READDIRs in flight on one handle. Servers answer them in order or not:
/// names are a set. `None` if there are more than are held in memory.
async fn read_dir(
    client: &Client,
    path: &str,
    depth_max: usize,
    doing: Doing<'_>,
) -> Result<Option<Vec<Named>>, SourceError> {
    let requests = &client.line.room.requests;
    let opened = client.open(Request::open_dir(path), Holder::Other, doing).await?;
    let handle = opened.map_err(|refusal| refusal.into_source_error(doing))?;
    let mut names = Vec::new();
    let mut waiting = VecDeque::new();
    let (mut ended, mut depth) = (false, depth_max.min(READ_DIRS_FIRST));
    let mut bytes = 0;
    let begun = Instant::now();
    loop {
        let deadlines = LISTING_DEADLINES.saturating_add((names.len() / 1000) as u32);
        client.not_after(begun, deadlines, doing)?;
        while !ended && waiting.len() < depth {
            let place = if waiting.is_empty() {
                client.room(requests, doing).await?
            } else if let Ok(place) = requests.clone().try_acquire_owned() {
                place
            } else {
                break; // more in flight is a favour, not a need: no waiting for it
            };
            let holds = Holds {
                place: Some(place),
                ..Holds::default()
            };
            waiting.push_back(client.submit(Request::read_dir(handle.bytes()), holds));
        }
        let Some(answer) = waiting.pop_front() else {
            return Ok(Some(names));
        };
        match client.answer(answer, doing).await?.reply {
            // An empty answer is no end by the document, but a server that gives one would be asked for ever.
            Reply::Names(some) if some.is_empty() => ended = true,
            Reply::Names(some) => {
                let some_bytes = some.iter().map(|named| named.name.len()).sum::<usize>();
                let bearable = READ_DIR_BYTES / (some_bytes + some.len() * size_of::<Named>());
                depth = (depth * 2).min(depth_max).min(bearable.max(1));
                bytes += some_bytes;
                names.extend(some);
            }
            Reply::Status(status::EOF, _) => ended = true,
            // What was asked for beyond the end: a server that has closed its directory there calls the handle wrong.
            Reply::Status(status::FAILURE | status::BAD_MESSAGE | status::INVALID_HANDLE, _) if ended => {}
            other => return Err(client.unexpected(other, doing)),
        }
        if names.len() > NAMES_MAX || bytes > NAMES_BYTES_MAX {
            return Ok(None);
        }
    }
}
