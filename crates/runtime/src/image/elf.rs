//! What a program says it needs: its loader, its libraries, and where it wants them looked for. Of ELF, 64 bits, little-endian.

/// What is read of a program or library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// For which processors it is (`e_machine`).
    pub machine: u16,
    /// The loader; libraries name none.
    pub loader: Option<String>,
    pub libraries: Vec<String>,
    /// Folders to look in before the usual ones, with `$ORIGIN` as it stands.
    pub folders: Vec<String>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads parts of a file, wherever they are: big programs are not held whole.
pub trait Source {
    /// `None` where the file ends before.
    fn part(&self, at: u64, length: usize) -> Option<Vec<u8>>;
}

impl Source for [u8] {
    fn part(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let at = usize::try_from(at).ok()?;
        self.get(at..at.checked_add(length)?).map(<[u8]>::to_vec)
    }
}

impl Source for std::fs::File {
    fn part(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        std::os::unix::fs::FileExt::read_exact_at(self, &mut bytes, at).ok()?;
        Some(bytes)
    }
}

/// A path or a name is shorter; more is no program.
const MOST_TEXT: usize = 4096;
/// Programs have a dozen segments and some dozens of dynamic entries.
const MOST_SEGMENTS: u16 = 256;
const MOST_DYNAMIC: u64 = 64 * 1024;

struct Segment {
    kind: u32,
    at: u64,
    address: u64,
    length: u64,
}

/// `None`: it is no such file, or one that makes no sense.
pub fn read(source: &(impl Source + ?Sized)) -> Option<Wants> {
    let head = source.part(0, 64)?;
    if head[..4] != *b"\x7fELF" || head[4] != 2 || head[5] != 1 {
        return None;
    }
    let (table, size, count) = (u64_at(&head, 32)?, u16_at(&head, 54)?, u16_at(&head, 56)?);
    if size < 56 || count > MOST_SEGMENTS {
        return None;
    }
    let mut segments = Vec::new();
    for index in 0..u64::from(count) {
        let entry = source.part(table.checked_add(index * u64::from(size))?, 56)?;
        segments.push(Segment {
            kind: u32::from_le_bytes(entry[..4].try_into().ok()?),
            at: u64_at(&entry, 8)?,
            address: u64_at(&entry, 16)?,
            length: u64_at(&entry, 32)?,
        });
    }
    let mut wants = Wants { machine: u16_at(&head, 18)?, ..Wants::default() };
    let of_kind = |kind| segments.iter().find(|segment| segment.kind == kind);
    if let Some(loader) = of_kind(PT_INTERP) {
        wants.loader = Some(text(source, loader.at)?);
    }
    let Some(dynamic) = of_kind(PT_DYNAMIC) else { return Some(wants) };
    if dynamic.length > MOST_DYNAMIC {
        return None;
    }
    let entries = source.part(dynamic.at, usize::try_from(dynamic.length).ok()?)?;
    let entries: Vec<(u64, u64)> = entries
        .as_chunks::<16>()
        .0
        .iter()
        .filter_map(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let Some((_, address)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Some(wants) };
    // Its place is given as it is in memory.
    let strings = segments.iter().filter(|segment| segment.kind == PT_LOAD).find_map(|segment| {
        let within = address.checked_sub(segment.address).filter(|within| *within < segment.length)?;
        segment.at.checked_add(within)
    })?;
    for (tag, offset) in entries {
        if !matches!(tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
            continue;
        }
        let text = text(source, strings.checked_add(offset)?)?;
        if tag == DT_NEEDED {
            wants.libraries.push(text);
        } else {
            wants.folders.extend(text.split(':').filter(|folder| !folder.is_empty()).map(str::to_owned));
        }
    }
    Some(wants)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The text that begins there and ends with a zero.
fn text(source: &(impl Source + ?Sized), at: u64) -> Option<String> {
    const PIECE: usize = 64;
    let mut bytes = Vec::new();
    while bytes.len() < MOST_TEXT {
        let from = at.checked_add(bytes.len() as u64)?;
        // The last text of a file may be closer to its end than a piece is long.
        let piece = (1..=PIECE).rev().find_map(|length| source.part(from, length))?;
        let end = piece.iter().position(|byte| *byte == 0);
        bytes.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
        if end.is_some() {
            return String::from_utf8(bytes).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_very_program_says_its_loader_and_that_it_needs_the_c_library() {
        let own = host::files::open(&std::env::current_exe().unwrap()).unwrap();
        let wants = read(&own).unwrap();
        assert!(wants.loader.as_ref().is_some_and(|loader| loader.contains("ld-linux")), "{wants:?}");
        assert!(wants.libraries.iter().any(|library| library == "libc.so.6"), "{wants:?}");
    }

    #[test]
    fn what_is_no_program_is_none() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/node\n", &[0; 64]] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(seed in any::<u64>(), changes in prop::collection::vec((0_usize..4096, any::<u8>()), 1..60)) {
            let own = host::files::open(&std::env::current_exe().unwrap()).unwrap();
            let mut bytes = own.part(0, 4096).unwrap();
            let shift = usize::try_from(seed % 8).unwrap();
            changes.iter().for_each(|(at, byte)| bytes[(at >> shift) % 4096] = *byte);
            let _ = read(bytes.as_slice());
        }
    }
}
