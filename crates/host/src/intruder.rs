//! Trying doors as another user of this machine would: the kernel itself says what that user may do, nobody reckons it.
//!
//! Nothing that is tried does harm where it is allowed: files are opened and closed, a socket is connected to and closed, signal
//! 0 arrives nowhere.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// A user, as the kernel knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// By custom the user who owns nothing.
pub const NOBODY: User = User { uid: 65_534, gid: 65_534 };

/// Something that may be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    Read(PathBuf),
    Write(PathBuf),
    List(PathBuf),
    Connect(PathBuf),
    /// Connect to a port of this machine.
    Port(u16),
    /// Send the process a signal.
    Signal(u32),
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    Opened,
    Refused,
    /// It is not there, as far as this user can see.
    Absent,
    /// Neither: what the kernel said.
    Otherwise(String),
}

/// Who this process is.
pub fn own_user() -> User {
    User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// Whether this process may become somebody else for a moment.
pub fn may_become_others() -> bool {
    own_user().uid == 0
}

/// Tries each door as this process itself.
pub fn try_all(doors: &[Door]) -> Vec<Tried> {
    doors.iter().map(try_one).collect()
}

/// Tries each door as `user`, in a thread of its own that is nobody else for as long as it lives. Only root can.
pub fn try_all_as(user: User, doors: &[Door]) -> io::Result<Vec<Tried>> {
    std::thread::scope(|scope| {
        let trying = scope.spawn(move || {
            // These concern the calling thread alone; the groups first, while it still may.
            let (uid, gid) = (rustix::process::Uid::from_raw(user.uid), rustix::process::Gid::from_raw(user.gid));
            set_thread_groups(&[])?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
            Ok(try_all(doors))
        });
        trying.join().unwrap_or_else(|_| Err(io::Error::other("the thread that tried panicked")))
    })
}

fn try_one(door: &Door) -> Tried {
    let tried = match door {
        Door::Read(path) => File::open(path).map(drop),
        // Opened at its end and closed again: not a byte changes.
        Door::Write(path) => OpenOptions::new().append(true).open(path).map(drop),
        Door::List(path) => fs::read_dir(path).map(drop),
        Door::Connect(path) => UnixStream::connect(path).map(drop),
        Door::Port(port) => connect(*port),
        Door::Signal(pid) => signal(*pid),
    };
    match tried.as_ref().map_err(io::Error::kind) {
        Ok(()) => Tried::Opened,
        Err(io::ErrorKind::PermissionDenied | io::ErrorKind::ConnectionRefused) if is_refusal(door) => Tried::Refused,
        Err(io::ErrorKind::PermissionDenied) => Tried::Refused,
        Err(io::ErrorKind::NotFound) => Tried::Absent,
        Err(_) => Tried::Otherwise(tried.expect_err("it is none of the above").to_string()),
    }
}

/// A socket file whose process is gone refuses too, and says nothing about who may connect; a port that is known to be
/// listened on refuses by the packet filter.
fn is_refusal(door: &Door) -> bool {
    matches!(door, Door::Port(_))
}

/// On loopback an answer comes at once or, where a filter drops, never.
fn connect(port: u16) -> io::Result<()> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(2)).map(drop)
}

fn signal(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match pid.map(test_kill_process) {
        Some(Ok(())) => Ok(()),
        Some(Err(rustix::io::Errno::SRCH)) | None => Err(io::ErrorKind::NotFound.into()),
        Some(Err(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    fn house() -> (tempfile::TempDir, Vec<Door>) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let private = folder.path().join("private");
        fs::create_dir(&private).unwrap();
        fs::write(private.join("file"), "x").unwrap();
        drop(UnixListener::bind(private.join("old.sock")).unwrap());
        fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
        let doors = vec![
            Door::List(private.clone()),
            Door::Read(private.join("file")),
            Door::Write(private.join("file")),
            Door::Connect(private.join("old.sock")),
            // Not this process: its threads may always signal each other, whoever they are.
            Door::Signal(std::os::unix::process::parent_id()),
        ];
        (folder, doors)
    }

    #[test]
    fn the_process_table_knows_who_we_are() {
        assert_eq!(crate::process::table::user(std::process::id()), Some(own_user()));
    }

    #[test]
    fn the_owner_may_and_what_is_not_there_is_absent() {
        let (folder, doors) = house();
        let tried = try_all(&doors);
        assert_eq!(tried[..3], [Tried::Opened, Tried::Opened, Tried::Opened]);
        assert!(matches!(tried[3], Tried::Otherwise(_)), "nobody listens: {tried:?}");
        assert_eq!(tried[4], Tried::Opened);
        assert_eq!(try_all(&[Door::Read(folder.path().join("absent"))]), [Tried::Absent]);
        assert_eq!(fs::read_to_string(folder.path().join("private/file")).unwrap(), "x");
    }

    #[test]
    fn another_user_is_refused_by_the_kernel_and_this_process_stays_who_it_is() {
        let (_folder, doors) = house();
        let before = own_user();
        match try_all_as(NOBODY, &doors) {
            Ok(tried) => assert_eq!(tried, vec![Tried::Refused; 5]),
            // Only root can try; that nobody else can is as it should be.
            Err(error) => assert!(!may_become_others(), "{error}"),
        }
        assert_eq!(own_user(), before);
        assert_eq!(try_all(&doors)[0], Tried::Opened);
    }
}
