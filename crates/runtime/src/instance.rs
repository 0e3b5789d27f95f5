//! What an instance is: whose, of which release, and all that decides how it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrets::Secret;
use sha2::{Digest as _, Sha256};

/// A word that every engine takes as part of a name: small letters, digits and hyphens, no hyphen at either end, 63 at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Text that cannot be a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be part of a name: small letters, digits and hyphens, at most 63, a hyphen at neither end")]
pub struct NameFault(pub String);

impl Name {
    /// # Errors
    /// What is no such word.
    pub fn new(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        let is_made_of_them = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        // 63: what a label of the name service holds, and so a container's host name.
        let is_one =
            is_made_of_them && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-');
        if is_one { Ok(Self(text)) } else { Err(NameFault(text)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which control: counts up with each that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One instance among those of an environment. Two of the same identity are never there at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    pub app: Name,
    pub release: Name,
    /// Which of them: `1`, `blue-2`.
    pub instance: Name,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} of release {}", self.app, self.instance, self.release)
    }
}

/// An image, by what is in it: `sha256:` and 64 digits each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    /// Digest of its configuration, which names the digests of all layers. Engines with stores of their own know it by this.
    pub configuration: String,
    /// Digest of its manifest: how registries know it, and engines whose store is containerd's.
    pub manifest: String,
}

/// An image, and where it can be had when the engine does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    /// A folder in the layout of OCI that has all of its blobs.
    pub layout: PathBuf,
}

/// What one instance may take of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, without any swap.
    pub memory: Option<u64>,
    pub processes: Option<u32>,
    /// Thousandths of a processor.
    pub cpu: Option<u32>,
    /// Bytes that `/tmp` may hold, which is memory; nothing else can be written to.
    pub temporary: u64,
    /// As many as the engine itself may have, if nothing else is said: more is refused where nobody may raise that.
    pub open_files: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        // What engines give shared memory.
        Self { memory: None, processes: None, cpu: None, temporary: 64 << 20, open_files: None }
    }
}

/// One instance as it is to run.
#[derive(Clone, Debug)]
pub struct Spec {
    pub id: InstanceId,
    pub image: Image,
    /// Argument vector; the first word is looked up in the image.
    pub command: Vec<String>,
    pub cwd: String,
    /// Variables that may be shown.
    pub shown: BTreeMap<String, String>,
    /// Of the variables that may not be shown, whatever tells two sets of them apart and is no secret: names and versions.
    pub versions: String,
    /// Where it listens, on its own address.
    pub port: u16,
    pub limits: Limits,
}

impl Spec {
    /// Tells two ways to run the same instance apart.
    pub fn revision(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.image.id.configuration);
        add(&self.command.len().to_string());
        self.command.iter().for_each(|word| add(word));
        add(&self.cwd);
        self.shown.iter().for_each(|(name, value)| {
            add(name);
            add(value);
        });
        add(&self.versions);
        add(&self.port.to_string());
        add(&format!("{:?}", self.limits));
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Variables that nobody but the instance may see. Given at each start, and kept nowhere.
#[derive(Debug, Default)]
pub struct Given(pub BTreeMap<String, Secret>);

impl Given {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_that_every_engine_takes() {
        for good in ["api", "1", "blue-2", "r-0123456789ab", &"a".repeat(63)] {
            assert_eq!(Name::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", "a b", &"a".repeat(64)] {
            assert_eq!(Name::new(bad), Err(NameFault(bad.to_owned())));
        }
    }

    #[test]
    fn each_thing_that_decides_how_it_runs_is_in_the_revision() {
        let name = |text: &str| Name::new(text).unwrap();
        let image = |id: &str| Image {
            id: ImageId { configuration: id.into(), manifest: String::new() },
            layout: PathBuf::new(),
        };
        let base = Spec {
            id: InstanceId { app: name("api"), release: name("r1"), instance: name("1") },
            image: image("a"),
            command: vec!["node".into(), "a b".into()],
            cwd: "/app".into(),
            shown: [("A".to_owned(), "1".to_owned())].into(),
            versions: "A 1".into(),
            port: 80,
            limits: Limits::default(),
        };
        let others = [
            Spec { image: image("b"), ..base.clone() },
            Spec { command: vec!["node".into(), "a".into(), "b".into()], ..base.clone() },
            Spec { cwd: "/".into(), ..base.clone() },
            Spec { shown: [("A".to_owned(), "2".to_owned())].into(), ..base.clone() },
            Spec { shown: BTreeMap::new(), ..base.clone() },
            Spec { versions: "A 2".into(), ..base.clone() },
            Spec { port: 81, ..base.clone() },
            Spec { limits: Limits { cpu: Some(500), ..Limits::default() }, ..base.clone() },
        ];
        let revisions: std::collections::BTreeSet<String> = others.iter().chain([&base]).map(Spec::revision).collect();
        assert_eq!(revisions.len(), others.len() + 1);
        assert_eq!(base.revision(), base.clone().revision());
    }
}
