//! Where the root of an environment lies, unless `--root` or `ROADBED_ROOT` says so.
//!
//! ```text
//!   shop/.roadbed                          local, and whatever was brought up without --env
//!   shop/.roadbed-envs/staging             --env staging
//!   shop/.roadbed-envs/preview/pr-42       --env preview/pr-42
//! ```
//!
//! Beside each other and not within each other: whoever removes one removes no other.

use std::path::{Path, PathBuf};

use manifest::EnvRef;

/// The environment that is meant where none is asked for and the root was never used.
pub const DEFAULT_ENVIRONMENT: &str = "local";

/// Its root.
const OWN: &str = ".roadbed";

/// The folder of all others' roots.
pub const OTHERS: &str = ".roadbed-envs";

/// The root of `asked` in the folder of the manifest.
pub fn root_of(project: &Path, asked: Option<&EnvRef>) -> PathBuf {
    match asked.map(ToString::to_string) {
        Some(name) if name != DEFAULT_ENVIRONMENT => project.join(OTHERS).join(name),
        _ => project.join(OWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_environment_has_a_root_of_its_own_that_its_name_tells() {
        let of = |asked: Option<&str>| root_of(Path::new("/shop"), asked.map(|name| name.parse().unwrap()).as_ref());
        assert_eq!(of(None), Path::new("/shop/.roadbed"));
        assert_eq!(of(Some("local")), Path::new("/shop/.roadbed"));
        assert_eq!(of(Some("staging")), Path::new("/shop/.roadbed-envs/staging"));
        assert_eq!(of(Some("preview/pr-42")), Path::new("/shop/.roadbed-envs/preview/pr-42"));
    }
}
