//! A day that nobody writes to any more, in an eighth of the room.
//!
//! ```text
//!   [what is in the block][block of lines] [what is in the block][block of lines] …
//!    skippable frame       zstd frame
//! ```
//!
//! `zstdcat` shows the lines as NDJSON. What is in a block (times, ids) stands before it, so that most blocks are passed over unread.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use host::clock::Timestamp;

use super::filter::Filter;
use super::record::Record;

/// So many lines are packed together: more would be smaller, and slower to look into.
pub(crate) const LINES: usize = 1_000;

/// As the format of zstd says: such a frame is passed over by everybody who does not know what is in it.
const SKIPPABLE: u32 = 0x184D_2A5B;

/// Of a block's description before its bloom filter: first and last time, length of the block, lines.
const FIXED: usize = 8 + 8 + 4 + 4;

/// Ids in a block: one of a request and one of a trace for each line, ten bits each, so that one question of a hundred is in vain.
const BLOOM: usize = LINES * 2 * 10 / 8;

/// Hashes of an id.
const HASHES: u64 = 5;

/// Nobody but a damaged file has larger blocks: a thousand lines of the longest.
const LARGEST: u32 = 256 * 1024 * 1024;

/// Writes lines as blocks.
#[derive(Debug)]
pub(crate) struct Packer<W> {
    to: W,
    text: Vec<u8>,
    bloom: Vec<u8>,
    times: (i64, i64),
    lines: u32,
}

impl<W: Write> Packer<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, text: Vec::new(), bloom: vec![0; BLOOM], times: (i64::MAX, i64::MIN), lines: 0 }
    }

    pub(crate) fn push(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.text, record)?;
        self.text.push(b'\n');
        let millis = record.time.unix_millis();
        self.times = (self.times.0.min(millis), self.times.1.max(millis));
        for id in [&record.request_id, &record.trace_id].into_iter().flatten() {
            bits(id).for_each(|bit| self.bloom[bit / 8] |= 1 << (bit % 8));
        }
        self.lines += 1;
        if self.lines as usize >= LINES || self.text.len() > LARGEST as usize / 4 { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.lines == 0 {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&self.text, 3)?;
        let size = |length: usize| u32::try_from(length).map_err(|_| io::Error::other("a block is too large"));
        self.to.write_all(&SKIPPABLE.to_le_bytes())?;
        self.to.write_all(&size(FIXED + BLOOM)?.to_le_bytes())?;
        self.to.write_all(&self.times.0.to_le_bytes())?;
        self.to.write_all(&self.times.1.to_le_bytes())?;
        self.to.write_all(&size(packed.len())?.to_le_bytes())?;
        self.to.write_all(&self.lines.to_le_bytes())?;
        self.to.write_all(&self.bloom)?;
        self.to.write_all(&packed)?;
        self.text.clear();
        self.bloom.fill(0);
        (self.times, self.lines) = ((i64::MAX, i64::MIN), 0);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        Ok(self.to)
    }
}

/// Where a block lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    at: u64,
    length: u32,
    last: i64,
    lines: u32,
}

/// The blocks that may have such lines, the latest first.
pub(crate) fn blocks(file: &mut File, filter: &Filter) -> io::Result<Vec<Block>> {
    let total = file.seek(SeekFrom::End(0))?;
    let (mut at, mut found, mut head) = (0, Vec::new(), vec![0; 8 + FIXED + BLOOM]);
    while at < total {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let number = |from: usize| u32::from_le_bytes(head[from..from + 4].try_into().expect("four bytes"));
        let time = |from: usize| i64::from_le_bytes(head[from..from + 8].try_into().expect("eight bytes"));
        let length = number(24);
        if number(0) != SKIPPABLE || number(4) as usize != FIXED + BLOOM || length > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a block does not begin like one"));
        }
        let (first, last) = (time(8), time(16));
        let bloom = &head[8 + FIXED..];
        let has = |id: &Option<String>| {
            id.as_ref().is_none_or(|id| bits(id).all(|bit| bloom[bit / 8] & (1 << (bit % 8)) != 0))
        };
        let is_in_time = filter.since.is_none_or(|since| last >= since.unix_millis())
            && filter.until.is_none_or(|until| first <= until.unix_millis());
        at += head.len() as u64;
        if is_in_time && has(&filter.request) && has(&filter.trace) {
            found.push(Block { at, length, last, lines: number(28) });
        }
        at += u64::from(length);
    }
    found.sort_by_key(|block| std::cmp::Reverse((block.last, block.at)));
    Ok(found)
}

impl Block {
    /// Its lines, in the order in which they were written.
    pub(crate) fn records(self, file: &mut File) -> io::Result<Vec<Record>> {
        file.seek(SeekFrom::Start(self.at))?;
        let mut reader = zstd::stream::read::Decoder::new(file.take(u64::from(self.length)))?;
        let mut text = String::new();
        reader.by_ref().take(u64::from(LARGEST)).read_to_string(&mut text)?;
        let records = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        records.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Nothing in it is later.
    pub(crate) fn last(self) -> Timestamp {
        Timestamp::from_unix_millis(self.last)
    }
}

/// How many lines are in a packed day.
pub(crate) fn count(file: &mut File) -> io::Result<u64> {
    Ok(blocks(file, &Filter::default())?.into_iter().map(|block| u64::from(block.lines)).sum())
}

/// The places of an id in a bloom filter.
fn bits(id: &str) -> impl Iterator<Item = usize> {
    // FNV-1a, its halves as two hashes: what it is for is no secret, and a crate would be larger than these lines.
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let (one, two) = (hash >> 32, (hash & 0xffff_ffff) | 1);
    (0..HASHES).map(move |n| {
        usize::try_from(one.wrapping_add(n.wrapping_mul(two)) % (BLOOM as u64 * 8)).expect("a bit of the filter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::record::Source;

    fn record(n: i64) -> Record {
        Record {
            time: Timestamp::from_unix_millis(n),
            source: Source { unit: "api-1".into(), stream: "out".into(), ..Source::default() },
            level: None,
            request_id: Some(format!("request-{n}")),
            trace_id: None,
            span_id: None,
            line: format!("line {n}"),
        }
    }

    #[test]
    fn most_blocks_are_passed_over_and_everybody_can_unpack_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.zst");
        let mut packer = Packer::new(Vec::new());
        (0..4500).for_each(|n| packer.push(&record(n)).unwrap());
        let bytes = packer.finish().unwrap();
        host::files::write(&path, &bytes, host::files::Access::Owner).unwrap();
        let mut file = host::files::open(&path).unwrap();
        assert_eq!(blocks(&mut file, &Filter::default()).unwrap().len(), 5);
        assert_eq!(count(&mut file).unwrap(), 4500);
        let filter = Filter { request: Some("request-3210".into()), ..Filter::default() };
        let found = blocks(&mut file, &filter).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].records(&mut file).unwrap().contains(&record(3210)));
        let filter = Filter { since: Some(Timestamp::from_unix_millis(4000)), ..Filter::default() };
        assert_eq!(blocks(&mut file, &filter).unwrap().len(), 1);
        let plain = zstd::stream::decode_all(bytes.as_slice()).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap().lines().count(), 4500);

        host::files::write(&path, &bytes[..bytes.len() / 2], host::files::Access::Owner).unwrap();
        let mut file = host::files::open(&path).unwrap();
        let damaged = blocks(&mut file, &Filter::default()).and_then(|blocks| blocks[0].records(&mut file).map(drop));
        assert!(damaged.is_err());
    }
}
