//! How much memory this process occupies, and how it gives back what it has no use for at the moment.

use std::io;

use crate::files::{self, FileFault};

/// Bytes of memory that this process occupies now, pages of its program file included.
pub fn bytes() -> files::Result<u64> {
    at(std::path::Path::new("/proc/self/statm"))
}

/// The same of another process of this machine.
pub fn of(pid: u32) -> files::Result<u64> {
    at(std::path::Path::new(&format!("/proc/{pid}/statm")))
}

fn at(path: &std::path::Path) -> files::Result<u64> {
    let strange = || FileFault::new("understand", path, io::Error::from(io::ErrorKind::InvalidData));
    let text = files::read_string(path)?;
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).ok_or_else(strange)?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Gives back memory that is free but was kept for the next use, and the pages of code and constants: what is needed next comes
/// from the page cache again, and what only the start needed stays away.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    trim_heap();
    unmap_files();
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator's own function")]
fn trim_heap() {
    // SAFETY: it takes the allocator's lock itself and touches free memory alone.
    unsafe { libc::malloc_trim(0) };
}

#[expect(unsafe_code, reason = "only the C library knows where the loader put the code")]
fn unmap_files() {
    // SAFETY: the callback reads what the loader made and keeps nothing of it.
    unsafe { libc::dl_iterate_phdr(Some(unmap_file), std::ptr::null_mut()) };
}

/// One loaded file: the program, or a library.
#[expect(unsafe_code, reason = "called by the C library")]
#[expect(clippy::cast_possible_truncation, reason = "addresses of this process fit its own words")]
unsafe extern "C" fn unmap_file(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: valid for the time of this call, as dl_iterate_phdr(3) promises; so are the headers that it points to.
    let (info, headers) = unsafe {
        let info = &*info;
        // What the kernel itself maps has no file to come back from.
        (info, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    let page = rustix::param::page_size();
    for header in headers {
        // What is only protected later, as relocated constants are, says here that it may be written.
        let is_never_written = header.p_flags & libc::PF_W == 0;
        if header.p_type != libc::PT_LOAD || !is_never_written {
            continue;
        }
        let start = info.dlpi_addr as usize + header.p_vaddr as usize;
        let end = (start + header.p_memsz as usize).next_multiple_of(page);
        let start = start - start % page;
        // SAFETY: nothing ever writes to these pages (they are mapped for reading, or reading and running), so each comes back from its
        // file as it was. An error changes nothing, and nothing depends on success.
        let _ = unsafe {
            rustix::mm::madvise(start as *mut std::ffi::c_void, end - start, rustix::mm::Advice::LinuxDontNeed)
        };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_given_back_still_runs() {
        let before = bytes().unwrap();
        give_back();
        let after = bytes().unwrap();
        assert!(after < before, "{before} bytes before, {after} after");
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
