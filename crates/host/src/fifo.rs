//! Named pipes that carry a child's output: what is written waits in the kernel while nobody reads.
//!
//! Both ends are opened for reading *and* writing. So the writer never gets SIGPIPE when its reader dies, and the reader sees
//! no end of file when one writer is replaced by the next.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkfifoat, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
use tokio::io::unix::AsyncFd;

use crate::files::{self, FileFault, Result};
use crate::readiness;

/// How much output waits in the kernel before the writer is stopped: the most that an unprivileged process may ask for. The
/// kernel takes memory for it only as it fills.
const CAPACITY: usize = 1024 * 1024;

/// Bytes handed out at once.
pub const CHUNK: usize = 64 * 1024;

/// Creates a named pipe; one that is there already stays, with what waits in it.
pub fn create(path: &Path) -> Result<()> {
    match mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) if is_fifo(path) => Ok(()),
        Err(errno) => Err(FileFault::new("create the pipe", path, errno.into())),
    }
}

fn is_fifo(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// The end for a child's stdout or stderr.
pub fn open_for_child(path: &Path) -> Result<OwnedFd> {
    open_both_ways(path, OFlags::empty())
}

fn open_both_ways(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let fault = |errno: Errno| FileFault::new("open the pipe", path, errno.into());
    let pipe = open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | flags, Mode::empty()).map_err(fault)?;
    let stat = fstat(&pipe).map_err(fault)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Err(FileFault::new("open the pipe", path, io::Error::other("it is not a pipe")));
    }
    Ok(pipe)
}

/// Removes a named pipe; absent is fine.
pub fn remove(path: &Path) -> Result<()> {
    files::remove(path)
}

/// The reading end.
#[derive(Debug)]
pub struct Reader {
    pipe: AsyncFd<OwnedFd>,
    /// Looking at a pipe's content without taking it goes through a second pipe.
    copy_read: OwnedFd,
    copy_write: OwnedFd,
}

impl Reader {
    /// Needs a tokio runtime.
    pub fn open(path: &Path) -> Result<Self> {
        let fault = |source| FileFault::new("read the pipe", path, source);
        let pipe = open_both_ways(path, OFlags::NONBLOCK)?;
        // Smaller is no reason to fail: the limit of the user's pipes may be reached.
        let _ = fcntl_setpipe_size(&pipe, CAPACITY);
        let (copy_read, copy_write) =
            pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|errno| fault(errno.into()))?;
        let pipe = readiness::watch(pipe).map_err(fault)?;
        Ok(Self { pipe, copy_read, copy_write })
    }

    /// Returns when there may be something to read.
    pub async fn readable(&self) -> io::Result<()> {
        self.pipe.readable().await?.retain_ready();
        Ok(())
    }

    /// Copies what waits into `buffer` and leaves it waiting. 0 means that nothing waits: then `readable` waits for more.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match tee(self.pipe.get_ref(), &self.copy_write, buffer.len().min(CHUNK), SpliceFlags::NONBLOCK) {
            Ok(count) => read_exactly(&self.copy_read, &mut buffer[..count]).map(|()| count),
            Err(Errno::AGAIN) => Ok(self.nothing_waits()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes away `count` bytes that were seen by `peek`; `scratch` is overwritten.
    pub fn consume(&self, count: usize, scratch: &mut [u8]) -> io::Result<()> {
        read_exactly(self.pipe.get_ref(), &mut scratch[..count])
    }

    /// Tells the runtime to wait for the next write. Called only after the kernel said that the pipe is empty.
    fn nothing_waits(&self) -> usize {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(Ok(mut guard)) = self.pipe.poll_read_ready(&mut context) {
            // A byte may have come since: look again before the readiness is forgotten, or nobody would wake us.
            let looked = guard.try_io(|pipe| {
                let ready = rustix::io::ioctl_fionread(pipe.get_ref())?;
                if ready == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            drop(looked);
        }
        0
    }
}

fn read_exactly(from: impl AsFd, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match rustix::io::read(&from, &mut *buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => buffer = &mut buffer[count..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_was_only_looked_at_waits_for_the_next_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        create(&path).unwrap();
        create(&path).unwrap();
        let mut child = std::fs::File::from(open_for_child(&path).unwrap());
        let reader = Reader::open(&path).unwrap();
        let mut buffer = vec![0; CHUNK];
        assert_eq!(reader.peek(&mut buffer).unwrap(), 0);

        child.write_all(b"one\ntwo\n").unwrap();
        reader.readable().await.unwrap();
        assert_eq!(reader.peek(&mut buffer).unwrap(), 8);
        reader.consume(4, &mut buffer).unwrap();
        drop(reader);
        child.write_all(b"three\n").unwrap();

        let reader = Reader::open(&path).unwrap();
        let count = reader.peek(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"two\nthree\n");
        reader.consume(count, &mut buffer).unwrap();
        assert_eq!(reader.peek(&mut buffer).unwrap(), 0);
        let quiet = tokio::time::timeout(Duration::from_millis(50), reader.readable()).await;
        assert!(quiet.is_err(), "an empty pipe is not readable");
        child.write_all(b"four").unwrap();
        tokio::time::timeout(Duration::from_secs(5), reader.readable()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_a_pipe_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        files::write_durable(&path, b"", files::Access::Owner).unwrap();
        assert!(create(&path).is_err());
        assert!(Reader::open(&path).is_err());
    }
}
