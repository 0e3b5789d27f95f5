//! Sockets: listeners that outlive one owner, Unix sockets at paths of any length, and free ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::files::{self, FileFault, Result};

/// So many may wait until they are let in: an edge that is replaced, or full, keeps them waiting and refuses none. The kernel allows less
/// where it is set so (`net.core.somaxconn`); the standard library asks for 128.
const WAITING: i32 = 4096;

/// Binds a listening TCP socket. The standard library sets `SO_REUSEADDR`, so a restart does not wait for TIME_WAIT.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, WAITING)?;
    Ok(listener)
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?.port())
}

/// Whether nothing listens on this loopback port now.
pub fn is_port_free(port: u16) -> bool {
    listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

/// Binds a Unix socket that only its owner may connect to, replacing a stale one. In a 0700 folder, so that nobody comes in
/// before its mode is set.
pub fn listen_unix(path: &Path) -> Result<UnixListener> {
    listen_unix_beside(path)?.take_place()
}

/// Binds a Unix socket beside the place that it is for, where another may still listen.
pub fn listen_unix_beside(path: &Path) -> Result<Aspirant> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", crate::own::pid()));
    let aside = path.with_file_name(name);
    files::remove(&aside)?;
    let (dir, short) = short_path(&aside)?;
    let listener = UnixListener::bind(short).map_err(|source| FileFault::new("listen on", path, source));
    drop(dir);
    let aspirant = Aspirant { listener: listener?, aside, place: path.to_owned() };
    files::make_private(&aspirant.aside)?;
    Ok(aspirant)
}

/// A Unix socket that listens, and that nobody finds yet.
#[derive(Debug)]
pub struct Aspirant {
    listener: UnixListener,
    aside: PathBuf,
    place: PathBuf,
}

impl Aspirant {
    /// From here on whoever connects comes to us; who is connected to another at this place stays so.
    pub fn take_place(self) -> Result<UnixListener> {
        let taken = files::rename(&self.aside, &self.place);
        if taken.is_err() {
            let _ = files::remove(&self.aside);
        }
        taken.map(|()| self.listener)
    }
}

/// Connects to a Unix socket.
pub fn connect_unix(path: &Path) -> Result<UnixStream> {
    let (dir, short) = short_path(path)?;
    let stream = UnixStream::connect(short).map_err(|source| FileFault::new("connect to", path, source));
    drop(dir);
    stream
}

/// A socket address holds 107 bytes of path, and an environment's root may lie deeper than that: go through the open folder.
fn short_path(path: &Path) -> Result<(rustix::fd::OwnedFd, PathBuf)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let dir = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| FileFault::new("open the folder", folder, errno.into()))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((dir, short))
}
