//! One client's session: packets in, packets out.
//!
//! `russh-sftp` has a loop of its own, which serves one request after the other and can only answer. This one can also do
//! what servers do on bad days, where a [`Script`] asks for it. Requests are carried out in the order in which they come;
//! replies go through a queue of their own, so that a late one holds up no other.

use std::io;
use std::sync::Arc;

use russh_sftp::protocol::{Packet, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use super::files::{Files, PACKET_BYTES_MAX};
use super::script::{Fault, Script};

/// Replies that wait for the client to take them. Without a bound, one that asks and never listens would fill the memory.
const REPLIES_WAITING_MAX: usize = 64;

/// What cuts the connection that a session runs on.
pub(super) type Cut = Box<dyn Fn() + Send + Sync>;

/// Serves a client until it goes.
pub(super) async fn serve<S>(stream: S, mut files: Files, script: Option<Arc<dyn Script>>, cut: Cut)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut requests, writer) = tokio::io::split(stream);
    let (replies, waiting) = mpsc::channel(REPLIES_WAITING_MAX);
    let writing = tokio::spawn(write(writer, waiting));
    while let Ok(body) = read(&mut requests).await {
        let request = match Packet::try_from(&mut body.clone()) {
            Ok(request) => request,
            Err(_) => Packet::error(id_of(&body), StatusCode::BadMessage),
        };
        let fault = script
            .as_ref()
            .and_then(|script| script.judge(&files.describe(&request)));
        let id = request.get_request_id();
        // Disk work, on the server's own runtime: its other threads go on.
        let carry_out = |data_max| tokio::task::block_in_place(|| files.answer(request, data_max));
        let sent = match fault {
            None => replies.send(carry_out(u32::MAX)).await,
            Some(Fault::Short(data_max)) => replies.send(carry_out(data_max)).await,
            Some(Fault::Answer(status)) => replies.send(Packet::error(id, status)).await,
            Some(Fault::LoseReply) => {
                carry_out(u32::MAX);
                Ok(())
            }
            Some(Fault::Delay(delay)) => {
                let (reply, replies) = (carry_out(u32::MAX), replies.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    replies.send(reply).await
                });
                Ok(())
            }
            Some(Fault::Stall) => {
                swallow(&mut requests).await;
                break;
            }
            Some(Fault::CutBefore) => return cut(),
            Some(Fault::CutAfter) => {
                carry_out(u32::MAX);
                return cut();
            }
        };
        if sent.is_err() {
            break;
        }
    }
    drop(replies);
    // What was answered before the client said goodbye is still on its way; if it is gone, writing fails at once.
    if writing.await.is_err() {
        cut();
    }
}

/// One packet: type and body, without its length. Anything longer than the protocol's habit ends the session.
async fn read(requests: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let length = requests.read_u32().await?;
    if length == 0 || length > PACKET_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    requests.read_exact(&mut body).await?;
    Ok(body.into())
}

/// The request's id, where the packet got as far as that.
fn id_of(body: &[u8]) -> u32 {
    body.get(1..5)
        .and_then(|id| id.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

async fn write<S: AsyncWrite>(mut writer: WriteHalf<S>, mut waiting: mpsc::Receiver<Packet>) -> io::Result<()> {
    while let Some(reply) = waiting.recv().await {
        let bytes = Bytes::try_from(reply).map_err(io::Error::other)?;
        writer.write_all(&bytes).await?;
    }
    Ok(())
}

/// Takes whatever comes, as a server does that hangs behind a live connection, until the client gives up.
async fn swallow(requests: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = vec![0; 32 * 1024];
    while matches!(requests.read(&mut bytes).await, Ok(n) if n > 0) {}
}
