//! Where one frame of a WebSocket ends and the next begins (RFC 6455, 5.2), so that the edge can say goodbye between two of them.
//!
//! What is in a frame is nobody's business here: extensions may compress it, and messages may be split.

use aws_lc_rs::digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;

/// The protocol's name, wherever one is named.
pub const NAME: &str = "websocket";

/// What a server adds to a visitor's key (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A close frame as a server sends it: 1012, the service restarts. Clients that see it come back, instead of taking a connection
/// that was cut for a network that is gone.
pub const SERVICE_RESTARTS: [u8; 4] = [0x88, 2, 0x03, 0xf4];

const CLOSE: u8 = 8;

/// Whether a tunnel is one of WebSockets, by what the app answered.
pub fn is_spoken(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().eq_ignore_ascii_case(NAME.as_bytes())
}

pub fn name() -> HeaderValue {
    HeaderValue::from_static(NAME)
}

/// The proof that a visitor's key was read by somebody who speaks the protocol. It keeps no secret.
pub fn accept(key: &[u8]) -> HeaderValue {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    HeaderValue::from_str(&BASE64_STANDARD.encode(digest)).expect("base64 is fit for a header")
}

/// Follows what one side sends, in whatever pieces it comes.
#[derive(Debug, Default)]
pub struct Frames {
    /// What is known of the frame's beginning.
    head: [u8; 10],
    known: usize,
    /// Of the frame, once its beginning is known.
    left: u64,
    is_closed: bool,
}

impl Frames {
    /// Nothing of a frame has been sent whose rest has not.
    pub fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0
    }

    /// The last frame of this side is over: after it nothing may come.
    pub fn is_closed(&self) -> bool {
        self.is_closed && self.is_between()
    }

    /// These bytes pass.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.pass_to_end(bytes)..];
        }
    }

    /// As [`Frames::pass`], but no further than to the end of a frame. Says how many bytes that are.
    pub fn pass_to_end(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            if self.left == 0 {
                self.head[self.known] = bytes[passed];
                self.known += 1;
                passed += 1;
                if let Some(left) = self.length() {
                    self.is_closed |= self.head[0] & 0x0f == CLOSE;
                    (self.known, self.left) = (0, left);
                }
            } else {
                let rest = bytes.len() - passed;
                let of_frame = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                self.left -= of_frame as u64;
                passed += of_frame;
            }
            if self.is_between() {
                break;
            }
        }
        passed
    }

    /// How many bytes follow, the key of a mask among them; `None` while that is not known.
    fn length(&self) -> Option<u64> {
        let head = &self.head[..self.known];
        let second = *head.get(1)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
            127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
            short => u64::from(short),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        Some(length.saturating_add(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of every kind of length, and where each ends.
    fn sent() -> (Vec<u8>, Vec<usize>) {
        let long = |head: &[u8], payload: usize| [head, &vec![0x88; payload]].concat();
        let frames = [
            long(&[0x81, 5], 5),
            long(&[0x82, 0], 0),
            long(&[0x01, 126, 0x01, 0x00], 256),
            long(&[0x89, 0x85, 1, 2, 3, 4], 5),
            long(&[0xc2, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            long(&[0x88, 2], 2),
        ];
        let ends = frames.iter().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        });
        (frames.concat(), ends.collect())
    }

    #[test]
    fn the_proof_is_the_one_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn ends_are_found_in_whatever_pieces_frames_come() {
        let (bytes, ends) = sent();
        for piece in [1, 2, 3, 7, 100, 4096, bytes.len()] {
            let (mut frames, mut at) = (Frames::default(), 0);
            for bytes in bytes.chunks(piece) {
                frames.pass(bytes);
                at += bytes.len();
                assert_eq!(frames.is_between(), ends.contains(&at), "after {at} bytes, {piece} at a time");
                assert_eq!(frames.is_closed(), at == *ends.last().unwrap());
            }
        }
    }

    #[test]
    fn who_stops_at_the_end_of_a_frame_has_passed_no_byte_of_the_next() {
        let (bytes, ends) = sent();
        let (mut frames, mut at) = (Frames::default(), 0);
        for end in ends {
            at += frames.pass_to_end(&bytes[at..]);
            assert_eq!((at, frames.is_between()), (end, true));
        }
        assert!(frames.is_closed());
        assert_eq!(frames.pass_to_end(&[]), 0);
    }

    #[test]
    fn a_length_beyond_all_bounds_is_waited_for_and_not_counted_over() {
        let mut frames = Frames::default();
        frames.pass(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert!(!frames.is_between());
    }
}
