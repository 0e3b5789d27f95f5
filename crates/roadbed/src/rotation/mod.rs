//! Rotation: versions of values and ordinary convergence, and nothing that would have to be resumed.
//!
//! ```text
//!   staged ─► servers and key sets know it ─► promoted ─► instances replaced, one by one ─► nobody holds the old one ─► retired
//! ```
//!
//! The next step follows from what is: which versions there are, whether the world is as they want it, who still holds an old
//! one, and what time it is. Whoever is killed anywhere looks again and goes on.
//!
//! **Invariant:** a version that an instance holds is let in by every server.

pub mod subject;
pub mod next;
pub mod due;
pub mod keeping;

pub use due::{Due, due};
pub use next::{Asked, Move, Seen, Settled, next};
pub use subject::{Behind, Subject, subjects};
