//! Objects unpacked a moment ago, for those that are stored as differences to them.

use gix_object::Kind;

/// Objects that others are differences to. A pack lies so that neighbours need the same ones.
#[derive(Debug)]
pub(crate) struct RecentObjects {
    slots: Vec<Option<Recent>>,
}

#[derive(Debug)]
struct Recent {
    place: (u32, u64),
    kind: Kind,
    compressed: usize,
    bytes: Vec<u8>,
}

/// As many as git's own cache holds of small files, in at most 128 MiB.
const SLOTS: usize = 1024;
const LARGEST: usize = 128 << 10;

impl Default for RecentObjects {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| None).collect() }
    }
}

fn slot(pack: u32, offset: u64) -> usize {
    let mixed = (offset ^ u64::from(pack) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 54).expect("ten bits")
}

impl gix_odb::pack::cache::DecodeEntry for RecentObjects {
    fn put(&mut self, pack: u32, offset: u64, data: &[u8], kind: Kind, compressed: usize) {
        if data.len() <= LARGEST {
            let mut bytes = self.slots[slot(pack, offset)].take().map(|recent| recent.bytes).unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(data);
            self.slots[slot(pack, offset)] = Some(Recent { place: (pack, offset), kind, compressed, bytes });
        }
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let recent = self.slots[slot(pack, offset)].as_ref().filter(|recent| recent.place == (pack, offset))?;
        out.clear();
        out.extend_from_slice(&recent.bytes);
        Some((recent.kind, recent.compressed))
    }
}
