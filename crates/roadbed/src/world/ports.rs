//! Loopback ports of instances and stores: chosen once, remembered, so that an address stays what it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use host::files::{self, Access};
use host::socket::is_port_free;
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use crate::control::identity;

/// Ports are taken from here: above the well-known ones, below the range from which the kernel takes ports for outgoing
/// connections (32768 up, by default), which could be gone between choosing and listening.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const RANGE_LENGTH: u16 = RANGE.end - RANGE.start;

/// Ports in a row that are looked at before giving up.
const LOOKED_AT: u16 = 1000;

/// The ports of one environment.
#[derive(Debug)]
pub struct PortBook {
    path: PathBuf,
    /// Id of the root; `None` where nobody can say.
    root: Option<String>,
    ports: BTreeMap<String, u16>,
    moved: Vec<Moved>,
}

/// As it is on disk. Before roots marked their files it was the map alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OnDisk {
    Marked { root: String, ports: BTreeMap<String, u16> },
    Unmarked(BTreeMap<String, u16>),
}

/// A remembered port that a stranger took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub name: String,
    pub from: u16,
    pub to: u16,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from, to } = self;
        write!(f, "port {from} of {name} was taken by another program; from now on it is {to}")
    }
}

impl PortBook {
    /// Where the book of a root lies.
    pub fn path(root: &Root) -> PathBuf {
        root.state().join("ports.json")
    }

    pub fn open(root: &Root) -> Result<Self, Fault> {
        let path = Self::path(root);
        let bytes =
            files::read_if_exists(&path).map_err(|fault| Fault::because("cannot read the port book", &fault))?;
        const HINT: &str =
            "`roadbed up --forget-state` moves it aside: new ports are chosen, and addresses change once";
        let root = identity::read(root)?.map(|identity| identity.id);
        let ports = match bytes {
            None => BTreeMap::new(),
            Some(bytes) => match serde_json::from_slice(&bytes) {
                Err(error) => {
                    let message = format!("cannot use the port book: {} is damaged", path.display());
                    return Err(Fault::because(message, &error).hint(HINT));
                }
                Ok(OnDisk::Marked { root: theirs, .. }) if root.as_ref().is_some_and(|ours| *ours != theirs) => {
                    let message = format!("cannot use the port book {}", path.display());
                    return Err(Fault::new(message).cause("it belongs to another environment's root").hint(HINT));
                }
                Ok(OnDisk::Marked { ports, .. } | OnDisk::Unmarked(ports)) => ports,
            },
        };
        Ok(Self { path, root, ports, moved: Vec::new() })
    }

    /// Makes the book of another root this one's, where there is one.
    pub fn take_over(root: &Root, id: &str) -> Result<(), Fault> {
        let path = Self::path(root);
        let bytes =
            files::read_if_exists(&path).map_err(|fault| Fault::because("cannot read the port book", &fault))?;
        match bytes.map(|bytes| serde_json::from_slice(&bytes)) {
            Some(Ok(OnDisk::Marked { ports, .. } | OnDisk::Unmarked(ports))) => {
                Self { path, root: Some(id.to_owned()), ports, moved: Vec::new() }.save()
            }
            // What is damaged is refused by whoever opens it next.
            _ => Ok(()),
        }
    }

    /// Every port that is remembered, by what it is for.
    pub fn all(&self) -> &BTreeMap<String, u16> {
        &self.ports
    }

    /// The port of `name`. A remembered port that a stranger took meanwhile is replaced; one that our own unit listens on
    /// (`is_ours`) stays.
    pub fn port(&mut self, name: &str, is_ours: bool) -> Result<u16, Fault> {
        if let Some(port) = self.ports.get(name).filter(|port| is_ours || is_port_free(**port)) {
            return Ok(*port);
        }
        // In a row from a place of its own: two environments that choose at once, neither of which listens yet, meet a tenth as
        // often as with ports from anywhere.
        let first = match self.ports.values().filter(|port| RANGE.contains(port)).max() {
            Some(last) => last - RANGE.start + 1,
            None => random_place()?,
        };
        for port in (0..LOOKED_AT).map(|away| RANGE.start + (first + away) % RANGE_LENGTH) {
            if !self.ports.values().any(|taken| *taken == port) && is_port_free(port) {
                if let Some(from) = self.ports.insert(name.to_owned(), port) {
                    self.moved.push(Moved { name: name.to_owned(), from, to: port });
                }
                self.save()?;
                return Ok(port);
            }
        }
        Err(Fault::new(format!("cannot find a free port for {name}"))
            .cause(format!("tried {LOOKED_AT} ports between {} and {}", RANGE.start, RANGE.end)))
    }

    /// Remembers a port that somebody else chose.
    pub fn remember(&mut self, name: &str, port: u16) -> Result<(), Fault> {
        if self.ports.insert(name.to_owned(), port) == Some(port) {
            return Ok(());
        }
        self.save()
    }

    pub fn remembered(&self, name: &str) -> Option<u16> {
        self.ports.get(name).copied()
    }

    /// The ports that had to be replaced since the book was opened.
    pub fn moved(&self) -> &[Moved] {
        &self.moved
    }

    fn save(&self) -> Result<(), Fault> {
        let disk = match &self.root {
            Some(root) => OnDisk::Marked { root: root.clone(), ports: self.ports.clone() },
            None => OnDisk::Unmarked(self.ports.clone()),
        };
        let json = serde_json::to_vec_pretty(&disk).expect("a map of ports is plain data");
        files::write_durable(&self.path, &json, Access::Owner)
            .map_err(|fault| Fault::because("cannot remember a port", &fault).hint("see whether the disk is full"))
    }
}

fn random_place() -> Result<u16, Fault> {
    let mut bytes = [0_u8; 2];
    getrandom::fill(&mut bytes).map_err(|error| Fault::because("cannot choose a port", &error))?;
    Ok(u16::from_be_bytes(bytes) % RANGE_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(root: &Root) -> PortBook {
        PortBook::open(root).unwrap()
    }

    #[test]
    fn a_port_is_remembered_until_a_stranger_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        files::create_dir(&root.state(), Access::Owner).unwrap();
        let port = book(&root).port("api-1", false).unwrap();
        assert_eq!(book(&root).port("api-1", false).unwrap(), port);

        let taken = host::socket::listen(([127, 0, 0, 1], port).into()).unwrap();
        assert_eq!(book(&root).port("api-1", true).unwrap(), port, "our own unit is no stranger");
        let mut moving = book(&root);
        let other = moving.port("api-1", false).unwrap();
        assert_ne!(other, port);
        assert_eq!(moving.moved(), [Moved { name: "api-1".into(), from: port, to: other }]);
        drop(taken);
    }

    #[test]
    fn ports_are_taken_in_a_row_past_those_that_somebody_has() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        files::create_dir(&root.state(), Access::Owner).unwrap();
        let mut book = book(&root);
        book.remember("https", RANGE.end - 1).unwrap();
        let ports: Vec<u16> = (1..=3).map(|number| book.port(&format!("api-{number}"), false).unwrap()).collect();
        // The row goes on at the beginning of the range, wherever somebody else lets it.
        assert!(ports.is_sorted() && ports[2] < RANGE.start + LOOKED_AT, "{ports:?}");
        let _taken = host::socket::listen(([127, 0, 0, 1], ports[2] + 1).into());
        let next = book.port("api-4", false).unwrap();
        assert!(!ports.contains(&next) && next != ports[2] + 1, "{ports:?} and {next}");
    }

    #[test]
    fn a_damaged_book_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        files::create_dir(&root.state(), Access::Owner).unwrap();
        files::write(&root.state().join("ports.json"), b"{\"api-1\": 2", Access::Owner).unwrap();
        assert!(PortBook::open(&root).unwrap_err().message.contains("is damaged"));
    }
}
