//! Listening sockets that were handed to this process at its start, in systemd's way: descriptors from 3 on, their number in
//! `LISTEN_FDS`, their names in `LISTEN_FDNAMES`.

use std::env;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;

use crate::process::spawn::FIRST_INHERITED;

/// Handed-over sockets that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum InheritFault {
    #[error("LISTEN_FDS is {0:?}, which is not a number of sockets")]
    NotANumber(String),
    #[error("LISTEN_FDNAMES has {names} names for {sockets} sockets")]
    Names { names: usize, sockets: usize },
    #[error("descriptor {descriptor}, handed over as {name:?}, is not a listening socket")]
    NotListening { descriptor: RawFd, name: String },
    #[error("the sockets handed over at the start were taken already")]
    Taken,
}

/// Takes the handed-over listening sockets with their names. May be called once in the life of a process.
pub fn listeners() -> Result<Vec<(String, TcpListener)>, InheritFault> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let names = names(env::var("LISTEN_FDS").ok(), env::var("LISTEN_FDNAMES").ok())?;
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(InheritFault::Taken);
    }
    (FIRST_INHERITED..).zip(names).map(|(descriptor, name)| Ok((name.clone(), take(descriptor, name)?))).collect()
}

fn names(count: Option<String>, names: Option<String>) -> Result<Vec<String>, InheritFault> {
    let Some(count) = count else { return Ok(Vec::new()) };
    let sockets: usize = count.parse().map_err(|_| InheritFault::NotANumber(count.clone()))?;
    let names = names.unwrap_or_default();
    let names: Vec<String> = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() == sockets { Ok(names) } else { Err(InheritFault::Names { names: names.len(), sockets }) }
}

#[expect(unsafe_code, reason = "a descriptor that arrives as a number")]
fn take(descriptor: RawFd, name: String) -> Result<TcpListener, InheritFault> {
    // SAFETY: only looked at; a number that is not open makes the calls fail, and they are made before anything owns it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    if !socket_acceptconn(borrowed).unwrap_or(false) || fcntl_setfd(borrowed, FdFlags::CLOEXEC).is_err() {
        return Err(InheritFault::NotListening { descriptor, name });
    }
    // SAFETY: the descriptor is open, the environment says that it was handed to us, and we take it once.
    Ok(TcpListener::from(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn names_and_number_must_agree() {
        assert!(names(None, None).unwrap().is_empty());
        assert_eq!(names(text("2"), text("https:http")).unwrap(), ["https", "http"]);
        assert!(matches!(names(text("two"), None), Err(InheritFault::NotANumber(_))));
        assert!(matches!(names(text("2"), text("https")), Err(InheritFault::Names { names: 1, sockets: 2 })));
    }
}
