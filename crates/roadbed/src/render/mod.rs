//! How things look: lines of text from plain values, nothing printed here.

pub mod backup;
pub mod deployment;
pub mod diagnostic;
pub mod environment;
pub mod fault;
pub mod finding;
pub mod gate;
pub mod gate_reports;
pub mod sabotage;
pub mod smoke;
pub mod leak;
pub mod log;
pub mod paint;
pub mod progress;
pub mod reach;
pub mod sarif;
pub mod span;
pub mod statistics;
pub mod table;
