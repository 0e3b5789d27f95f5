//! Which machine this is.

use std::path::Path;

/// Where a Linux system keeps the id that it was given when it was installed.
const FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The id of this installation; `None` where the system has none, as in many containers. It is the system's own secret-like
/// number: show and store a digest of it, never itself.
pub fn id() -> Option<String> {
    FILES.iter().find_map(|path| parse(&std::fs::read_to_string(Path::new(path)).ok()?))
}

/// What its administrator calls it.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// An image that is yet to be installed says `uninitialized`, or nothing.
fn parse(text: &str) -> Option<String> {
    let id = text.trim();
    let is_id =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0');
    is_id.then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_none() {
        assert_eq!(parse("3D1219C7C4C5404AAA1F6D2A48ADFDA4\n").as_deref(), Some("3d1219c7c4c5404aaa1f6d2a48adfda4"));
        for no_id in ["", "uninitialized\n", "3d1219c7", "3d1219c7-c4c5-404a-aa1f-6d2a48adfda", &"0".repeat(32)] {
            assert_eq!(parse(no_id), None, "{no_id}");
        }
    }
}
