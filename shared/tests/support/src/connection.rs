//! An asynchronous HTTP client that sends exactly the given bytes, at once or in pieces.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest time that a test waits for anything.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A reply with its whole body.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to `address`.
    pub async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    /// Sends all of `bytes`.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    /// Sends `bytes` as long as the connection is open; returns whether it took all of them.
    pub async fn send_if_open(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.unwrap().is_ok()
    }

    /// Reads the next reply; `None` if the connection ends before it is complete.
    pub async fn reply(&mut self) -> Option<Reply> {
        self.reply_with_body(true).await
    }

    /// Reads the next reply to a request whose replies have no body.
    pub async fn reply_to_head(&mut self) -> Option<Reply> {
        self.reply_with_body(false).await
    }

    async fn reply_with_body(&mut self, has_body: bool) -> Option<Reply> {
        let mut reply = self.head().await?;
        if has_body && reply.status >= 200 {
            reply.body = self.body(&reply).await?;
        }
        Some(reply)
    }

    /// Reads the body of a reply that began with `head`.
    pub async fn body(&mut self, head: &Reply) -> Option<Vec<u8>> {
        if head.header("transfer-encoding") != Some("chunked") {
            let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
            return self.bytes(length).await;
        }
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Some(body);
            }
            body.extend(chunk);
        }
    }

    /// Reads the next reply without its body.
    pub async fn head(&mut self) -> Option<Reply> {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        };
        Some(Reply { status, headers: lines.filter_map(header).collect(), body: Vec::new() })
    }

    /// Reads the next chunk of a body; the last one is empty.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
        let chunk = self.bytes(usize::from_str_radix(line.trim_end(), 16).unwrap()).await?;
        self.bytes(2).await?;
        Some(chunk)
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|some| some == end) {
                return self.bytes(at + end.len()).await;
            }
            self.more().await?;
        }
    }

    async fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Whether the server closes the connection without sending anything more.
    pub async fn is_cut(&mut self) -> bool {
        self.unread.is_empty() && self.more().await.is_none()
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = timeout(LIMIT, self.stream.read(&mut buffer)).await;
        let read = read.expect("nothing arrived within the limit").unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        (read > 0).then_some(())
    }
}

impl Reply {
    /// The value of a header; `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of an error.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Sends one request on a new connection.
pub async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut connection = Connection::open(address).await;
    connection.send(request).await;
    connection.reply().await.expect("the connection ended before the reply was complete")
}

/// A request with a body; `headers` are whole lines.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), "host: test".to_owned()];
    lines.push(format!("content-length: {}", body.len()));
    lines.extend(headers.iter().map(|&header| header.to_owned()));
    let mut text = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
    text.extend_from_slice(body);
    text
}

/// A request without a body.
#[must_use]
pub fn bare(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n").into_bytes()
}

/// Waits until `holds` returns true, while other tasks run.
pub async fn until(holds: impl Fn() -> bool) {
    let waited = timeout(LIMIT, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the condition did not become true within the limit");
}
