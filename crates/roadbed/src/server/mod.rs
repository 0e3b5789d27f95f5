//! An environment as a service of a server: what systemd is told, and what it starts.
//!
//! ```text
//!   systemd ── roadbed-PRODUCT-ENVIRONMENT.service ── `roadbed server run` ── launches, joins, stops in order
//!                                                          │ lifeline
//!                                                        keeper ── control, edge, stores, apps
//! ```
//!
//! The process that systemd watches keeps nothing itself: where it dies the environment goes on, and the next one joins. Where the
//! keeper dies, whoever is left starts the next, as everywhere.

pub mod made;
pub mod notify;
pub mod unit;
