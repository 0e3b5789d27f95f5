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

/// Headers and bodies of a tar begin at multiples of it.
const BLOCK: usize = 512;

/// Whatever has a body: files of every kind, extensions of who made it.
fn tar(name: &str, content: &[u8], depth: usize, unpacked: &mut Unpacked, each: &mut dyn FnMut(&str, &[u8])) {
    let mut archive = tar::Archive::new(Cursor::new(content));
    // What was appended to an archive that had ended is behind blocks of zeros.
    archive.set_ignore_zeros(true);
    let mut at = 0;
    for member in archive.entries_with_seek().into_iter().flatten() {
        let Ok(mut member) = member else {
            let rest = &content[at..];
            if rest.iter().any(|byte| *byte != 0) {
                unpacked.unread.push(format!("{name}: damaged behind byte {at}"));
                each(name, rest);
            }
            return;
        };
        let path = joined(name, &String::from_utf8_lossy(&member.path_bytes()));
        if member.header().entry_type().is_gnu_sparse() {
            // Its gaps are not in the archive: it may be of any size.
            let stored = member.header().entry_size().unwrap_or_default();
            at = content.len().min(place(member.raw_file_position()));
            let bytes = within_limits(&path, place(stored), &mut member, unpacked);
            enter(&path, &bytes, depth - 1, unpacked, each);
            continue;
        }
        let (start, size) = (content.len().min(place(member.raw_file_position())), place(member.size()));
        let body = &content[start..content.len().min(start.saturating_add(size))];
        if !body.is_empty() {
            enter(&path, body, depth - 1, unpacked, each);
        }
        if body.len() < size {
            unpacked.unread.push(format!("{name}: ends in the middle of a member"));
            return;
        }
        at = content.len().min(start + size.next_multiple_of(BLOCK));
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What a member of `packed` bytes holds, as far as it is unpacked.
fn within_limits(path: &str, packed: usize, member: &mut impl Read, unpacked: &mut Unpacked) -> Vec<u8> {
    let most = packed.saturating_mul(decode::MOST_RATIO).max(BLOCK).min(MOST_BYTES.saturating_sub(unpacked.bytes));
    let mut bytes = Vec::new();
    let read = member.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() == most {
        unpacked.unread.push(format!("{path}: damaged, or larger than what is unpacked"));
    }
    unpacked.bytes += bytes.len();
    bytes
}

fn zip(name: &str, content: &[u8], depth: usize, unpacked: &mut Unpacked, each: &mut dyn FnMut(&str, &[u8])) {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(content)) else {
        unpacked.unread.push(format!("{name}: damaged"));
        return each(name, content);
    };
    for index in 0..archive.len() {
        let Ok(mut member) = archive.by_index(index) else {
            unpacked
                .unread
                .push(format!("{name}: member {index} is encrypted, damaged or of a method that is not read"));
            continue;
        };
        if member.is_dir() {
            continue;
        }
        let path = joined(name, &member.name().unwrap_or(std::borrow::Cow::Borrowed("?")));
        let packed = place(member.compressed_size());
        let bytes = within_limits(&path, packed, &mut member, unpacked);
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
        let mut tar = tar::Builder::new(Vec::new());
        for (name, body) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(u64::try_from(body.len()).unwrap());
            tar.append_data(&mut header, name, *body).unwrap();
        }
        tar.into_inner().unwrap()
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

    #[test]
    fn a_member_of_a_tar_is_reached_whatever_its_kind_and_name() {
        let long = format!("deep/{}/app.env", "x".repeat(200));
        let mut tar = tar::Builder::new(Vec::new());
        let mut gnu = tar::Header::new_gnu();
        gnu.set_size(5);
        tar.append_data(&mut gnu, &long, &b"KEY=1"[..]).unwrap();
        tar.append_pax_extensions([("path", b"by/pax.env".as_slice()), ("size", b"5")]).unwrap();
        let mut ustar = tar::Header::new_ustar();
        ustar.set_path("short").unwrap();
        ustar.set_entry_type(tar::EntryType::Continuous);
        ustar.set_size(0);
        ustar.set_cksum();
        tar.append(&ustar, &b"KEY=2"[..]).unwrap();
        // Somebody appended one archive to another.
        let both = [tar.into_inner().unwrap(), tar_of(&[("c", b"KEY=3")])].concat();
        let (seen, unread) = seen("a.tar", &both);
        let expected = [
            (format!("a.tar!{long}"), "KEY=1"),
            ("a.tar!by/pax.env".to_owned(), "KEY=2"),
            ("a.tar!c".to_owned(), "KEY=3"),
        ];
        assert_eq!(seen, expected.map(|(name, body)| (name, body.as_bytes().to_vec())));
        assert!(unread.is_empty(), "{unread:?}");
    }

    #[test]
    fn a_damaged_header_is_told_and_what_is_behind_it_is_searched() {
        let mut tar = tar_of(&[("a", b"KEY=1"), ("b", b"KEY=2")]);
        tar[2 * BLOCK] ^= 1;
        let (seen, unread) = seen("a.tar", &tar);
        assert_eq!(seen[0], ("a.tar!a".to_owned(), b"KEY=1".to_vec()));
        assert!(seen[1].0 == "a.tar" && seen[1].1.windows(5).any(|bytes| bytes == b"KEY=2"), "{seen:?}");
        assert_eq!(unread, ["a.tar: damaged behind byte 1024"]);
    }

    #[test]
    fn gaps_of_a_sparse_file_are_no_bomb() {
        let mut header = tar::Header::new_gnu();
        header.set_path("sparse").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(512);
        let real = 1_u64 << 40;
        let gnu = header.as_gnu_mut().unwrap();
        let octal = |field: &mut [u8; 12], number: u64| {
            field[0] = 0x80;
            field[4..].copy_from_slice(&number.to_be_bytes());
        };
        octal(&mut gnu.sparse[0].offset, real - 512);
        octal(&mut gnu.sparse[0].numbytes, 512);
        octal(&mut gnu.realsize, real);
        header.set_cksum();
        let tar = [header.as_bytes().as_slice(), &[b'x'; 512], &[0; 1024]].concat();
        let (seen, unread) = seen("a.tar", &tar);
        assert!(seen.iter().all(|(_, bytes)| bytes.len() <= 512 * decode::MOST_RATIO));
        assert_eq!(unread, ["a.tar!sparse: damaged, or larger than what is unpacked"]);
    }

    proptest! {
        #[test]
        fn a_damaged_tar_is_never_silent(at in 0..1024usize, bit in 0..8u8, cut in 0..3000usize) {
            let whole = tar_of(&[("a", b"KEY=1"), ("b", b"KEY=2")]);
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            damaged.truncate(cut.max(at + 1));
            let (seen, unread) = seen("a.tar", &damaged);
            let text = seen.iter().flat_map(|(_, bytes)| bytes).copied().collect::<Vec<_>>();
            let is_there = |what: &[u8]| memchr::memmem::find(&text, what).is_some();
            prop_assert!(!unread.is_empty() || [&b"KEY=1"[..], b"KEY=2"].iter().all(|key| {
                is_there(key) || memchr::memmem::find(&damaged, key).is_none()
            }), "{seen:?}");
        }

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
