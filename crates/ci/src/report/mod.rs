//! What a run came to, for those who read it elsewhere: JUnit XML for code hosts, Markdown for a job's summary.

mod junit;
mod summary;

pub use junit::junit;
pub use summary::summary;
