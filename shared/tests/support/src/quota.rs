//! Sets quotas of a broker, with the one request that drivers of clients do not have.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The request AlterClientQuotas, version 0.
const ALTER_CLIENT_QUOTAS: i16 = 49;

/// Limits how many bytes a second the clients with the id `client` may append, or removes the
/// limit.
pub fn limit_producer(brokers: &str, client: &str, bytes_per_second: Option<f64>) {
    let mut body = Vec::new();
    for part in [&ALTER_CLIENT_QUOTAS.to_be_bytes()[..], &0_i16.to_be_bytes(), &7_i32.to_be_bytes()]
    {
        body.extend_from_slice(part);
    }
    text("test", &mut body);
    // One entry, for one entity.
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&1_i32.to_be_bytes());
    text("client-id", &mut body);
    text(client, &mut body);
    // One operation: the key, the value, whether to remove it. Then: not only a trial.
    body.extend_from_slice(&1_i32.to_be_bytes());
    text("producer_byte_rate", &mut body);
    body.extend_from_slice(&bytes_per_second.unwrap_or(0.0).to_be_bytes());
    body.extend_from_slice(&[u8::from(bytes_per_second.is_none()), 0]);

    let broker = brokers.split(',').next().unwrap();
    let mut stream = TcpStream::connect(broker).unwrap();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &body].concat()).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut reply).unwrap();
    // The correlation id, the throttle time, the number of entries, and the error of the first.
    assert_eq!(reply[8..14], [0, 0, 0, 1, 0, 0], "the quota was refused: {reply:?}");
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
