//! The files that pages take along. Their names have their digests, so a browser keeps them for good.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file, as it is served.
#[derive(Debug)]
pub struct Asset {
    pub text: &'static str,
    pub kind: &'static str,
    path: String,
}

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, text: &'static str) -> Self {
        let digest: String = Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { text, kind, path: format!("/assets/{name}-{digest}.{ending}") }
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", "text/css; charset=utf-8", include_str!("../assets/console.css")));
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "js", "text/javascript; charset=utf-8", include_str!("../assets/console.js"))
});
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

/// The file of a path, if there is one.
pub fn of(path: &str) -> Option<&'static Asset> {
    let all: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    all.into_iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_page_takes_along_is_small() {
        assert!(STYLE.text.len() <= 30 * 1024, "{}", STYLE.text.len());
        assert!(SCRIPT.text.len() <= 6 * 1024, "{}", SCRIPT.text.len());
        assert!(std::ptr::eq(of(STYLE.path()).unwrap(), &raw const *STYLE));
        assert!(of("/assets/console.css").is_none());
    }
}
