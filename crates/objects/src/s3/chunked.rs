//! `aws-chunked`: a payload in pieces, each perhaps signed, and headers behind it.

use aws_lc_rs::digest;
use bytes::{Buf, Bytes, BytesMut};
use sigv4::ChunkSigner;

use crate::store::hex;

/// Bytes of a line: a size and a signature, or a header.
const LINE: usize = 1024;

/// Headers behind a payload.
const TRAILERS: usize = 16;

/// How chunks come.
#[derive(Debug)]
pub enum Signing {
    Unsigned,
    Signed(Box<ChunkSigner>),
}

/// Why a payload is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a line of the chunked payload is no chunk's, or too long")]
    Line,
    #[error("a chunk does not end where it says")]
    End,
    #[error("a chunk's signature is not the right one")]
    Signature,
    #[error("there is more behind the end of the payload")]
    More,
    #[error("the payload is cut off")]
    Cut,
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Line,
    Data(u64),
    DataEnd,
    Trailers,
    Over,
}

/// Reads a payload as it comes.
pub struct Decoder {
    buffer: BytesMut,
    at: At,
    signing: Signing,
    /// Of the chunk that is being read, with the signature that it came with.
    chunk: Option<(digest::Context, String)>,
    has_trailers: bool,
    trailers: Vec<(String, String)>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("at", &self.at).field("signing", &self.signing).finish_non_exhaustive()
    }
}

impl Decoder {
    pub fn new(signing: Signing, has_trailers: bool) -> Self {
        Self { buffer: BytesMut::new(), at: At::Line, signing, chunk: None, has_trailers, trailers: Vec::new() }
    }

    /// Takes bytes of the wire, and gives what of them is content to `sink`.
    ///
    /// # Errors
    /// Where they are none of a chunked payload, or `sink` fails.
    pub fn feed<F: From<Broken>>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), F>,
    ) -> Result<(), F> {
        self.buffer.extend_from_slice(bytes);
        loop {
            match self.at {
                At::Line => {
                    let Some(line) = self.line()? else { return Ok(()) };
                    self.begin(&line)?;
                }
                At::Data(0) => {
                    self.end_chunk()?;
                    self.at = At::DataEnd;
                }
                At::Data(left) => {
                    if self.buffer.is_empty() {
                        return Ok(());
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                    let content = self.buffer.split_to(length);
                    if let Some((context, _)) = &mut self.chunk {
                        context.update(&content);
                    }
                    sink(&content)?;
                    self.at = At::Data(left - length as u64);
                }
                At::DataEnd => {
                    if self.buffer.len() < 2 {
                        return Ok(());
                    }
                    if &self.buffer[..2] != b"\r\n" {
                        return Err(Broken::End.into());
                    }
                    self.buffer.advance(2);
                    self.at = At::Line;
                }
                At::Trailers => {
                    let Some(line) = self.line()? else { return Ok(()) };
                    self.trailer(&line)?;
                }
                At::Over if self.buffer.is_empty() => return Ok(()),
                At::Over => return Err(Broken::More.into()),
            }
        }
    }

    /// A line without its end, when all of it has come.
    fn line(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(end) = self.buffer.windows(2).take(LINE).position(|two| two == b"\r\n") else {
            return if self.buffer.len() > LINE { Err(Broken::Line) } else { Ok(None) };
        };
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(2);
        Ok(Some(line))
    }

    fn begin(&mut self, line: &[u8]) -> Result<(), Broken> {
        let line = std::str::from_utf8(line).map_err(|_| Broken::Line)?;
        let (size, rest) = line.split_once(';').unwrap_or((line, ""));
        let is_hex = !size.is_empty() && size.len() <= 15 && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| is_hex).ok_or(Broken::Line)?;
        self.chunk = match &self.signing {
            Signing::Unsigned if rest.is_empty() => None,
            Signing::Unsigned => return Err(Broken::Line),
            Signing::Signed(_) => {
                let signature = rest.strip_prefix("chunk-signature=").ok_or(Broken::Signature)?;
                Some((digest::Context::new(&digest::SHA256), signature.to_owned()))
            }
        };
        if size > 0 {
            self.at = At::Data(size);
            return Ok(());
        }
        self.end_chunk()?;
        self.at = At::Trailers;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), Broken> {
        let (Some((context, signature)), Signing::Signed(signer)) = (self.chunk.take(), &mut self.signing) else {
            return Ok(());
        };
        let is_right = signer.accepts(&hex(context.finish().as_ref()), &signature);
        if is_right { Ok(()) } else { Err(Broken::Signature) }
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Broken> {
        if line.is_empty() {
            if let (true, Signing::Signed(signer)) = (self.has_trailers, &mut self.signing) {
                let last = self.trailers.pop().filter(|(name, _)| name == "x-amz-trailer-signature");
                let (_, signature) = last.ok_or(Broken::Signature)?;
                let lines: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
                if !signer.accepts_trailer(&lines, &signature) {
                    return Err(Broken::Signature);
                }
            }
            self.at = At::Over;
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| Broken::Line)?;
        // Some clients end the value with a line feed of its own.
        let (name, value) = line.trim_end_matches('\n').split_once(':').ok_or(Broken::Line)?;
        if !self.has_trailers || self.trailers.len() == TRAILERS {
            return Err(Broken::Line);
        }
        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    /// What came behind the payload, when all of it has come.
    ///
    /// # Errors
    /// Where it has not.
    pub fn finish(self) -> Result<Vec<(String, String)>, Broken> {
        if self.at == At::Over { Ok(self.trailers) } else { Err(Broken::Cut) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (Vec<u8>, Vec<(String, String)>);

    fn decode(wire: &[u8], step: usize, has_trailers: bool) -> Result<Decoded, Broken> {
        let (mut decoder, mut content) = (Decoder::new(Signing::Unsigned, has_trailers), Vec::new());
        for piece in wire.chunks(step.max(1)) {
            decoder.feed(piece, |bytes| {
                content.extend_from_slice(bytes);
                Ok::<_, Broken>(())
            })?;
        }
        Ok((content, decoder.finish()?))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_whatever_pieces_it_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..5), step in 1_usize..40
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            let whole = wire.len();
            wire.extend(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
            let (content, trailers) = decode(&wire, step, true).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]);
            prop_assert_eq!(decode(&wire[..whole], step, true), Err(Broken::Cut));
            wire.push(b'x');
            prop_assert_eq!(decode(&wire, step, true), Err(Broken::More));
        }

        #[test]
        fn nothing_makes_the_reader_panic(wire in prop::collection::vec(any::<u8>(), 0..80), step in 1_usize..9) {
            let _ = decode(&wire, step, true);
            let _ = decode(&[b"5;chunk-signature=a\r\n", &wire[..]].concat(), step, false);
        }
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        assert_eq!(decode(&[b'0'; 2 * LINE], 100, false), Err(Broken::Line));
        assert_eq!(decode(b"-5\r\n", 100, false), Err(Broken::Line));
        assert_eq!(decode(b"5\r\nabcdefg", 100, false), Err(Broken::End));
        assert_eq!(decode(b"0\r\na:b\r\n\r\n", 100, false), Err(Broken::Line), "trailers that nobody announced");
    }
}
