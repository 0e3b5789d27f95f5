//! Where engines come from: `engines.toml`, parsed and validated.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::checksum;
use super::machine::Platform;
use super::version::Version;

/// A program that Roadbed runs as a data service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    Mongod,
    RedisServer,
}

impl EngineKind {
    pub fn program(self) -> &'static str {
        match self {
            Self::Mongod => "mongod",
            Self::RedisServer => "redis-server",
        }
    }

    /// The section of the manifest that names it.
    pub fn service(self) -> &'static str {
        match self {
            Self::Mongod => "mongodb",
            Self::RedisServer => "redis",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// One way to get one version of one engine on some machines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Source {
    pub engine: EngineKind,
    pub name: String,
    /// What the program must say about itself, in the parts named here.
    pub version: String,
    pub arch: Vec<String>,
    pub os: Vec<String>,
    #[serde(flatten)]
    pub kind: Kind,
    /// Distribution packages to add if the program does not start on this machine.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// `package version` to SHA-256, for packages of the distribution.
    #[serde(default)]
    pub pins: BTreeMap<String, String>,
}

/// How a source is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    Wheel { package: String, file: String, size: u64, sha256: String, member: String },
    Deb { packages: Vec<String>, program: String },
    Url { url: String, size: u64, sha256: String, archive: Archive, member: Option<String> },
}

/// What a download is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    None,
    Zip,
}

impl Source {
    pub fn fits(&self, engine: EngineKind, min: Version, platform: &Platform) -> bool {
        self.engine == engine
            && self.arch.contains(&platform.arch)
            && self.os.contains(&platform.os)
            && Version::parse(&self.version).is_ok_and(|version| version >= min)
    }

    /// Name of its folder in the cache. Another pin or member is another folder.
    pub fn folder_name(&self) -> String {
        let text = serde_json::to_string(self).expect("a source is plain data");
        format!("{}-{}-{}", self.engine, self.name, &checksum::of_bytes(text.as_bytes())[..8])
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut want = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("source {:?}: {what}", self.name));
            }
        };
        let is_sha256 = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // The name becomes a folder, packages and files become arguments and paths.
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+=-".contains(c))
        };
        let is_relative = |text: &str| !text.is_empty() && text.split('/').all(is_plain);
        want(is_plain(&self.name), "name has characters that do not belong into a folder's name");
        want(Version::parse(&self.version).is_ok(), "version is not a version");
        want(!self.arch.is_empty() && !self.os.is_empty(), "arch and os must name what it runs on");
        want(self.libraries.iter().all(|library| is_plain(library)), "libraries has a name that is no package");
        want(self.pins.values().all(|pin| is_sha256(pin)), "pins has a value that is no SHA-256");
        match &self.kind {
            Kind::Wheel { package, file, sha256, member, .. } => {
                want(is_plain(package) && package.contains("=="), "package must be NAME==VERSION");
                want(is_plain(file), "file must be the wheel's file name");
                want(is_sha256(sha256), "sha256 is no SHA-256");
                want(is_relative(member), "member must be a path inside the wheel");
            }
            Kind::Deb { packages, program } => {
                want(!packages.is_empty() && packages.iter().all(|name| is_plain(name)), "packages must name packages");
                want(is_relative(program), "program must be a path inside the packages");
            }
            Kind::Url { url, sha256, archive, member, .. } => {
                // This machine may serve itself without TLS: nobody is in between.
                let trusted = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
                want(trusted, "url must start with https://");
                want(Address::parse(url).is_some(), "url is no address, or one with a password in it");
                want(is_sha256(sha256), "sha256 is no SHA-256");
                want(
                    (*archive == Archive::Zip) == member.is_some(),
                    "member belongs to an archive, and an archive needs one",
                );
            }
        }
        faults
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Wheel { package, .. } => write!(f, "the Python package {package}"),
            Kind::Deb { packages, .. } => write!(f, "the distribution's package {}", packages[0]),
            Kind::Url { url, .. } => write!(f, "{url}"),
        }
    }
}

/// All sources, in the order they are tried.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    #[serde(rename = "source")]
    list: Vec<Source>,
}

/// Why a list of sources cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourcesFault {
    #[error("the list of engine sources cannot be read")]
    Syntax(#[from] toml::de::Error),
    #[error("the list of engine sources is wrong: {}", .0.join("; "))]
    Content(Vec<String>),
}

impl Sources {
    /// The list that Roadbed was built with.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../../engines.toml")).expect("a test holds that the built-in list is right")
    }

    /// Reads a list; every fault in it is reported at once.
    pub fn parse(text: &str) -> Result<Self, SourcesFault> {
        let sources: Self = toml::from_str(text)?;
        let faults: Vec<String> = sources.list.iter().flat_map(Source::faults).collect();
        if faults.is_empty() { Ok(sources) } else { Err(SourcesFault::Content(faults)) }
    }

    pub fn best(&self, engine: EngineKind, min: Version, platform: &Platform) -> Option<&Source> {
        self.list.iter().find(|source| source.fits(engine, min, platform))
    }

    /// What there is for an engine on any machine, for the message that says why nothing fits.
    pub fn of(&self, engine: EngineKind) -> impl Iterator<Item = &Source> {
        self.list.iter().filter(move |source| source.engine == engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(os: &str) -> Platform {
        Platform { arch: "x86_64".to_owned(), os: os.to_owned() }
    }

    #[test]
    fn the_built_in_list_serves_debian_12() {
        let sources = Sources::built_in();
        let min = Version::parse("6").unwrap();
        let mongod = sources.best(EngineKind::Mongod, min, &platform("debian-12")).unwrap();
        assert_eq!(mongod.version, "6.0.5");
        assert!(sources.best(EngineKind::RedisServer, Version::parse("7").unwrap(), &platform("debian-12")).is_some());
        assert!(sources.best(EngineKind::Mongod, min, &platform("plan9-4")).is_none());
        assert!(sources.best(EngineKind::Mongod, Version::parse("8").unwrap(), &platform("debian-12")).is_none());
        let arm = Platform { arch: "aarch64".to_owned(), ..platform("debian-12") };
        for engine in [EngineKind::Mongod, EngineKind::RedisServer] {
            assert!(sources.best(engine, min, &arm).unwrap().name.ends_with("-aarch64"));
        }
    }

    #[test]
    fn every_fault_of_a_list_is_told_at_once() {
        let text = r#"
            [[source]]
            engine = "mongod"
            name = "../up"
            version = "6"
            arch = ["x86_64"]
            os = ["debian-12"]
            kind = "url"
            url = "http://example.invalid/mongod"
            size = 1
            sha256 = "abc"
            archive = "none"
        "#;
        let fault = Sources::parse(text).unwrap_err().to_string();
        assert!(fault.contains("folder's name") && fault.contains("https://") && fault.contains("SHA-256"), "{fault}");
        assert!(matches!(Sources::parse("[[source]]\nengine = 'oracle'"), Err(SourcesFault::Syntax(_))));
    }

    #[test]
    fn another_pin_is_another_folder() {
        let mut source = Sources::built_in()
            .best(EngineKind::Mongod, Version::parse("6").unwrap(), &platform("debian-12"))
            .unwrap()
            .clone();
        let before = source.folder_name();
        if let Kind::Wheel { sha256, .. } = &mut source.kind {
            *sha256 = "0".repeat(64);
        }
        assert_ne!(before, source.folder_name());
    }
}
