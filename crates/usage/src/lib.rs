//! Which environment variables code really reads, held against the matrix of the manifest.
//!
//! ```text
//!   files ──► extract (JavaScript, Rust, Dockerfile, …) ──► [Use] ──┐
//!                                                                   ├──► findings ──► terminal, JSON, SARIF
//!   roadbed.toml ──► matrix ────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** this crate runs no code that it reads, and writes nothing.

mod found;
pub mod javascript;
pub mod dockerfile;
pub mod compose;
pub mod workflow;
pub mod shell;
pub mod rust;
pub mod html;
mod yaml;
mod spot;
mod lines;
pub mod walk;
pub mod imports;
pub mod code;
mod scripts;
mod project_code;
mod judge;
mod finding;
mod suppression;
mod platform;
mod project;
pub mod canary;
mod browser_files;

pub use browser_files::browser_files;
pub use finding::{Finding, Id};
pub use found::{Fallback, How, Language, Name, Place, Use};
pub use judge::{Rules, judge};
pub use project::{Checked, ProjectFault, check};
pub use project_code::{AppCode, Inlined, ProjectCode, ShownPrefix};
pub use suppression::{Suppression, suppress, suppressions};

/// Uses as the tables of tests write them.
#[cfg(test)]
fn shown(uses: &[Use]) -> Vec<String> {
    let one = |used: &Use| {
        let name = match &used.name {
            Name::Exact(name) | Name::Pattern(name) => name.clone(),
            Name::Computed => "computed".to_owned(),
            Name::Whole(how) => format!("whole: {how}"),
        };
        let (before, after) = match used.how {
            How::Write => ("", " ="),
            How::Remove => ("remove ", ""),
            How::BuildInput => ("build input ", ""),
            _ => ("", ""),
        };
        let fallback = match (used.fallback, used.how) {
            (Fallback::None, _) => "",
            (Fallback::Literal, How::Write) => " a literal",
            (Fallback::Literal, _) => " or a literal",
        };
        format!("{}:{} {before}{name}{after}{fallback}", used.place.line, used.place.column)
    };
    uses.iter().map(one).collect()
}
