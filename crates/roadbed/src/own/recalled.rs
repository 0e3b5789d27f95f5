//! Digests of programs, remembered for all processes of a user: each role that starts asks for the digest of the same file, and
//! reading all of it takes longer than the rest of what many commands do.
//!
//! What is remembered lies in the user's own cache and can go at any time. A process without a home remembers nothing.

use std::path::{Path, PathBuf};

use host::clock::{Clock, SystemClock};
use host::files::{self, Access};

/// A file that changed so lately may change again without a trace: the times of files go by ticks of the kernel. Milliseconds.
const YOUNG: i64 = 2_000;

/// Where the digest of one file is remembered, and what the file looked like before it was read.
pub(super) struct Place {
    at: PathBuf,
    program: PathBuf,
    looks: String,
}

impl Place {
    /// `None`: of this file nothing can be remembered.
    pub(super) fn of(program: &Path) -> Option<Self> {
        Self::within(&folder()?, program)
    }

    fn within(folder: &Path, program: &Path) -> Option<Self> {
        let looks = files::lasting_stamp(program).ok()?;
        // By device and inode: one for each place in which programs are built, however often.
        let name: Vec<&str> = looks.split(' ').take(2).collect();
        Some(Self { at: folder.join(name.join("-")), program: program.to_owned(), looks })
    }

    /// What was remembered, if the file still looks so.
    pub(super) fn digest(&self) -> Option<String> {
        let bytes = files::read_if_exists(&self.at).ok().flatten()?;
        let text = String::from_utf8(bytes).ok()?;
        let (looks, digest) = text.trim_end().split_once('\n')?;
        let is_one = digest.len() == super::DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (looks == self.looks && is_one).then(|| digest.to_owned())
    }

    /// Remembers it; where that cannot be done, the file is read again next time.
    pub(super) fn keep(&self, digest: &str) {
        let is_the_same = files::lasting_stamp(&self.program).is_ok_and(|looks| looks == self.looks);
        if !is_the_same || self.is_young() {
            return;
        }
        let Some(folder) = self.at.parent() else { return };
        let fresh = folder.join(format!("new-{}", host::own::pid()));
        let kept = files::create_dir(folder, Access::Owner)
            .and_then(|()| files::write(&fresh, format!("{}\n{digest}\n", self.looks).as_bytes(), Access::Owner))
            .and_then(|()| files::rename(&fresh, &self.at));
        if let Err(error) = kept {
            tracing::debug!(%error, "the digest of a program is not remembered");
        }
    }

    fn is_young(&self) -> bool {
        let changed = self.looks.rsplit(' ').next().and_then(|changed| changed.split('.').next()?.parse::<i64>().ok());
        let now = SystemClock.now().unix_millis();
        changed.is_none_or(|changed| now - changed.saturating_mul(1000) < YOUNG)
    }
}

fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("roadbed/programs"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_remembered_while_it_looks_the_same_and_a_damaged_memory_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, program) = (folder.path().join("memory"), folder.path().join("program"));
        files::write(&program, b"one", Access::Owner).unwrap();
        let young = Place::within(&memory, &program).unwrap();
        young.keep("00112233445566aa");
        assert_eq!(young.digest(), None, "it may change in this very tick");
        // Until it is old enough, by the clock that the times of files have.
        while young.is_young() {
            std::thread::sleep(Duration::from_millis(50));
        }
        young.keep("00112233445566aa");
        assert_eq!(Place::within(&memory, &program).unwrap().digest().as_deref(), Some("00112233445566aa"));

        files::write(&young.at, format!("{}\n../../etc", young.looks).as_bytes(), Access::Owner).unwrap();
        assert_eq!(young.digest(), None);
        files::write(&program, b"two", Access::Owner).unwrap();
        assert_eq!(Place::within(&memory, &program).unwrap().digest(), None);
        // What was read meanwhile may be of the one and of the other.
        young.keep("00112233445566aa");
        assert_eq!(Place::within(&memory, &program).unwrap().digest(), None);
    }
}
