//! Moving an environment that runs to another program of Roadbed, role by role, while visitors notice nothing.
//!
//! ```text
//!   kept in the root ─► can it read the state? ─► noted ─► keeper becomes it ─► control anew ─► edge follows edge ─► current
//!                                                   │            one of them does not come up: all go back
//!                                                   └── killed in between: control carries on, by the note
//! ```

pub mod course;
pub mod note;
pub mod readable;
