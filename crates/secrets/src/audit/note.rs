//! What is noted beside what is done with the store: who logged in, who was lent what, and that it was taken back.

use super::Action;

/// Somebody's doing, by a way that is not the store's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub actor: String,
    /// By which way: `login`, `env exec`, `db shell`, `control`.
    pub via: String,
    pub action: Action,
    /// What it is about: a lease, a person, a secret.
    pub name: String,
    /// The version, where it is about a secret.
    pub version: Option<u32>,
    /// Why, in the person's own words.
    pub reason: String,
    /// From where: machine, user, process.
    pub origin: String,
    /// For how long, and what else there is to say.
    pub details: String,
}
