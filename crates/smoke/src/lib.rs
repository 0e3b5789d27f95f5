//! Whether pages are what they should be: asked for over HTTP, and rendered as a visitor's browser renders them.
//!
//! ```text
//!   plan ─► visit (status, marker, headers; TLS verified) ─► render (Chromium: text seen, no error, pictures there) ─► report
//!             │ key of the host, once its chain was verified      │ over two pipes, no port
//!             └──────────────► the only keys Chromium takes ◄─────┘
//! ```
//!
//! Chromium gets a profile of its own, reaches the hosts of the plan and nothing else, and ends with us: it is killed with all its
//! processes when a run is over or given up, and it ends by itself when our end of its pipes is closed, however we came to die.
//!
//! **Invariant:** this crate never switches the verification of a certificate off, and never reports a page as good that it has
//! not seen.

mod plan;
mod report;
mod run;
mod visit;
mod render;
mod observation;
mod devtools;
mod browser;

pub use browser::{BROWSERS, find};
pub use plan::{Header, Page, Plan, Redact, Rendering, Route, Seen};
pub use report::{Complaint, PageReport, Report, Verdict};
pub use run::{SmokeFault, run};
