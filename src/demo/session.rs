//! One client's session: packets in, packets out.
//!
//! `russh-sftp` has a loop of its own, which serves one request after the other and can only answer. This one can also do
//! what servers do on bad days, where a [`Script`] asks for it. Requests are carried out in the order in which they come;
//! replies go through a queue of their own, so that a late one holds up no other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh_sftp::protocol::{Packet, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use super::files::{Files, PACKET_BYTES_MAX};
use super::script::{Fault, Request, Script};

/// Replies that wait for the client to take them. Without a bound, one that asks and never listens would fill the memory.
const REPLIES_WAITING_MAX: usize = 64;

/// What goes to the client, and the time between two bytes of it where that is not none.
type Sent = (Bytes, Duration);

/// What a session may do to the connection that it runs on.
pub(super) struct Line {
    /// Cuts it.
    pub(super) cut: Box<dyn Fn() + Send + Sync>,
    /// Fills it, beside the session, for as long as it lasts.
    pub(super) flood: Box<dyn Fn() + Send + Sync>,
}

/// Serves a client until it goes.
pub(super) async fn serve<S>(stream: S, mut files: Files, script: Option<Arc<dyn Script>>, line: Line)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut requests, writer) = tokio::io::split(stream);
    let (replies, waiting) = mpsc::channel(REPLIES_WAITING_MAX);
    let writing = tokio::spawn(write(writer, waiting));
    while let Ok(body) = read(&mut requests).await {
        let Ok(request) = Packet::try_from(&mut body.clone()) else {
            let refused = Packet::error(id_of(&body), StatusCode::BadMessage);
            match replies.send(packed(refused)).await {
                Ok(()) => continue,
                Err(_) => break,
            }
        };
        let fault = script
            .as_ref()
            .and_then(|script| script.judge(&Request::of(&request, &files)));
        let id = request.get_request_id();
        // Disk work, on the server's own runtime: its other threads go on.
        let carry_out = |data_max| packed(tokio::task::block_in_place(|| files.answer(request, data_max)));
        let sent = match fault {
            None => replies.send(carry_out(u32::MAX)).await,
            Some(Fault::Short(data_max)) => replies.send(carry_out(data_max)).await,
            Some(Fault::Answer(status)) => replies.send(packed(Packet::error(id, status))).await,
            Some(Fault::Rubbish(bytes)) => replies.send((bytes.into(), Duration::ZERO)).await,
            Some(Fault::Flood) => {
                (line.flood)();
                replies.send(carry_out(u32::MAX)).await
            }
            Some(Fault::Drip(pause)) => replies.send((carry_out(u32::MAX).0, pause)).await,
            Some(Fault::LoseReply) => {
                carry_out(u32::MAX);
                Ok(())
            }
            Some(Fault::Delay(delay)) => {
                send_later(&replies, delay, carry_out(u32::MAX));
                Ok(())
            }
            Some(Fault::Forged { kind, body, after }) => {
                send_later(&replies, after, forged(kind, id, &body));
                Ok(())
            }
            Some(Fault::Stall) => {
                swallow(&mut requests).await;
                break;
            }
            Some(Fault::CutBefore) => return (line.cut)(),
            Some(Fault::CutAfter) => {
                carry_out(u32::MAX);
                return (line.cut)();
            }
        };
        if sent.is_err() {
            break;
        }
    }
    drop(replies);
    // What was answered before the client said goodbye is still on its way; if it is gone, writing fails at once.
    if writing.await.is_err() {
        (line.cut)();
    }
}

/// A packet as it goes over the line. One that cannot be packed would be a defect of this server, and ends the session.
fn packed(reply: Packet) -> Sent {
    (Bytes::try_from(reply).unwrap_or_default(), Duration::ZERO)
}

/// A packet of whatever type and body.
fn forged(kind: u8, id: u32, body: &[u8]) -> Sent {
    let length = u32::try_from(5 + body.len()).unwrap_or(u32::MAX);
    let packet = [&length.to_be_bytes(), &[kind][..], &id.to_be_bytes(), body].concat();
    (packet.into(), Duration::ZERO)
}

fn send_later(replies: &mpsc::Sender<Sent>, delay: Duration, reply: Sent) {
    let replies = replies.clone();
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        replies.send(reply).await
    });
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

async fn write<S: AsyncWrite>(mut writer: WriteHalf<S>, mut waiting: mpsc::Receiver<Sent>) -> io::Result<()> {
    while let Some((bytes, pause)) = waiting.recv().await {
        if bytes.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if pause.is_zero() {
            writer.write_all(&bytes).await?;
            continue;
        }
        for byte in bytes {
            writer.write_all(&[byte]).await?;
            writer.flush().await?;
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// Takes whatever comes, as a server does that hangs behind a live connection, until the client gives up.
async fn swallow(requests: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = vec![0; 32 * 1024];
    while matches!(requests.read(&mut bytes).await, Ok(n) if n > 0) {}
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::super::paths::Root;
    use super::*;

    /// A session over memory, and the client's end of it.
    fn client(dir: &std::path::Path) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let files = Files::new(Root::new(dir).unwrap());
        let line = Line {
            cut: Box::new(|| {}),
            flood: Box::new(|| {}),
        };
        tokio::spawn(serve(theirs, files, None, line));
        ours
    }

    /// Sends a packet as it is given, and returns the reply's: type and body. `None` if the session ended instead.
    async fn ask(client: &mut DuplexStream, body: &[u8]) -> Option<Vec<u8>> {
        client.write_all(&(body.len() as u32).to_be_bytes()).await.ok()?;
        client.write_all(body).await.ok()?;
        let reply = async {
            let mut reply = vec![0; client.read_u32().await.ok()? as usize];
            client.read_exact(&mut reply).await.ok()?;
            Some(reply)
        };
        tokio::time::timeout(Duration::from_secs(5), reply)
            .await
            .expect("an answer or an end")
    }

    /// A status reply's request id and code.
    fn status(reply: &[u8]) -> Option<(u32, u32)> {
        let number = |at: usize| Some(u32::from_be_bytes(reply.get(at..at + 4)?.try_into().ok()?));
        (reply.first() == Some(&101)).then_some((number(1)?, number(5)?))
    }

    const BAD_MESSAGE: u32 = 5;

    #[tokio::test(flavor = "multi_thread")]
    async fn rubbish_is_answered_and_the_session_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut client = client(dir.path());
        assert_eq!(ask(&mut client, &[1, 0, 0, 0, 3]).await.unwrap()[..5], [2, 0, 0, 0, 3]);
        for (body, id) in [
            (&[77, 0, 0, 0, 9][..], 9),                              // no such type
            (&[77][..], 0),                                          // nor an id
            (&[3, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, b'a'][..], 8), // a name of 4 GiB
            (&[5, 0, 0, 0, 7][..], 7),                               // a read of nothing
            (&[104, 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff][..], 6),     // a reply with 4 billion names
        ] {
            let reply = ask(&mut client, body).await.unwrap();
            assert_eq!(status(&reply), Some((id, BAD_MESSAGE)), "{body:?}");
        }
        // A REALPATH of `.`, to see that it is still there.
        let reply = ask(&mut client, &[16, 0, 0, 0, 1, 0, 0, 0, 1, b'.']).await.unwrap();
        assert_eq!(reply[0], 104);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_packet_over_the_limit_ends_the_session() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, PACKET_BYTES_MAX + 1, u32::MAX] {
            let mut client = client(dir.path());
            client.write_all(&length.to_be_bytes()).await.unwrap();
            let ended = tokio::time::timeout(Duration::from_secs(5), client.read_u8())
                .await
                .expect("an end");
            assert!(ended.is_err(), "{length}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reply_is_never_longer_than_a_packet() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), vec![b'a'; 1 << 20]).unwrap();
        let mut client = client(dir.path());
        let opened = ask(&mut client, b"\x03\0\0\0\x01\0\0\0\x01a\0\0\0\x01\0\0\0\0")
            .await
            .unwrap();
        assert_eq!(opened[0], 102);
        let mut read = vec![5, 0, 0, 0, 2];
        read.extend_from_slice(&opened[5..]); // the handle, with its length
        read.extend_from_slice(&7u64.to_be_bytes());
        read.extend_from_slice(&u32::MAX.to_be_bytes());
        let data = ask(&mut client, &read).await.unwrap();
        assert_eq!(data[0], 103);
        assert!(
            data.len() > 255 * 1024 - 32 && data.len() <= PACKET_BYTES_MAX as usize,
            "{}",
            data.len()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn handles_run_out_at_their_limit_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut client = client(dir.path());
        let open = b"\x0b\0\0\0\x01\0\0\0\x01/";
        for _ in 0..256 {
            assert_eq!(ask(&mut client, open).await.unwrap()[0], 102);
        }
        assert_eq!(status(&ask(&mut client, open).await.unwrap()), Some((1, 4)));
        assert_eq!(
            status(&ask(&mut client, b"\x04\0\0\0\x02\0\0\0\x0242").await.unwrap()),
            Some((2, 0))
        );
        assert_eq!(ask(&mut client, open).await.unwrap()[0], 102);
    }
}
