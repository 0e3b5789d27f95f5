//! What befalls a store from outside: tampering, crashes, other processes, a full disk, the file of before.
//!
//! Some tests need another process. It is this program again, at a test that is ignored otherwise: see `child`.

mod bench;
mod child;
mod before;
mod tampering;
mod crashes;
mod company;
mod disk;
mod adoption;
