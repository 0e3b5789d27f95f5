//! What a push would do: the lines that git gives to `pre-receive`.

use gix_hash::ObjectId;

/// A ref that is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub reference: String,
    /// `None`: it is new.
    pub from: Option<ObjectId>,
    /// `None`: it is to be deleted.
    pub to: Option<ObjectId>,
}

impl Moved {
    /// `OLD NEW REFERENCE`; `None` if it is no such line.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let mut id = || ObjectId::from_hex(words.next()?.as_bytes()).ok();
        let (from, to) = (id()?, id()?);
        let reference = words.next().filter(|name| name.starts_with("refs/"))?.to_owned();
        Some(Self { reference, from: Some(from).filter(|id| !id.is_null()), to: Some(to).filter(|id| !id.is_null()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_git_writes_them_and_no_others() {
        let (old, new, none) = ("1".repeat(40), "a".repeat(40), "0".repeat(40));
        let moved = Moved::read(&format!("{old} {new} refs/heads/feature/x")).unwrap();
        assert_eq!(
            (moved.reference.as_str(), moved.from.is_some(), moved.to.is_some()),
            ("refs/heads/feature/x", true, true)
        );
        assert_eq!(Moved::read(&format!("{none} {new} refs/heads/main")).unwrap().from, None);
        let tag = Moved::read(&format!("{old} {none} refs/tags/v1")).unwrap();
        assert_eq!((tag.reference.as_str(), tag.to), ("refs/tags/v1", None));
        for wrong in [
            String::new(),
            format!("{old} refs/heads/main"),
            format!("{old} {new} main"),
            format!("{old} x refs/heads/main"),
        ] {
            assert_eq!(Moved::read(&wrong), None, "{wrong:?}");
        }
    }
}
