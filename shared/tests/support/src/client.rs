//! A small HTTP client: one connection per request. It sends paths unchanged, because an id may be
//! `..`.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// The content type of one event per line.
pub const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A client of the server at an address.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

/// A reply with its whole body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Opens a connection.
    ///
    /// # Errors
    /// If the server does not accept it.
    pub fn connect(self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.0, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub fn get(self, path: &str) -> io::Result<Reply> {
        self.send("GET", path, &[], b"")
    }

    /// Sends a POST request.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub fn post(self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
        self.send("POST", path, headers, body)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub fn send(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut stream = self.connect()?;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.0);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-length: {}\r\n\r\n", body.len());
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let written = stream.write_all(&bytes);
        // A server that rejects a body replies before the body is sent completely. The reply
        // counts.
        read_reply(&mut BufReader::new(stream)).or_else(|unread| written.and(Err(unread)))
    }

    /// Returns the JSON of a GET request that must succeed.
    #[must_use]
    pub fn ask(self, path: &str) -> Value {
        let reply = self.get(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }
}

impl Reply {
    /// The value of a header; `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Reads one reply.
///
/// # Errors
/// [`ErrorKind::ConnectionAborted`] if the connection ends before the first byte, and
/// [`ErrorKind::UnexpectedEof`] if it ends within the reply.
pub fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let broke_off = || io::Error::from(ErrorKind::UnexpectedEof);
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => return Err(ErrorKind::ConnectionAborted.into()),
        Err(error) if line.is_empty() => return Err(error),
        outcome => outcome?,
    };
    let status =
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broke_off)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        match line.split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => break,
        }
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    if status == 100 {
        return Ok(reply);
    }
    if reply.header("transfer-encoding").is_some() {
        loop {
            let length = usize::from_str_radix(&read_line(stream)?, 16).map_err(|_| broke_off())?;
            let before = reply.body.len();
            reply.body.resize(before + length, 0);
            stream.read_exact(&mut reply.body[before..])?;
            read_line(stream)?;
            if length == 0 {
                return Ok(reply);
            }
        }
    }
    let length = reply.header("content-length").and_then(|length| length.parse().ok());
    match length {
        Some(length) => {
            reply.body.resize(length, 0);
            stream.read_exact(&mut reply.body)?;
        }
        None => {
            stream.read_to_end(&mut reply.body)?;
        }
    }
    Ok(reply)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// Percent-encodes `text` for a segment of a path or a value of a query.
#[must_use]
pub fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
