//! The PROXY protocol, versions 1 and 2: who stands before a client tells its address in front of everything else.
//!
//! It is read where it is expected, and must be there then, as its specification wants it: nobody guesses.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::handshake::Refusal;
use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX};

/// With these bytes version 2 begins,
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// and version 1 with these.
const WORD: &[u8; 6] = b"PROXY ";
/// Version 2's signature, version, family, and the length of the rest.
const HEAD_BYTES: usize = 16;

/// Reads a header, and nothing behind it: the address of the client that the proxy speaks for, or `None` if it speaks for itself or does
/// not say for whom.
pub(super) async fn client_address(
    reader: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, Refusal> {
    let mut bytes = vec![0; SIGNATURE.len()];
    reader.read_exact(&mut bytes).await?;
    if bytes == SIGNATURE {
        read_rest(reader, &mut bytes).await?;
    } else if bytes.starts_with(WORD) {
        read_line(reader, &mut bytes).await?;
    } else {
        return Err(malformed());
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(&bytes, config) {
        Ok((header, length)) if length == bytes.len() => {
            Ok(header.proxied_address().map(|addresses| addresses.source))
        }
        _ => Err(malformed()),
    }
}

async fn read_rest(reader: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<(), Refusal> {
    bytes.resize(HEAD_BYTES, 0);
    reader.read_exact(&mut bytes[SIGNATURE.len()..]).await?;
    let rest = usize::from(u16::from_be_bytes([bytes[HEAD_BYTES - 2], bytes[HEAD_BYTES - 1]]));
    if HEAD_BYTES + rest > PROXY_HEADER_BYTES_MAX {
        return Err(malformed());
    }
    bytes.resize(HEAD_BYTES + rest, 0);
    reader.read_exact(&mut bytes[HEAD_BYTES..]).await?;
    Ok(())
}

/// Octet by octet: what stands behind the line is the client's.
async fn read_line(reader: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<(), Refusal> {
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() == PROXY_LINE_BYTES_MAX {
            return Err(malformed());
        }
        bytes.push(reader.read_u8().await?);
    }
    Ok(())
}

fn malformed() -> Refusal {
    Refusal::Silent("a proxy's connection does not begin with a header of the PROXY protocol".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What comes of bytes behind which `rest` stands, and how much of all that is left.
    fn read(bytes: &[u8], rest: &[u8]) -> (Result<Option<SocketAddr>, String>, usize) {
        let all = [bytes, rest].concat();
        let mut reader = &all[..];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(client_address(&mut reader)).map_err(|refusal| refusal.to_string());
        (read, reader.len())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80];

    #[test]
    fn each_kind_of_header_tells_its_client_and_takes_nothing_behind_it() {
        let v6: Vec<u8> = [[0x20; 16], [0x30; 16]].concat().into_iter().chain([0, 7, 0, 8]).collect();
        let unix = [7; 216];
        let with_more = [&V4[..], &[0x04, 0, 2, 1, 1]].concat();
        let six = "[2020:2020:2020:2020:2020:2020:2020:2020]:7";
        let cases: [(Vec<u8>, Option<&str>); 13] = [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n".into(), Some("192.0.2.1:4660")),
            (b"PROXY TCP6 2001:db8::1 ::1 65535 1\r\n".into(), Some("[2001:db8::1]:65535")),
            (b"PROXY UNKNOWN\r\n".into(), None),
            (b"PROXY UNKNOWN 1 2 3 4\r\n".into(), None),
            (v2(0x21, 0x11, &V4), Some("192.0.2.1:4660")),
            (v2(0x21, 0x11, &with_more), Some("192.0.2.1:4660")),
            (v2(0x21, 0x21, &v6), Some(six)),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x21, 0x31, &unix), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x00, &[1, 2, 3]), None),
            (v2(0x20, 0x11, &V4), None),
            (v2(0x20, 0x21, &v6), None),
        ];
        for (bytes, address) in cases {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(read(&bytes, b"AMQP"), (Ok(address), 4), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let overlong = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; PROXY_LINE_BYTES_MAX]].concat();
        let cases: [Vec<u8>; 12] = [
            b"AMQP\0\0\x09\x01    ".into(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80 \r\n".into(),
            b"PROXY TCP4 192.0.2.256 192.0.2.2 4660 80\r\n".into(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n".into(),
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".into(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".into(),
            b"PROXY \r\n12345\r\n".into(),
            overlong,
            v2(0x11, 0x11, &V4),
            v2(0x21, 0x11, &V4[..11]),
            v2(0x21, 0x41, &V4),
            v2(0x21, 0x11, &vec![0; PROXY_HEADER_BYTES_MAX]),
        ];
        for bytes in cases {
            let (read, _) = read(&bytes, b"");
            assert!(read.is_err(), "{} gave {read:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_that_ends_too_soon_is_the_clients_end() {
        for whole in [b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n".to_vec(), v2(0x21, 0x11, &V4)] {
            for length in 0..whole.len() {
                let (read, left) = read(&whole[..length], b"");
                assert!(read.is_err() && left == 0, "{length}");
            }
        }
    }

    #[tokio::test]
    async fn a_header_may_come_octet_by_octet() {
        for whole in [b"PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n".to_vec(), v2(0x21, 0x11, &V4)] {
            let (mut client, mut socket) = tokio::io::duplex(1);
            let sent = async {
                client.write_all(&whole).await.unwrap();
            };
            let (address, ()) = tokio::join!(client_address(&mut socket), sent);
            assert_eq!(address.unwrap(), Some("192.0.2.1:4660".parse().unwrap()));
        }
    }

    proptest! {
        /// Whatever comes, it is an address or a refusal, and no more is read than a header can have.
        #[test]
        fn nothing_breaks_it(
            start in prop_oneof![
                Just(b"PROXY ".to_vec()),
                Just(b"PROXY TCP4 ".to_vec()),
                Just(SIGNATURE.to_vec()),
                Just(v2(0x21, 0x11, &[])[..14].to_vec()),
                Just(v2(0x21, 0x21, &[])[..14].to_vec()),
                Just(Vec::new()),
            ],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let all = [start, rest].concat();
            let (_, left) = read(&all, &[0; PROXY_HEADER_BYTES_MAX]);
            prop_assert!(all.len() + PROXY_HEADER_BYTES_MAX - left <= PROXY_HEADER_BYTES_MAX);
        }

        /// And lines, which are texts.
        #[test]
        fn no_line_breaks_it(line in "[A-Z0-9]{0,8}( [0-9a-f:.]{0,20}){0,5}") {
            let _whatever = read(format!("PROXY {line}\r\n").as_bytes(), b"");
        }
    }
}
