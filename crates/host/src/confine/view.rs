//! What a process sees of the file system: a mount namespace of its own, in which folders are covered and parts of them shown
//! again.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::told;

/// The changes to what is seen, in this order. All that is shown is what was there before the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View(pub Vec<Change>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// In the place of this folder there is an empty one, that can be passed and not listed or written.
    Cover(PathBuf),
    Show(Show),
}

/// A folder or file, as it is now, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    pub what: PathBuf,
    pub at: PathBuf,
    pub manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    ReadOnly,
    Writable,
}

/// Whether this process may give its children views of their own; tried, not guessed.
pub fn is_possible() -> io::Result<()> {
    // In a thread of its own, which is then the only one that sees the change.
    let tried = std::thread::Builder::new().stack_size(128 * 1024).spawn(|| -> io::Result<()> {
        unshare()?;
        Ok(cover(c"/tmp")?)
    })?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the thread that tried it panicked")))
}

#[expect(unsafe_code, reason = "system call")]
fn unshare() -> io::Result<()> {
    // SAFETY: no descriptor table is unshared; of all that belongs to this thread only what it sees of the file system changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    // Nothing of what follows is to be seen outside; what happens outside (a disk mounted later) goes on to be seen here.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change(c"/", slave)?)
}

fn cover(at: &CStr) -> rustix::io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"roadbed", at, c"tmpfs", flags, c"mode=0711,size=1m")
}

#[derive(Debug)]
enum PreparedChange {
    Cover(CString),
    Show(PreparedShow),
}

#[derive(Debug)]
struct PreparedShow {
    what: CString,
    at: CString,
    manner: Manner,
    /// What is made if there is nothing, outermost first.
    places: Vec<Place>,
    held: RawFd,
}

#[derive(Debug)]
enum Place {
    Folder(CString),
    File(CString),
}

#[derive(Debug)]
pub(crate) struct Prepared(Vec<PreparedChange>);

impl View {
    pub(crate) fn prepare(&self) -> io::Result<Prepared> {
        let prepare = |change: &Change| {
            Ok(match change {
                Change::Cover(at) => PreparedChange::Cover(c_path(at)?),
                Change::Show(show) => PreparedChange::Show(show.prepare()?),
            })
        };
        Ok(Prepared(self.0.iter().map(prepare).collect::<io::Result<_>>()?))
    }
}

impl Show {
    fn prepare(&self) -> io::Result<PreparedShow> {
        let is_folder = std::fs::metadata(&self.what)?.is_dir();
        let above = self.at.ancestors().skip(usize::from(!is_folder));
        let mut places = above.map(|place| Ok(Place::Folder(c_path(place)?))).collect::<io::Result<Vec<_>>>()?;
        places.reverse();
        if !is_folder {
            places.push(Place::File(c_path(&self.at)?));
        }
        Ok(PreparedShow { what: c_path(&self.what)?, at: c_path(&self.at)?, manner: self.manner, places, held: -1 })
    }
}

impl Prepared {
    /// Async-signal-safe.
    pub(crate) fn take_on(&mut self) -> io::Result<()> {
        unshare()?;
        // Everything is taken hold of before anything is covered.
        for change in &mut self.0 {
            if let PreparedChange::Show(show) = change {
                show.hold().map_err(|errno| told(b"cannot open ", &show.what, errno))?;
            }
        }
        for change in &self.0 {
            match change {
                PreparedChange::Cover(at) => cover(at).map_err(|errno| told(b"cannot cover ", at, errno))?,
                PreparedChange::Show(show) => show.show().map_err(|errno| told(b"cannot show ", &show.at, errno))?,
            }
        }
        Ok(())
    }
}

impl PreparedShow {
    fn hold(&mut self) -> rustix::io::Result<()> {
        let held = rustix::fs::openat(CWD, self.what.as_c_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        // Open until exec: there is no other end for it in this process.
        self.held = held.into_raw_fd();
        Ok(())
    }

    fn show(&self) -> rustix::io::Result<()> {
        for place in &self.places {
            place.make();
        }
        let mut buffer = [0; 32];
        rustix::mount::mount_bind(through(self.held, &mut buffer), self.at.as_c_str())?;
        let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
        if self.manner == Manner::ReadOnly {
            flags |= MountFlags::RDONLY;
        }
        rustix::mount::mount_remount(self.at.as_c_str(), flags, c"")
    }
}

impl Place {
    /// What is there already, or cannot be made, is found out by the mount.
    fn make(&self) {
        let _ = match self {
            Self::Folder(path) => rustix::fs::mkdirat(CWD, path.as_c_str(), Mode::from_raw_mode(0o711)),
            Self::File(path) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(CWD, path.as_c_str(), flags, Mode::from_raw_mode(0o600)).map(drop)
            }
        };
    }
}

/// `/proc/self/fd/N`, written without allocating: what is open can be shown elsewhere though its place is covered.
fn through(descriptor: RawFd, buffer: &mut [u8; 32]) -> &CStr {
    const BEGINNING: &[u8] = b"/proc/self/fd/";
    buffer[..BEGINNING.len()].copy_from_slice(BEGINNING);
    let mut digits = [0; 10];
    let (mut rest, mut count) = (descriptor.unsigned_abs(), 0);
    loop {
        digits[count] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in buffer[BEGINNING.len()..].iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
    buffer[BEGINNING.len() + count] = 0;
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_named_by_its_digits() {
        for (descriptor, path) in
            [(0, "/proc/self/fd/0"), (107, "/proc/self/fd/107"), (2_147_483_647, "/proc/self/fd/2147483647")]
        {
            assert_eq!(through(descriptor, &mut [7; 32]).to_str().unwrap(), path);
        }
    }
}
