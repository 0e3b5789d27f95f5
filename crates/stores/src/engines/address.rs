//! Where a file is, as somebody else's program told it.

use std::fmt;

use ureq::http::Uri;

/// An http or https address that may be shown: it has no credentials, and its query, which may be a signature, is left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Uri);

impl Address {
    /// `None` if it is anything else: another scheme, not an address at all, or one with credentials in it. Those belong to
    /// the client that was configured with them.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?;
        (is_web && !authority.as_str().contains('@') && !authority.host().is_empty()).then_some(Self(uri))
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// What comes after the last slash.
    pub(crate) fn file_name(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let address = Address::parse("https://files.example:8443/a/b.whl?signature=s3cret#sha256=00").unwrap();
        assert_eq!(address.to_string(), "https://files.example:8443/a/b.whl");
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!((address.file_name(), address.host(), address.is_https()), ("b.whl", "files.example", true));
        assert_eq!(address.uri().query(), Some("signature=s3cret"));
    }

    #[test]
    fn what_needs_another_client_is_no_address() {
        for text in [
            "https://user:s3cret@files.example/b.whl",
            "https://****@files.example/b.whl",
            "file:///opt/wheels/b.whl",
            "mirror+file:/etc/apt/mirrors/b.deb",
            "cdrom://disc/b.deb",
            "/b.whl",
            "b.whl",
            "https://",
            "https:///b.whl",
            "",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let good = "https://files.example:8443/a/b.whl?x=1#y";
        for at in 0..good.len() {
            for other in ["", "@", "/", ":", "?", "#", " ", "\0", "é", "[", "%"] {
                let text = format!("{}{other}{}", &good[..at], &good[at + 1..]);
                if let Some(address) = Address::parse(&text) {
                    let shown = address.to_string();
                    assert!(!shown.contains(['?', '#']) && !address.uri().authority().unwrap().as_str().contains('@'));
                }
            }
        }
    }
}
