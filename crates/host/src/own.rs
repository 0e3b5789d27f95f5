//! What this process is.

use std::path::PathBuf;

use crate::files::{FileFault, Result};

pub fn pid() -> u32 {
    std::process::id()
}

/// As whom this process acts.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process is root, and so may act for others.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How many files, sockets among them, this process may have open at once; `None`: as many as it likes.
pub fn most_open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The user whom this process acts for, as people know them: the name if the system has one, else the number. Asked of libc, so
/// that users of a directory service have their name too.
pub fn user_name() -> String {
    let uid = nix::unistd::getuid();
    // A directory that does not answer must not keep anybody from working.
    nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Path of the program that this process runs. After the file was replaced (a rebuild) this is the new file, which is what
/// whoever starts another role of it wants.
pub fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()
        .map_err(|source| FileFault::new("find the program of this process,", "/proc/self/exe", source))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// Whether what this process says goes to this very file.
pub fn speaks_to(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let said = std::fs::metadata("/proc/self/fd/2").map(|meta| (meta.dev(), meta.ino()));
    let there = std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((said, there), (Ok(said), Ok(there)) if said == there)
}

/// From now on what this process says goes there, both streams.
pub fn speak_to(file: &std::fs::File) -> std::io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// Ends this process with a code that another program chose, such as the command that was run for the user.
#[expect(clippy::disallowed_methods, reason = "the exit code of somebody else is handed on as it is")]
pub fn end_with(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// From now on a crash of this process, or of a program that it starts, leaves no memory image: it might hold secrets.
///
/// The limit is one byte and not none: the kernel minds a limit of none only where images are files, and hands them to a
/// collector (`|PROGRAM` in `/proc/sys/kernel/core_pattern`) all the same. One byte is too little for a file, and to
/// `fs/coredump.c` it means that no collector is asked either.
pub fn leave_no_core_dump() -> std::io::Result<()> {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    // What somebody has forbidden altogether stays so: only root could take that back.
    let limit = hard.unwrap_or(1).min(1);
    let none = rustix::process::Rlimit { current: Some(limit), maximum: Some(limit) };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Core, none)?)
}

/// From now on nobody but root and this process itself reads its memory, its variables and what it has open, not even other
/// processes of the same user; and the kernel takes no image of it. What it starts is as any other process: a new program
/// begins with the kernel's own rules.
pub fn keep_memory_private() -> std::io::Result<()> {
    leave_no_core_dump()?;
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?)
}

/// Closes whatever this process was left open but its three standard streams. For a process that begins, before it opens anything: a
/// descriptor that somebody in it owns would be closed under them.
///
/// Before Linux 5.9 there is no such call, and what was left open stays so.
#[expect(unsafe_code, reason = "system call")]
pub fn keep_only_standard_streams() {
    // SAFETY: a plain system call; by the word of the caller nobody owns what it closes.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
    }
}
