//! Roadbed, put together.
//!
//! ```text
//!   cli ──► control ──► keeper ──► units: control, edge, stores, apps
//! ```

pub mod cli;
pub mod control {
    pub mod identity;
    pub mod wire;
}
pub mod render;
