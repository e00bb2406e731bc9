//! One connection: requests read, answers written, as the script wants it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Request, Script, Shared};

/// Most bytes of a request's head; no client of ours comes near.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Serves a connection until one side has had enough.
pub(super) fn serve(number: usize, socket: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared) {
    let Ok(clone) = socket.try_clone() else { return };
    let _end = End {
        number,
        socket: clone,
        shared,
    };
    socket.set_nodelay(true).ok();
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(config) => {
            let session = ServerConnection::new(config).expect("a session");
            Box::new(StreamOwned::new(session, socket))
        }
    };
    let mut connection = Connection {
        number,
        stream,
        ahead: Vec::new(),
    };
    // A client that went away, or speaks no TLS, ends its connection; the test looks at what the client says.
    while let Ok(true) = connection.turn(shared) {}
}

/// Closes the connection, even where a test's own function panicked: its client should not wait.
struct End<'a> {
    number: usize,
    socket: TcpStream,
    shared: &'a Shared,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.socket.shutdown(Shutdown::Both).ok();
        self.shared.closed(self.number);
    }
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

struct Connection {
    number: usize,
    stream: Box<dyn Stream>,
    /// Read, and not used yet.
    ahead: Vec<u8>,
}

impl Connection {
    /// One request and what it gets. `false`: nothing more comes over this connection.
    fn turn(&mut self, shared: &Shared) -> io::Result<bool> {
        let Some(mut request) = self.read_head()? else {
            return Ok(false);
        };
        let queued = shared.queued_script();
        match queued {
            Some(Script::CutInBody) => {
                let half = length(&request).map_or(1, |length| length / 2);
                request.raw = self.take(half)?;
                request.unpack();
                shared.note(request);
                return Ok(false);
            }
            Some(Script::AnswerEarly(status)) => {
                self.answer(&request, status, &[], b"")?;
                if request.header("expect").is_some() {
                    // Who asked first sends nothing after that.
                    shared.note(request);
                    return Ok(false);
                }
                request.whole = self.read_body(&mut request).is_ok();
                request.unpack();
                let is_whole = request.whole;
                shared.note(request);
                return Ok(is_whole);
            }
            _ => {}
        }
        if request.header("expect").is_some() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let read = self.read_body(&mut request);
        request.whole = read.is_ok();
        request.unpack();
        if read.is_err() {
            shared.note(request);
            return Ok(false);
        }
        let script = queued.unwrap_or_else(|| shared.usual_script(&request));
        request.stored = script.stores();
        shared.note(request.clone());
        self.play(&request, script, shared)
    }

    fn play(&mut self, request: &Request, script: Script, shared: &Shared) -> io::Result<bool> {
        match script {
            Script::Answer {
                status,
                headers,
                body,
                close,
                ..
            } => {
                self.answer(request, status, &headers, &body)?;
                let asked_to_close = request
                    .header("connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case("close"));
                return Ok(!close && !asked_to_close);
            }
            Script::AnswerEarly(_) | Script::CutInBody => panic!("{script:?} must be queued by `next`"),
            Script::CutBefore | Script::CutAfter => {}
            Script::WrongLength => self.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")?,
            Script::HalfHeader => self.write(b"HTTP/1.1 200 OK\r\nContent-Le")?,
            Script::Stall { .. } => {
                if shared.stall() {
                    self.answer(request, 200, &[], b"{}")?;
                    return Ok(true);
                }
            }
            Script::Slow(each) => {
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" {
                    std::thread::sleep(each);
                    self.write(&[*byte])?;
                }
                return Ok(true);
            }
            Script::Endless => {
                self.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")?;
                self.write_for_ever(shared, &[b' '; 64 * 1024])?;
            }
            Script::EndlessHead => {
                self.write(b"HTTP/1.1 200 OK\r\n")?;
                self.write_for_ever(shared, b"X-Again: and again and again and again\r\n")?;
            }
            Script::Garbage => self.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")?,
            Script::Raw(bytes) => self.write(&bytes)?,
        }
        Ok(false)
    }

    fn answer(&mut self, request: &Request, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\n");
        // These have no body, and say no length.
        if status >= 200 && status != 204 && status != 304 {
            answer.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        if request.method != "HEAD" {
            answer.extend_from_slice(body);
        }
        self.write(&answer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn write_for_ever(&mut self, shared: &Shared, chunk: &[u8]) -> io::Result<()> {
        while !shared.is_stopping() {
            self.write(chunk)?;
        }
        Ok(())
    }

    /// Reads a request's head; `None`: the client has nothing more to ask.
    fn read_head(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            // Whoever begins with anything but a method speaks something else, TLS for one.
            let is_other = self.ahead.first().is_some_and(|byte| !byte.is_ascii_uppercase());
            if is_other || self.ahead.len() > HEAD_BYTES_MAX || !self.read_more()? {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (first.next(), first.next(), first.next(), first.next())
        else {
            return Err(io::Error::other("no request line"));
        };
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("no header"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Request {
            connection: self.number,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            raw: Vec::new(),
            body: Vec::new(),
            whole: false,
            stored: false,
        }))
    }

    /// Reads the body, as far as it comes.
    fn read_body(&mut self, request: &mut Request) -> io::Result<()> {
        let is_chunked = request.header("transfer-encoding").is_some();
        if !is_chunked {
            let wanted = length(request).unwrap_or(0);
            request.raw = self.take(wanted)?;
            return match request.raw.len() == wanted {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        loop {
            let size = self.read_line()?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            let chunk = self.take(size)?;
            let is_whole = chunk.len() == size;
            request.raw.extend_from_slice(&chunk);
            if !is_whole || !self.read_line()?.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).map_err(io::Error::other);
            }
            if !self.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// So many bytes, or what comes of them.
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        // A connection that breaks in the middle ends what came, and is no other case than one that is closed.
        while self.ahead.len() < count && self.read_more().unwrap_or(false) {}
        Ok(self.ahead.drain(..count.min(self.ahead.len())).collect())
    }

    /// Reads what is there; `false`: the client has closed.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.ahead.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }
}

fn length(request: &Request) -> Option<usize> {
    let length = request.header("content-length")?;
    Some(length.parse().expect("a length"))
}
