//! No more bytes a second than are wished.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock};

/// So much goes at once: a tenth of a second of ten megabits.
const PIECE: usize = 64 << 10;

/// Shared by all that is written to one repository.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bytes_per_second: Option<u64>,
    /// When the next piece may go.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn of(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second: bytes_per_second.filter(|rate| *rate > 0), next: Mutex::default() }
    }

    /// Returns when so many bytes may go.
    pub(crate) fn wait(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else { return };
        let takes = Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / rate.max(1) as f64);
        let now = SystemClock.instant();
        let begins = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            // What was not used is not saved up.
            let begins = next.map_or(now, |next| next.max(now));
            *next = Some(begins + takes);
            begins
        };
        std::thread::sleep((begins + takes).saturating_duration_since(now));
    }

    /// Content that goes piece by piece.
    pub(crate) fn pieces<'p>(&'p self, content: &'p [u8]) -> Pieces<'p> {
        Pieces { pace: self, rest: content }
    }
}

pub(crate) struct Pieces<'p> {
    pace: &'p Pace,
    rest: &'p [u8],
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.rest.len().min(into.len()).min(PIECE);
        self.pace.wait(length);
        let (piece, rest) = self.rest.split_at(length);
        into[..length].copy_from_slice(piece);
        self.rest = rest;
        Ok(length)
    }
}

impl<'p> Iterator for Pieces<'p> {
    type Item = &'p [u8];

    /// The next piece, when it may go.
    fn next(&mut self) -> Option<&'p [u8]> {
        let (piece, rest) = self.rest.split_at(self.rest.len().min(PIECE / 2));
        self.rest = rest;
        self.pace.wait(piece.len());
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_of_it_and_wait_their_time() {
        let pace = Pace::of(Some(1 << 20));
        let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let began = SystemClock.instant();
        let all: Vec<u8> = pace.pieces(&content).flatten().copied().collect();
        assert_eq!(all, content);
        // Never faster; how much slower is the machine's business.
        assert!(began.elapsed() >= Duration::from_millis(190));
        let mut read = Vec::new();
        Pace::default().pieces(&content).read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
    }
}
