//! Networks of the kernel: whether another process is in ours, and work that is done in its.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whose network a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Ours,
    /// No address of ours leads there by loopback, and none of theirs here.
    Another,
}

/// In which network a process is. A process that is gone, or that we may not look at, is in none.
///
/// # Errors
/// What the kernel says.
pub fn of(pid: u32) -> io::Result<Network> {
    let id = |path: String| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    let (ours, theirs) = (id("/proc/self/ns/net".to_owned())?, id(format!("/proc/{pid}/ns/net"))?);
    Ok(if ours == theirs { Network::Ours } else { Network::Another })
}

/// Does `work` in the network of a process, in a thread of its own that is nowhere else for as long as it lives. Only root can.
pub fn work_in<T: Send + 'static>(pid: u32, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<io::Result<T>> {
    std::thread::spawn(move || {
        let network = File::open(format!("/proc/{pid}/ns/net"))?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    struct Gone(std::process::Child);

    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn we_are_in_our_own_network_and_a_process_that_is_gone_is_in_none() {
        assert_eq!(of(std::process::id()).unwrap(), Network::Ours);
        assert!(of(0).is_err());
    }

    #[test]
    fn work_in_another_network_meets_what_listens_there_and_nothing_of_ours() {
        if !crate::own::is_root() {
            return;
        }
        // `unshare` of util-linux makes the network and becomes what sleeps in it.
        let mut other = Command::new("unshare");
        other.args(["--net", "sleep", "60"]).process_group(0);
        let other = Gone(other.spawn().unwrap());
        let pid = other.0.id();
        let give_up = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while of(pid).unwrap() == Network::Ours {
            assert!(std::time::Instant::now() < give_up, "unshare makes no network");
            std::thread::yield_now();
        }
        let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = here.local_addr().unwrap().port();
        let reach = move || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert!(reach());
        assert!(!work_in(pid, reach).join().unwrap().unwrap(), "it met our own listener");
        assert!(reach(), "we have moved with it");
    }
}
