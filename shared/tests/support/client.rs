//! An HTTP client that shows every byte: what a test sends is what arrives, whole or in pieces.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer that a test waits for takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    /// Sends what the other side takes; it may have hung up.
    pub(crate) async fn send_if_taken(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.unwrap().ok();
    }

    /// The next reply; `None` when the connection ends before it is whole.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        self.reply_with_body(true).await
    }

    /// The next reply to a request whose method has none with a body.
    pub(crate) async fn reply_to_head(&mut self) -> Option<Reply> {
        self.reply_with_body(false).await
    }

    async fn reply_with_body(&mut self, has_body: bool) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        };
        let mut reply =
            Reply { status, headers: lines.filter_map(header).collect(), body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if has_body && status >= 200 {
            while self.unread.len() < length {
                self.more().await?;
            }
            reply.body = self.unread.drain(..length).collect();
        }
        Some(reply)
    }

    /// Whether the other side hangs up without a word more.
    pub(crate) async fn is_cut(&mut self) -> bool {
        self.unread.is_empty() && self.more().await.is_none()
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = timeout(LIMIT, self.stream.read(&mut buffer)).await;
        let read = read.expect("nothing came for a long time").unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        (read > 0).then_some(())
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut connection = Connection::open(address).await;
    connection.send(request).await;
    connection.reply().await.expect("the connection ended before the reply did")
}

/// A request with a body; `headers` are whole lines.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[&str],
    body: impl AsRef<[u8]>,
) -> Vec<u8> {
    let body = body.as_ref();
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), "host: test".to_owned()];
    lines.push(format!("content-length: {}", body.len()));
    lines.extend(headers.iter().map(|&header| header.to_owned()));
    let mut text = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
    text.extend_from_slice(body);
    text
}

/// A request without a body.
pub(crate) fn bare(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n").into_bytes()
}

/// Waits until `holds`, letting everything else go on.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let waited = timeout(LIMIT, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("it never came to hold");
}
