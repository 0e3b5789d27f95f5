//! What befalls a store from outside: tampering, crashes, other processes, a full disk, the file of before.
//!
//! Some tests need another process. It is this program again, at a test that is ignored otherwise: see `child`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests start processes and change files behind the store's back"
)]

mod bench;
mod child;
mod before;
mod tampering;
mod crashes;
mod company;
mod disk;
mod adoption;
mod figures;
