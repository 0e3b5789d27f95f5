//! The listening sockets: the keeper holds them, so that no visitor is refused while an edge is replaced.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use host::files::{self, Access, FileFault};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::sockets_file;

const VERSION: u32 = 1;

/// All of them, by name.
#[derive(Debug)]
pub(super) struct Sockets {
    root: Root,
    known: BTreeMap<String, Socket>,
}

#[derive(Debug)]
struct Socket {
    place: Place,
    /// `None`: it was held by an earlier keeper, and could not be bound again yet.
    listener: Option<TcpListener>,
}

/// Where a socket listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// What was asked for; port 0 picks one.
    requested: SocketAddr,
    actual: SocketAddr,
}

#[derive(Debug, Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    /// Whose they are: those of another root are another environment's addresses.
    #[serde(default)]
    root: Option<PathBuf>,
    sockets: BTreeMap<String, Place>,
}

impl Sockets {
    /// Reads where an earlier keeper listened. Damage is told by the second value; the sockets themselves may still come back
    /// from the edge, and control asks for them again.
    pub(super) fn load(root: &Root) -> Result<(Self, Option<String>), FileFault> {
        let path = sockets_file(root);
        let mut fault = None;
        let places = match files::read_if_exists(&path)? {
            None => BTreeMap::new(),
            Some(bytes) => match serde_json::from_slice::<OnDisk>(&bytes) {
                Ok(disk)
                    if disk.version == VERSION && disk.root.as_deref().is_none_or(|theirs| theirs == root.path()) =>
                {
                    disk.sockets
                }
                unusable => {
                    let why = unusable.map_or_else(
                        |error| error.to_string(),
                        |disk| format!("version {} of the root {:?}", disk.version, disk.root.unwrap_or_default()),
                    );
                    let aside = path.with_extension("json.damaged");
                    files::rename(&path, &aside)?;
                    fault = Some(format!(
                        "the list of listening sockets is damaged ({why}); it was kept as {}",
                        aside.display()
                    ));
                    BTreeMap::new()
                }
            },
        };
        let known = places.into_iter().map(|(name, place)| (name, Socket { place, listener: None })).collect();
        Ok((Self { root: root.clone(), known }, fault))
    }

    /// Those that are held.
    pub(super) fn held(&self) -> impl Iterator<Item = (&str, &TcpListener)> {
        self.known.iter().filter_map(|(name, socket)| Some((name.as_str(), socket.listener.as_ref()?)))
    }

    /// Whether a socket is known that is not held.
    pub(super) fn any_missing(&self) -> bool {
        self.known.values().any(|socket| socket.listener.is_none())
    }

    /// Takes a socket back from a process that outlived the keeper before. One that is held already, or that listens
    /// elsewhere than it should, is not needed.
    pub(super) fn offer(&mut self, name: &str, offered: OwnedFd) {
        let listener = TcpListener::from(offered);
        let Ok(actual) = listener.local_addr() else { return };
        match self.known.get_mut(name) {
            Some(socket) if socket.listener.is_none() && socket.place.actual == actual => {
                socket.listener = Some(listener);
                tracing::info!(socket = name, address = %actual, "got a listening socket back");
            }
            Some(_) => {}
            // The list was damaged: what listens is the better witness.
            None => {
                let place = Place { requested: actual, actual };
                self.known.insert(name.to_owned(), Socket { place, listener: Some(listener) });
                if let Err(fault) = self.save() {
                    tracing::error!(error = %fault.source, "{fault}");
                }
            }
        }
    }

    /// Binds what did not come back. What cannot be bound stays known, and is tried again when it is needed.
    pub(super) fn bind_missing(&mut self) -> Vec<String> {
        let names: Vec<String> = self.known.keys().cloned().collect();
        let failed = names.iter().filter_map(|name| self.bind(name).err());
        failed.map(|fault| format!("{}: {}", fault.message, fault.causes.join(": "))).collect()
    }

    fn bind(&mut self, name: &str) -> Result<(), Fault> {
        let Some(socket) = self.known.get_mut(name) else {
            return Err(Fault::new(format!("there is no listening socket {name:?}"))
                .hint("`roadbed up` opens the sockets that an environment needs"));
        };
        if socket.listener.is_none() {
            socket.listener = Some(listen(name, socket.place.actual)?);
        }
        Ok(())
    }

    /// Copies of sockets, to be handed to a child.
    pub(super) fn handout(&mut self, names: &[String]) -> Result<Vec<OwnedFd>, Fault> {
        let mut copies = Vec::with_capacity(names.len());
        for name in names {
            self.bind(name)?;
            if let Some(listener) = self.known.get(name).and_then(|socket| socket.listener.as_ref()) {
                let copy = listener
                    .try_clone()
                    .map_err(|error| Fault::because(format!("cannot copy the socket {name:?}"), &error))?;
                copies.push(copy.into());
            }
        }
        Ok(copies)
    }

    /// See [`reconcile::ports::Sockets::listen`].
    pub(super) fn listen(&mut self, name: &str, requested: SocketAddr) -> Result<SocketAddr, Fault> {
        if let Some(socket) = self.known.get(name) {
            let place = socket.place;
            if place.requested == requested || place.actual == requested {
                self.bind(name)?;
                return Ok(place.actual);
            }
        }
        let listener = listen(name, requested)?;
        let actual = listener
            .local_addr()
            .map_err(|error| Fault::because(format!("cannot tell where the socket {name:?} listens"), &error))?;
        let socket = Socket { place: Place { requested, actual }, listener: Some(listener) };
        let before = self.known.insert(name.to_owned(), socket);
        if let Err(fault) = self.save() {
            match before {
                Some(before) => self.known.insert(name.to_owned(), before),
                None => self.known.remove(name),
            };
            return Err(Fault::because(format!("cannot record the socket {name:?}"), &fault));
        }
        tracing::info!(socket = name, address = %actual, "listening");
        Ok(actual)
    }

    /// Closes all and forgets them: the environment goes down.
    pub(super) fn close(&mut self) -> Result<(), FileFault> {
        self.known.clear();
        files::remove(&sockets_file(&self.root))
    }

    fn save(&self) -> Result<(), FileFault> {
        let sockets = self.known.iter().map(|(name, socket)| (name.clone(), socket.place)).collect();
        let text =
            serde_json::to_vec_pretty(&OnDisk { version: VERSION, root: Some(self.root.path().to_owned()), sockets })
                .expect("addresses are plain data");
        files::write_durable(&sockets_file(&self.root), &text, Access::Owner)
    }
}

fn listen(name: &str, address: SocketAddr) -> Result<TcpListener, Fault> {
    host::socket::listen(address).map_err(|error| {
        let fault = Fault::because(format!("cannot listen on {address} for {name:?}"), &error);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => fault.hint(format!(
                "another program has port {}: `ss -ltnp` shows which; stop it or choose another port",
                address.port()
            )),
            std::io::ErrorKind::PermissionDenied => {
                fault.hint("ports below 1024 need a privilege: choose a higher one")
            }
            _ => fault,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn sockets(root: &Root) -> Sockets {
        files::create_dir(&root.run(), Access::Owner).unwrap();
        let (sockets, fault) = Sockets::load(root).unwrap();
        assert_eq!(fault, None);
        sockets
    }

    #[test]
    fn the_same_name_on_the_same_address_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let mut first = sockets(&root);
        let address = first.listen("https", ANY).unwrap();
        assert_eq!(first.listen("https", ANY).unwrap(), address);
        assert_eq!(first.listen("https", address).unwrap(), address);
        assert_ne!(first.listen("http", ANY).unwrap(), address);
        drop(first);

        let mut second = sockets(&root);
        assert!(second.any_missing());
        assert!(TcpStream::connect(address).is_err(), "nobody listens between");
        assert!(second.bind_missing().is_empty());
        assert!(!second.any_missing());
        assert!(TcpStream::connect(address).is_ok());
        assert_eq!(second.listen("https", ANY).unwrap(), address);
        assert_eq!(second.handout(&["https".to_owned(), "http".to_owned()]).unwrap().len(), 2);
        assert!(second.handout(&["nobody".to_owned()]).is_err());
        second.close().unwrap();
        assert!(!sockets(&root).any_missing());
    }

    #[test]
    fn what_comes_back_is_taken_only_if_it_listens_where_it_should() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let mut first = sockets(&root);
        let address = first.listen("https", ANY).unwrap();
        let survivor = first.handout(&["https".to_owned()]).unwrap().remove(0);
        drop(first);

        let mut second = sockets(&root);
        second.offer("https", TcpListener::bind(ANY).unwrap().into());
        assert!(second.any_missing(), "another address is another socket");
        second.offer("https", survivor);
        assert!(!second.any_missing());
        assert!(TcpStream::connect(address).is_ok());
    }

    #[test]
    fn a_port_that_is_taken_is_named_and_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let mut sockets = sockets(&root);
        let other = TcpListener::bind(ANY).unwrap();
        let taken = other.local_addr().unwrap();
        let fault = sockets.listen("https", taken).unwrap_err();
        assert!(fault.message.contains(&taken.to_string()), "{fault}");
        assert!(fault.hint.unwrap().contains(&taken.port().to_string()));
        assert!(!sockets.any_missing());
    }

    #[test]
    fn a_damaged_list_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        sockets(&root).listen("https", ANY).unwrap();
        let path = sockets_file(&root);
        let good = files::read(&path).unwrap();
        files::write_durable(&path, &good[..good.len() / 2], Access::Owner).unwrap();
        let (_, fault) = Sockets::load(&root).unwrap();
        assert!(fault.unwrap().contains("damaged"));
        assert!(files::exists(&path.with_extension("json.damaged")));
    }
}
