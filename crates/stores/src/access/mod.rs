//! Who may do what to whose data: each kind of credential against each operation, and the answer that follows from the rights
//! that we set. Nothing here is typed twice: the answers are worked out from the roles and the rules that go to the servers.
//!
//! ```text
//!   mongo: roles, own_users ─► access::mongodb ─┐                    ┌─► page         the table in docs/infra/environments.md
//!   redis: acl ──────────────► access::redis ───┴─ operation × kind ─┴─► checks::cells  every cell tried at the living servers
//! ```
//!
//! **Invariant:** no operation changes anything that is somebody's, allowed or not: it aims at what nobody has, or at a document or
//! key of its own that it takes away again; and what would empty or stop a server is asked in words that the server cannot follow,
//! which it says only to those whom it would let.

pub(crate) mod mongodb;
pub(crate) mod redis;
mod page;

pub use page::page;

/// Whose data an operation is about, within one environment's own server. At another environment's every operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// What the apps of this environment keep.
    Own,
    /// What else the same server could hold.
    Other,
    /// The server's own: users, settings, state.
    Server,
}

impl Whose {
    pub(crate) const ALL: [Self; 3] = [Self::Own, Self::Other, Self::Server];
}
