//! What this process is.

use std::path::PathBuf;

use crate::files::{FileFault, Result};

pub fn pid() -> u32 {
    std::process::id()
}

/// Whether this process is root, and so may act for others.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user whom this process acts for, as people know them: the name if the system has one, else the number.
pub fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = known.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    names.next().unwrap_or_else(|| format!("uid {uid}"))
}

/// Path of the program that this process runs. After the file was replaced (a rebuild) this is the new file, which is what
/// whoever starts another role of it wants.
pub fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()
        .map_err(|source| FileFault::new("find the program of this process,", "/proc/self/exe", source))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// From now on a crash of this process or its children leaves no memory image on disk: it might hold secrets.
pub fn leave_no_core_dump() -> std::io::Result<()> {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    let none = rustix::process::Rlimit { current: Some(0), maximum: hard };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Core, none)?)
}
