//! What a proxy says at the beginning of a connection about whose it is: the header of the PROXY protocol, version 1 or 2.

use std::io;
use std::net::SocketAddr;

use ppp::v2::Command;
use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;

/// Addresses, and what senders add to them. More is nothing that we would read.
const LONGEST_REST: usize = 1024;

/// Reads it, and not a byte of what follows. Returns who is connected to the proxy; `None`: the proxy itself, for its own purposes.
///
/// # Errors
/// Where there is no header, or one that is not whole or not in order. Such a connection is of nobody.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let rest = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if rest > LONGEST_REST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        header.extend(fixed);
        let begun = header.len();
        header.resize(begun + rest, 0);
        stream.read_exact(&mut header[begun..]).await?;
    } else {
        // What follows belongs to the visitor: the line is taken byte by byte.
        while !header.ends_with(b"\r\n") && header.len() < LONGEST_LINE {
            header.push(stream.read_u8().await?);
        }
    }
    whose(&header)
}

fn whose(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let invalid = |error: Box<dyn std::error::Error + Send + Sync>| io::Error::new(io::ErrorKind::InvalidData, error);
    match HeaderResult::parse(header) {
        HeaderResult::V1(parsed) => Ok(match parsed.map_err(|error| invalid(error.into()))?.addresses {
            v1::Addresses::Tcp4(pair) => Some((pair.source_address, pair.source_port).into()),
            v1::Addresses::Tcp6(pair) => Some((pair.source_address, pair.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(parsed) => {
            let parsed = parsed.map_err(|error| invalid(error.into()))?;
            if parsed.command == Command::Local {
                return Ok(None);
            }
            Ok(match parsed.addresses {
                v2::Addresses::IPv4(pair) => Some((pair.source_address, pair.source_port).into()),
                v2::Addresses::IPv6(pair) => Some((pair.source_address, pair.source_port).into()),
                v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read, and what is left for the visitor.
    fn read_from(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let read = runtime.block_on(read(&mut rest));
        (read, rest.to_vec())
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
    }

    #[test]
    fn both_versions_say_whose_the_connection_is_and_leave_the_rest() {
        let visitor = Some("203.0.113.7:4242".parse().unwrap());
        let (read, rest) = read_from(b"PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\nGET /");
        assert_eq!((read.unwrap(), rest.as_slice()), (visitor, &b"GET /"[..]));
        let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0x10, 0x92, 0x01, 0xbb];
        let (read, rest) = read_from(&[version_2(1, 0x11, &addresses), b"GET /".to_vec()].concat());
        assert_eq!((read.unwrap(), rest.as_slice()), (visitor, &b"GET /"[..]));
        let (read, _) = read_from(b"PROXY TCP6 2001:db8::7 2001:db8::1 4242 443\r\n");
        assert_eq!(read.unwrap(), Some("[2001:db8::7]:4242".parse().unwrap()));
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(read_from(b"PROXY UNKNOWN\r\n").0.unwrap(), None);
        assert_eq!(read_from(&version_2(0, 0, &[])).0.unwrap(), None);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &b"1".repeat(200), b"\r\n"].concat();
        let huge = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 70_000]].concat();
        let cases: [&[u8]; 7] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 4242\r\n",
            b"PROXY TCP4 203.0.113.7",
            b"",
            &long,
            &huge,
        ];
        for bytes in cases {
            assert!(read_from(bytes).0.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_from(&bytes);
            let _ = read_from(&[SIGNATURE, &bytes].concat());
            let _ = read_from(&[b"PROXY TCP4 ".as_slice(), &bytes, b"\r\n"].concat());
        }
    }
}
