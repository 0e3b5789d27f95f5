//! What keeps a process to its own business, as far as the kernel lets us.
//!
//! ```text
//!   ownership ── a user without a name, and what is given to it
//!   view      ── what it sees of the file system: a mount namespace of its own
//!   group     ── how much it may use: a control group of its own (v1 and v2)
//!   calls     ── what it may ask of the kernel, where it only computes
//! ```
//!
//! A user and a view are taken on by the child itself, between fork and exec; it joins its group while it waits there.

pub mod ownership;
pub mod view;
pub mod group;
pub mod calls;

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

pub use ownership::User;
pub use view::{Change, Manner, Show, View};

/// What a child takes on before its program begins.
#[derive(Debug)]
pub struct Confine {
    pub user: User,
    /// `None`: it sees what we see.
    pub view: Option<View>,
}

/// A [`Confine`] without anything left to allocate.
#[derive(Debug)]
pub(crate) struct Prepared {
    user: User,
    view: Option<view::Prepared>,
    /// Entered again by its name: the folder that the child is in lies where it was before the view changed.
    cwd: CString,
}

impl Confine {
    pub(crate) fn prepare(&self, cwd: &Path) -> io::Result<Prepared> {
        let view = self.view.as_ref().map(View::prepare).transpose()?;
        Ok(Prepared { user: self.user, view, cwd: view::c_path(cwd)? })
    }
}

impl Prepared {
    /// Async-signal-safe: system calls only. What goes wrong is told on stderr, since only a number reaches our parent.
    pub(crate) fn take_on(&mut self) -> io::Result<()> {
        // The folders of the view are to have the mode that they are made with.
        rustix::process::umask(rustix::fs::Mode::empty());
        crate::own::leave_no_core_dump()?;
        if let Some(view) = &mut self.view {
            view.take_on()?;
            rustix::process::chdir(self.cwd.as_c_str()).map_err(|errno| told(b"cannot enter ", &self.cwd, errno))?;
        }
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        self.user.become_it()
    }
}

/// Says on stderr, without allocating, what could not be done to which path.
#[expect(unsafe_code, reason = "system call")]
pub(crate) fn told(what: &[u8], path: &CStr, errno: rustix::io::Errno) -> io::Error {
    for part in [b"roadbed: while being confined: ".as_slice(), what, path.to_bytes(), b"\n"] {
        // SAFETY: the bytes are those of a slice, and every child has a stderr; if it is full, the error's number says less.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
    errno.into()
}
