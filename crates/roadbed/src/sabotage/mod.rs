//! Every task's promise broken for real, so that the gate is seen to see it: a check that cannot fail proves nothing.
//!
//! ```text
//!   throw-away root ─► gate holds ─► scene ─► break ─► gate ─► exactly the scene's rows? ─► mend ─► they hold again ─► next scene
//! ```
//!
//! `roadbed ready --sabotage` plays them all, the tests play them beside their own; the scenes are here once.
//!
//! **Invariant:** nothing is broken that does not lie in a folder with the mark of a throw-away, which only whoever made it anew
//! puts there.

mod ground;
mod scene;
mod stage;
mod breaking;
mod mend;
mod judging;

pub use ground::{Ground, homes, keep, mark, root, sweep};
pub use judging::{Noticed, Row, judge, with_later};
pub use mend::Mend;
pub use scene::{Cut, SCENES, Scene};
pub use stage::{Attempt, Stage};
