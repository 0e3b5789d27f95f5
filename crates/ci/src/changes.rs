//! What is changed in a checkout and not committed: asked of git, whose settings decide what counts, and digested as git would.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix_hash::{ObjectId, hasher};
use gix_object::tree::EntryKind;
use host::files::{self, FileFault};
use host::process::{Run, Stream, find_in_path, run};
use reconcile::Fault;

use crate::history::History;
use crate::trees::{Changed, Made};

/// git looks at every file to tell what changed.
const DEADLINE: Duration = Duration::from_secs(120);

/// Paths in one command: of 4 KiB each they stay below what a command line holds.
const AT_ONCE: usize = 200;

/// Files that are read for what they mean; all others only for their digest.
const READ: [&str; 5] = ["package.json", "package-lock.json", "Cargo.toml", "Cargo.lock", "roadbed.toml"];

/// A checkout: the top of the work tree, and the folder in it that is meant.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub top: PathBuf,
    /// Relative to the top, empty if it is the top.
    pub prefix: String,
}

impl Checkout {
    pub fn of(project: &Path) -> Result<Self, Fault> {
        let cannot = |fault: FileFault| Fault::because("cannot look at the checkout", &fault);
        let whole = files::canonical(project).map_err(cannot)?;
        let top = leaks::work_tree(&whole).ok_or_else(|| {
            Fault::new(format!("{} is in no git repository", whole.display()))
                .hint("`roadbed ci` compares commits: `git init`, and commit what is there")
        })?;
        let prefix = whole.strip_prefix(&top).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        Ok(Self { top, prefix })
    }

    fn folder(&self) -> PathBuf {
        self.top.join(&self.prefix)
    }

    /// What is changed below a folder of it and not committed, by paths from the top. What git ignores is not among it.
    pub async fn uncommitted(&self, below: &str, env: &BTreeMap<String, String>) -> Result<Changed, Fault> {
        let headline = "cannot tell what is changed and not committed";
        let program = find_in_path("git", env.get("PATH").map_or("", String::as_str))
            .ok_or_else(|| Fault::new(headline).cause("there is no program git in PATH").hint("install git"))?;
        let words = ["-c", "core.quotePath=true", "status", "--porcelain=v1", "--untracked-files=all", "--no-renames"];
        let mut args: Vec<String> = words.map(str::to_owned).to_vec();
        let below = if below.is_empty() { "." } else { below };
        args.extend(["--ignore-submodules=dirty", "--", below].map(str::to_owned));
        let mut env: BTreeMap<String, String> = env
            .iter()
            .filter(|(name, _)| ["PATH", "HOME"].contains(&name.as_str()))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        // Looking takes no lock: somebody may be committing.
        env.insert("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned());
        let git = |cwd: PathBuf, args: Vec<String>| Run {
            program: program.clone(),
            args,
            cwd,
            env: env.clone(),
            deadline: DEADLINE,
        };
        let command = git(self.folder(), args);
        let (mut changed, mut said, mut strange) = (Vec::new(), Vec::new(), Vec::new());
        let finished = run(&command, &mut |stream, line| match stream {
            Stream::Out => match path_of(line) {
                Some(path) => changed.push(path),
                None => strange.push(line.to_owned()),
            },
            Stream::Err => said.push(line.to_owned()),
        })
        .await
        .map_err(|fault| Fault::because(headline, &fault))?;
        if !finished.success() || !strange.is_empty() {
            let why = said.pop().or(strange.pop()).unwrap_or_else(|| finished.describe());
            return Err(Fault::new(headline).cause(format!("git: {why}")).hint("see what `git status` says"));
        }
        // A repository within is not ours: `?? folder/`.
        let ours = changed.into_iter().filter(|path| !is_of_roadbed(path, &self.prefix) && !path.ends_with(b"/"));
        let mut found = Changed::new();
        for path in ours {
            let made = self.made(&path).map_err(|fault| Fault::because(headline, &fault))?;
            found.insert(path, made);
        }
        // A file with other line ends, or one that lies in git as a pointer, is what git makes of it.
        let is_file = |made: &Option<Made>| {
            made.as_ref().is_some_and(|made| matches!(made.kind, EntryKind::Blob | EntryKind::BlobExecutable))
        };
        let paths: Vec<String> = found
            .iter()
            .filter(|(_, made)| is_file(made))
            .filter_map(|(path, _)| String::from_utf8(path.clone()).ok())
            .collect();
        for some in paths.chunks(AT_ONCE) {
            let args = ["hash-object", "--"].map(str::to_owned).into_iter().chain(some.iter().cloned()).collect();
            let mut ids = Vec::new();
            let finished = run(&git(self.top.clone(), args), &mut |stream, line| {
                if stream == Stream::Out {
                    ids.extend(ObjectId::from_hex(line.as_bytes()));
                }
            })
            .await
            .map_err(|fault| Fault::because(headline, &fault))?;
            if !finished.success() || ids.len() != some.len() {
                return Err(Fault::new(headline)
                    .cause("git cannot digest a changed file")
                    .hint("run it again: a file may have gone meanwhile"));
            }
            for (path, id) in some.iter().zip(ids) {
                if let Some(Some(made)) = found.get_mut(path.as_bytes()) {
                    made.id = id;
                }
            }
        }
        Ok(found)
    }

    /// What is at a path now.
    fn made(&self, path: &[u8]) -> Result<Option<Made>, FileFault> {
        let place = self.top.join(std::ffi::OsStr::from_bytes(path));
        if !files::exists(&place) {
            return Ok(None);
        }
        if let Some(target) = files::link_target(&place)? {
            let id = digest(&mut target.as_os_str().as_bytes(), target.as_os_str().len() as u64);
            let content: Box<[u8]> = target.as_os_str().as_bytes().into();
            return Ok(id.ok().map(|id| Made { kind: EntryKind::Link, id, content: Some(content.into()) }));
        }
        if files::is_dir(&place) {
            let head = History::of(&place).ok().and_then(|mut history| history.commit("HEAD"));
            return Ok(head.map(|id| Made { kind: EntryKind::Commit, id, content: None }));
        }
        let meta = files::metadata(&place)?;
        if !meta.is_file() {
            // A socket or a pipe is no content.
            return Ok(None);
        }
        let kind = if meta.permissions().mode() & 0o100 == 0 { EntryKind::Blob } else { EntryKind::BlobExecutable };
        let name = place.file_name().unwrap_or_default();
        let fault = |source| FileFault::new("read", &place, source);
        if READ.iter().any(|read| name == *read) {
            let content = files::read(&place)?;
            let id = digest(&mut content.as_slice(), content.len() as u64).map_err(fault)?;
            return Ok(Some(Made { kind, id, content: Some(content.into()) }));
        }
        let id = digest(&mut files::open(&place)?, meta.len()).map_err(fault)?;
        Ok(Some(Made { kind, id, content: None }))
    }
}

/// State of environments beside the manifest is nobody's source, whether `.gitignore` says so or not.
fn is_of_roadbed(path: &[u8], prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.as_bytes()).unwrap_or(path);
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    [b".roadbed/".as_slice(), b".roadbed-envs/", b".roadbed-samples/", b".roadbed-ci/"]
        .iter()
        .any(|own| rest.starts_with(own))
}

/// The id that git would give it. A file that grows or shrinks meanwhile is told as an error.
fn digest(content: &mut dyn Read, length: u64) -> std::io::Result<ObjectId> {
    let mut hash = hasher(gix_hash::Kind::Sha1);
    hash.update(format!("blob {length}\0").as_bytes());
    let mut buffer = vec![0; 64 * 1024];
    let mut read = 0;
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        read += count as u64;
        hash.update(&buffer[..count]);
    }
    if read != length {
        return Err(std::io::Error::other("it changed while it was read"));
    }
    hash.try_finalize().map_err(|error| std::io::Error::other(error.to_string()))
}

/// The path in a line of `git status --porcelain`: two letters, a blank, and a path, in quotes where it has strange bytes.
fn path_of(line: &str) -> Option<Vec<u8>> {
    let path = line.get(3..).filter(|path| !path.is_empty())?;
    match path.strip_prefix('"') {
        Some(quoted) => unquoted(quoted.strip_suffix('"')?),
        None => Some(path.as_bytes().to_vec()),
    }
}

/// What stands for the bytes of a path between git's quotes.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut path = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            path.push(byte);
            continue;
        }
        path.push(match bytes.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            same @ (b'"' | b'\\') => same,
            first @ b'0'..=b'3' => {
                let digit = |byte: Option<u8>| byte.filter(|byte| (b'0'..=b'7').contains(byte)).map(|byte| byte - b'0');
                (first - b'0') * 64 + digit(bytes.next())? * 8 + digit(bytes.next())?
            }
            _ => return None,
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read_as_git_writes_them() {
        let told = |line| path_of(line).map(|path| String::from_utf8_lossy(&path).into_owned());
        assert_eq!(told(" M apps/api/src/a b.ts").as_deref(), Some("apps/api/src/a b.ts"));
        assert_eq!(told(r#"?? "apps/\303\274.ts""#).as_deref(), Some("apps/ü.ts"));
        assert_eq!(told(r#" D "a\"b\\c\n\t""#).as_deref(), Some("a\"b\\c\n\t"));
        assert_eq!(told(r#" D "\9""#), None);
        assert_eq!(told("??"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC{0,60}") {
            let _ = path_of(&line);
        }
    }
}
