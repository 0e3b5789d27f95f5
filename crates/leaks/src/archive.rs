//! What lies in archives: gzip, zlib, tar (so OCI images and their layers) and zip, one within another, within limits.

use std::io::{Cursor, Read};

use crate::decode::{self, Inflated};

/// An image saved as tar holds layers (tar, gzip) that hold files, of which one may be compressed.
const DEEPEST: usize = 4;

/// All that is unpacked of one content. A layer of an image is up to a few hundred megabytes.
const MOST_BYTES: usize = 512 << 20;

/// Names what belongs to a member: `build.tar.gz!etc/app.env`.
const WITHIN: char = '!';

/// What an archive gave up.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// Members that were read in part or not at all, with the reason.
    pub(crate) unread: Vec<String>,
    bytes: usize,
}

/// Calls `each` for everything that `content` is or holds.
pub(crate) fn visit(name: &str, content: &[u8], each: &mut dyn FnMut(&str, &[u8])) -> Unpacked {
    let mut unpacked = Unpacked::default();
    enter(name, content, DEEPEST, &mut unpacked, each);
    unpacked
}

fn enter(name: &str, content: &[u8], depth: usize, unpacked: &mut Unpacked, each: &mut dyn FnMut(&str, &[u8])) {
    let kind = kind(content);
    if kind != Kind::Plain && depth == 0 {
        unpacked.unread.push(format!("{name}: archives in archives, deeper than {DEEPEST}"));
        return;
    }
    match kind {
        Kind::Plain => each(name, content),
        Kind::Gzip | Kind::Zlib => {
            let (bytes, state) = decode::inflate(content, MOST_BYTES.saturating_sub(unpacked.bytes));
            if state == Inflated::Cut {
                if kind == Kind::Zlib {
                    // Two bytes say little: it may be anything.
                    return each(name, content);
                }
                unpacked.unread.push(format!("{name}: damaged, or larger than what is unpacked"));
            }
            unpacked.bytes += bytes.len();
            enter(&format!("{name}{WITHIN}"), &bytes, depth - 1, unpacked, each);
        }
        Kind::Tar => tar(name, content, depth, unpacked, each),
        Kind::Zip => zip(name, content, depth, unpacked, each),
    }
}

/// Whether a file that begins so must be read whole, not in pieces. Its first 512 bytes tell.
pub(crate) fn is_archive(head: &[u8]) -> bool {
    matches!(kind(head), Kind::Gzip | Kind::Tar | Kind::Zip)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Gzip,
    Zlib,
    Tar,
    Zip,
}

fn kind(content: &[u8]) -> Kind {
    match content {
        [0x1f, 0x8b, 8, ..] => Kind::Gzip,
        [b'P', b'K', 3, 4, ..] => Kind::Zip,
        _ if content.get(257..262) == Some(b"ustar") => Kind::Tar,
        // The second byte makes a multiple of 31 of both.
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Kind::Zlib,
        _ => Kind::Plain,
    }
}

fn joined(archive: &str, member: &str) -> String {
    let archive = archive.strip_suffix(WITHIN).unwrap_or(archive);
    format!("{archive}{WITHIN}{member}")
}

const BLOCK: usize = 512;

/// Members of a tar; names longer than a header are in a member of their own before it (GNU, pax).
fn tar(name: &str, content: &[u8], depth: usize, unpacked: &mut Unpacked, each: &mut dyn FnMut(&str, &[u8])) {
    let mut at = 0;
    let mut long_name = None;
    while let Some(header) = content.get(at..at + BLOCK).filter(|header| header[0] != 0) {
        let Some(size) = octal(&header[124..136]) else {
            unpacked.unread.push(format!("{name}: damaged at byte {at}"));
            return;
        };
        at += BLOCK;
        let body = &content[at.min(content.len())..at.saturating_add(size).min(content.len())];
        match header[156] {
            b'L' => long_name = Some(text(body)),
            b'x' => long_name = pax_path(body).or(long_name),
            b'0' | 0 => {
                let member = long_name.take().unwrap_or_else(|| header_name(header));
                enter(&joined(name, &member), body, depth - 1, unpacked, each);
            }
            b'2' | b'1' => {
                // A link has no body, but where it leads is text as well.
                long_name = None;
            }
            _ => {}
        }
        if body.len() < size {
            unpacked.unread.push(format!("{name}: ends in the middle of a member"));
            return;
        }
        at = at.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
}

fn header_name(header: &[u8]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A size: octal digits, or big-endian behind a set bit where octal is too short.
fn octal(field: &[u8]) -> Option<usize> {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().try_fold(0usize, |size, byte| size.checked_mul(256)?.checked_add(usize::from(*byte)));
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { usize::from_str_radix(digits, 8).ok() }
}

/// The `path` of a pax header: lines of `LENGTH KEY=VALUE`.
fn pax_path(body: &[u8]) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    body.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}

fn zip(name: &str, content: &[u8], depth: usize, unpacked: &mut Unpacked, each: &mut dyn FnMut(&str, &[u8])) {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(content)) else {
        unpacked.unread.push(format!("{name}: damaged"));
        return each(name, content);
    };
    for index in 0..archive.len() {
        let Ok(member) = archive.by_index(index) else {
            unpacked
                .unread
                .push(format!("{name}: member {index} is encrypted, damaged or of a method that is not read"));
            continue;
        };
        if member.is_dir() {
            continue;
        }
        let path = joined(name, &member.name().unwrap_or(std::borrow::Cow::Borrowed("?")));
        let packed = usize::try_from(member.compressed_size()).unwrap_or(usize::MAX);
        let most = packed.saturating_mul(decode::MOST_RATIO).max(BLOCK).min(MOST_BYTES.saturating_sub(unpacked.bytes));
        let mut bytes = Vec::new();
        let read = member.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() == most {
            unpacked.unread.push(format!("{path}: damaged, or larger than what is unpacked"));
        }
        unpacked.bytes += bytes.len();
        enter(&path, &bytes, depth - 1, unpacked, each);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, body) in members {
            let mut header = [0u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let size = format!("{:011o}", body.len());
            header[124..135].copy_from_slice(size.as_bytes());
            header[156] = b'0';
            header[257..262].copy_from_slice(b"ustar");
            tar.extend(header);
            tar.extend(*body);
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
        tar.extend([0; 2 * BLOCK]);
        tar
    }

    fn seen(name: &str, content: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let mut seen = Vec::new();
        let unpacked = visit(name, content, &mut |name, bytes| seen.push((name.to_owned(), bytes.to_vec())));
        (seen, unpacked.unread)
    }

    #[test]
    fn a_file_in_a_layer_of_an_image_is_reached() {
        let layer = gzip(&tar_of(&[("etc/app.env", b"KEY=1")]));
        let image = tar_of(&[("manifest.json", b"[]"), ("blobs/layer", &layer)]);
        let (seen, unread) = seen("image.tar", &image);
        assert_eq!(seen[1], ("image.tar!blobs/layer!etc/app.env".to_owned(), b"KEY=1".to_vec()));
        assert!(unread.is_empty(), "{unread:?}");
    }

    #[test]
    fn a_member_of_a_zip_is_reached() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("app/.env", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"KEY=1").unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(seen("a.zip", &bytes).0, [("a.zip!app/.env".to_owned(), b"KEY=1".to_vec())]);
    }

    #[test]
    fn a_bomb_and_a_cut_archive_are_told() {
        assert_eq!(seen("bomb.gz", &gzip(&vec![0; 30 << 20])).1.len(), 1);
        let tar = tar_of(&[("a", &[b'x'; 2000])]);
        assert_eq!(seen("cut.tar", &tar[..1000]).1, ["cut.tar: ends in the middle of a member"]);
        let mut nested = gzip(b"x");
        for _ in 0..6 {
            nested = gzip(&nested);
        }
        assert!(seen("deep.gz", &nested).1[0].contains("deeper than"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 0..4usize, content in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut bytes = [&[0x1f, 0x8b, 8][..], b"PK\x03\x04", &[0x78, 0x9c], b""][kind].to_vec();
            bytes.extend(&content);
            if kind == 3 && bytes.len() > 262 {
                bytes[257..262].copy_from_slice(b"ustar");
            }
            let _ = seen("x", &bytes);
        }
    }
}
