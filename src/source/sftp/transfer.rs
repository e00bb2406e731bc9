//! Files, whole and in part: small reads, fetches with many reads in flight, and writing beside and renaming over.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

use super::super::SourceError;
use super::client::{Client, Doing, Refusal};
use super::handles::Holder;
use super::pump::{Answer, Holds, OpenHandle};
use super::window::Share;
use super::wire::{Reply, Request, open, status};

/// Longest piece handed to a fetch's receiver is one read: 255 KiB. Longest result of a small read, in bytes.
const READ_MAX: usize = 1024 * 1024;

/// Reads that one fetch has in flight at most. With 255 KiB each the room on the line ends first; with servers that give
/// 32 KiB it is this.
const READS: usize = 64;

/// Reads in flight for the rest of one that was answered short.
const FILLS: usize = 16;

/// What a fetch with nothing in flight may always ask for, in bytes, room or not. A fetch whose receiver has stopped keeps
/// its room; without this it would stop the others as well.
const FETCH_LEN_MIN: u32 = 32 * 1024;

/// How many deadlines the rest of a read may take that was answered short: as many as it has answers of 32 KiB, which every
/// server gives. One that gives a byte at a time, each just in time, is not listened to for years.
const FILL_DEADLINES: u32 = 8;

/// Writes in flight on one file.
const WRITES: usize = 16;

/// Up to `len` bytes from `offset`.
pub(super) async fn read(client: &Client, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
    let doing = Doing("reading", path);
    let len = len.min(READ_MAX);
    let handle = open_to_read(client, path, Holder::Other, doing).await?;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let window = &client.line.room.read_bytes;
        let wanted = client.read_len().min(window.len_max()).min((len - bytes.len()) as u32);
        let share = Some(window.share(wanted).await.map_err(|_| client.lost(doing))?);
        let at = offset.saturating_add(bytes.len() as u64);
        let answer = client.submit(
            Request::read(handle.bytes(), at, wanted),
            Holds {
                share,
                ..Holds::default()
            },
        );
        let Some(mut piece) = data(client, client.answer(answer, doing).await?, doing)? else {
            break;
        };
        let ends = fill(client, &handle, at, wanted, &mut piece, doing).await?;
        if bytes.is_empty() && piece.len() == len {
            return Ok(piece);
        }
        bytes.extend_from_slice(&piece);
        if ends {
            break;
        }
    }
    Ok(bytes)
}

/// One read of a fetch, asked for and not yet answered.
struct Asked {
    offset: u64,
    len: u32,
    answer: oneshot::Receiver<Answer>,
}

/// Sends a file in order, with many reads in flight.
pub(super) async fn fetch(
    client: &Client,
    path: &str,
    size: u64,
    into: mpsc::Sender<Vec<u8>>,
) -> Result<u64, SourceError> {
    let doing = Doing("fetching", path);
    let stopped = || SourceError::Stopped {
        doing: doing.to_string(),
    };
    let handle = open_to_read(client, path, Holder::Fetch, doing).await?;
    let mut asked = VecDeque::new();
    let (mut next, mut sent) = (0, 0);
    loop {
        while next < size && asked.len() < READS {
            let Some((len, share)) = share_for(client, size - next, asked.is_empty()) else {
                break;
            };
            let holds = Holds {
                share,
                ..Holds::default()
            };
            let answer = client.submit(Request::read(handle.bytes(), next, len), holds);
            asked.push_back(Asked {
                offset: next,
                len,
                answer,
            });
            next += u64::from(len);
        }
        let Some(Asked { offset, len, answer }) = asked.pop_front() else {
            return Ok(sent);
        };
        let mut answer = client.answer(answer, doing).await?;
        // Held until the piece is handed on: bytes that wait for the receiver are bytes in memory.
        let share = answer.share.take();
        let Some(mut piece) = data(client, answer, doing)? else {
            return Ok(sent);
        };
        let mut ends = false;
        if piece.len() < len as usize {
            let given = piece.len();
            ends = fill(client, &handle, offset, len, &mut piece, doing).await?;
            if !ends {
                client.gives_at_most(given);
            }
        }
        sent += piece.len() as u64;
        if into.send(piece).await.is_err() {
            return Err(stopped());
        }
        drop(share);
        if ends {
            return Ok(sent);
        }
    }
}

/// How much to ask for next, and the room for it; `None` to wait for what is in flight first.
fn share_for(client: &Client, left: u64, none_in_flight: bool) -> Option<(u32, Option<Share>)> {
    let window = &client.line.room.fetch_bytes;
    let len = u32::try_from(left)
        .unwrap_or(u32::MAX)
        .min(client.read_len())
        .min(window.len_max());
    match window.try_share(len) {
        Some(share) => Some((len, Some(share))),
        None if none_in_flight => Some((len.min(FETCH_LEN_MIN), None)),
        None => None,
    }
}

/// Asks for the rest of a read that was answered short, until it is whole; whether the file ended before that. A server that
/// gives little at a time is asked for several such pieces at a time: one by one, each would cost a round trip.
async fn fill(
    client: &Client,
    handle: &OpenHandle,
    offset: u64,
    len: u32,
    piece: &mut Vec<u8>,
    doing: Doing<'_>,
) -> Result<bool, SourceError> {
    let given = piece.len().max(1);
    let filling = async {
        while piece.len() < len as usize {
            let mut asked = VecDeque::new();
            let mut next = piece.len();
            while next < len as usize && asked.len() < FILLS {
                let wanted = given.min(len as usize - next);
                let request = Request::read(handle.bytes(), offset.saturating_add(next as u64), wanted as u32);
                asked.push_back((wanted, client.submit(request, Holds::default())));
                next += wanted;
            }
            while let Some((wanted, answer)) = asked.pop_front() {
                let Some(more) = data(client, client.answer(answer, doing).await?, doing)? else {
                    return Ok(true);
                };
                piece.extend_from_slice(&more);
                if more.len() < wanted {
                    break; // what was asked for behind it is not next any more
                }
            }
        }
        Ok(false)
    };
    client.within(FILL_DEADLINES, filling, doing).await
}

/// The bytes of an answer to READ; `None` at the end of the file.
fn data(client: &Client, answer: Answer, doing: Doing<'_>) -> Result<Option<Vec<u8>>, SourceError> {
    match answer.reply {
        // No bytes and no end would be asked again for ever.
        Reply::Data(bytes) if bytes.is_empty() => Ok(None),
        Reply::Data(bytes) => Ok(Some(bytes)),
        Reply::Status(status::EOF, _) => Ok(None),
        other => Err(client.unexpected(other, doing)),
    }
}

async fn open_to_read(
    client: &Client,
    path: &str,
    holder: Holder,
    doing: Doing<'_>,
) -> Result<OpenHandle, SourceError> {
    let opened = client
        .open(Request::open(&client.path(path), open::READ), holder, doing)
        .await?;
    opened.map_err(|refusal| refusal.into_source_error(doing))
}

/// Removes the file beside, whoever gives up and why; forgotten once it was renamed.
struct Beside<'a> {
    client: &'a Client,
    path: String,
    renamed: bool,
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            self.client.submit_and_forget(Request::remove(&self.path));
        }
    }
}

/// Writes a small file beside its place, then renames it over what may be there.
pub(super) async fn write(client: &Client, path: &str, bytes: &[u8]) -> Result<(), SourceError> {
    let doing = Doing("writing", path);
    let refused = |refusal: Refusal| refusal.into_source_error(doing);
    // From before it is there: given up while OPEN is on its way, it would come to be and stay.
    let mut beside = Beside {
        client,
        path: client.path(&super::super::beside(path)),
        renamed: false,
    };
    let open = async || {
        let flags = open::WRITE | open::CREATE | open::EXCLUSIVE;
        let request = Request::open(&beside.path, flags);
        client.open(request, Holder::Other, doing).await
    };
    let mut opened = open().await?;
    if opened
        .as_ref()
        .is_err_and(|refusal| status::is_plain_failure(refusal.code) || refusal.code == status::ALREADY_EXISTS)
    {
        // Left behind by an attempt whose connection was lost, most likely; whether it was there, the second try tells.
        client.command(Request::remove(&beside.path), doing).await?.ok();
        opened = open().await?;
    }
    let handle = opened.map_err(refused)?;

    write_all(client, &handle, bytes, doing).await?.map_err(refused)?;
    // Closed by hand: some servers say only here that the disk was full.
    let (handle, place) = handle.disarm();
    client.command(Request::close(&handle), doing).await?.map_err(refused)?;
    drop(place);

    replace(client, &beside.path, &client.path(path), doing)
        .await?
        .map_err(refused)?;
    beside.renamed = true;
    Ok(())
}

/// Renames over what may be there: in one step where the server can and will, else by making room first.
async fn replace(client: &Client, from: &str, to: &str, doing: Doing<'_>) -> Result<Result<(), Refusal>, SourceError> {
    if client.extensions.posix_rename && client.command(Request::posix_rename(from, to), doing).await?.is_ok() {
        return Ok(Ok(()));
    }
    match client.command(Request::remove(to), doing).await? {
        Ok(()) => {}
        Err(refusal) if matches!(refusal.code, status::NO_SUCH_FILE | status::NO_SUCH_PATH) => {}
        Err(refusal) => return Ok(Err(refusal)),
    }
    client.command(Request::rename(from, to), doing).await
}

/// Writes all bytes from offset 0, several pieces in flight.
async fn write_all(
    client: &Client,
    handle: &OpenHandle,
    bytes: &[u8],
    doing: Doing<'_>,
) -> Result<Result<(), Refusal>, SourceError> {
    let mut waiting = VecDeque::new();
    let mut pieces = bytes.chunks(client.write_len as usize);
    let mut offset = 0;
    loop {
        while waiting.len() < WRITES {
            let Some(piece) = pieces.next() else { break };
            waiting.push_back(client.submit(Request::write(handle.bytes(), offset, piece), Holds::default()));
            offset += piece.len() as u64;
        }
        let Some(answer) = waiting.pop_front() else {
            return Ok(Ok(()));
        };
        match client.answer(answer, doing).await?.reply {
            Reply::Status(status::OK, _) => {}
            Reply::Status(code, message) => return Ok(Err(Refusal { code, message })),
            other => return Err(client.unexpected(other, doing)),
        }
    }
}
