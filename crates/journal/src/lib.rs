//! The journal: what was begun and what ended, written before each effect.
//!
//! **Invariant:** only [`Journal::begin`] makes a [`Begun`], and every effect takes one, so that no effect happens unrecorded.

/// Proof that a step is in the journal.
#[derive(Debug)]
pub struct Begun {
    id: i64,
}

impl Begun {
    pub fn id(&self) -> i64 {
        self.id
    }
}
