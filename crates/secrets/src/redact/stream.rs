//! Output that comes in chunks, with secrets that begin in one and end in another.

use std::sync::Arc;

use super::needles::Needles;

/// One stream on its way. Holds back only what may be the beginning of a secret.
#[derive(Debug)]
pub struct Redactor {
    needles: Arc<Needles>,
    /// The end of what came in, which may go on to be a secret.
    held: Vec<u8>,
    /// So many bytes of that belong to a secret that was replaced already.
    covered: usize,
}

impl Redactor {
    pub fn new(needles: Arc<Needles>) -> Self {
        Self { needles, held: Vec::new(), covered: 0 }
    }

    /// Looks for other secrets from here on; what is held back stays.
    pub fn look_for(&mut self, needles: Arc<Needles>) {
        self.needles = needles;
    }

    /// Takes a chunk and appends to `out` what can be shown by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(chunk);
        let pending = self.needles.pending(&self.held);
        self.show(pending, out);
    }

    /// The stream ends, or pauses so long that somebody waits: whatever is held back is shown, as far as it may be.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.show(self.held.len(), out);
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Shows everything before `until`, which holds the beginnings of all ranges that are replaced.
    fn show(&mut self, until: usize, out: &mut Vec<u8>) {
        let mut shown = self.covered;
        for range in self.needles.ranges(&self.held) {
            // What begins later is found again with what follows it.
            if range.start >= until && range.start >= shown {
                break;
            }
            // It overlaps what was replaced already: one replacement stands for both.
            if range.start >= shown {
                out.extend_from_slice(&self.held[shown..range.start]);
                self.needles.replace(range.secret, out);
            }
            shown = shown.max(range.end);
        }
        if shown < until {
            out.extend_from_slice(&self.held[shown..until]);
            shown = until;
        }
        self.covered = shown - until.min(shown);
        let kept = self.held.split_off(until);
        zeroize::Zeroize::zeroize(&mut self.held);
        self.held = kept;
    }
}
