//! What a process that keeps one instance in the foreground is told: text, since another process writes it. No secret is in it: of the
//! variables that may not be shown it has the names, and the process has the values as its own variables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrets::Secret;
use serde::{Deserialize, Serialize};

use crate::docker::{Docker, Egress, PATIENCE};
use crate::instance::{Epoch, Given, Image, ImageId, InstanceId, Limits, Name, NameFault, Spec};
use crate::port::Holder;

/// Another form has another number, and is refused by who does not know it.
const FORM: u32 = 1;

/// The order as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    form: u32,
    pub socket: PathBuf,
    pub environment: String,
    pub epoch: u64,
    pub egress: bool,
    pub app: String,
    pub release: String,
    pub instance: String,
    pub image: Written,
    pub command: Vec<String>,
    pub cwd: String,
    pub shown: BTreeMap<String, String>,
    /// Names of variables that the process has for the instance.
    pub given: Vec<String>,
    pub versions: String,
    pub port: u16,
    pub memory: Option<u64>,
    pub processes: Option<u32>,
    pub cpu: Option<u32>,
    pub temporary: u64,
    pub open_files: Option<u32>,
    pub grace_ms: u64,
}

/// An image as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    pub configuration: String,
    pub manifest: String,
    pub layout: PathBuf,
}

/// Why an order is none.
#[derive(Debug, thiserror::Error)]
pub enum OrderFault {
    #[error("it is not in the form of an order")]
    Form(#[from] serde_json::Error),
    #[error("its form is {0}, and this program knows {FORM}")]
    OtherForm(u32),
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error("the variable {0} is to be given and is not there")]
    NotGiven(String),
}

/// Who is to be kept, and how.
#[derive(Clone, Debug)]
pub struct Kept {
    pub socket: PathBuf,
    pub holder: Holder,
    pub egress: Egress,
    pub spec: Spec,
    pub given: Vec<String>,
    pub grace: Duration,
}

impl Kept {
    pub fn written(&self) -> Order {
        let Spec { id, image, limits, .. } = &self.spec;
        Order {
            form: FORM,
            socket: self.socket.clone(),
            environment: self.holder.environment.to_string(),
            epoch: self.holder.epoch.0,
            egress: self.egress == Egress::Open,
            app: id.app.to_string(),
            release: id.release.to_string(),
            instance: id.instance.to_string(),
            image: Written {
                configuration: image.id.configuration.clone(),
                manifest: image.id.manifest.clone(),
                layout: image.layout.clone(),
            },
            command: self.spec.command.clone(),
            cwd: self.spec.cwd.clone(),
            shown: self.spec.shown.clone(),
            given: self.given.clone(),
            versions: self.spec.versions.clone(),
            port: self.spec.port,
            memory: limits.memory,
            processes: limits.processes,
            cpu: limits.cpu,
            temporary: limits.temporary,
            open_files: limits.open_files,
            grace_ms: u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// # Errors
    /// It is no order, or one of another form.
    pub fn read(text: &[u8]) -> Result<Self, OrderFault> {
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let Form { form } = serde_json::from_slice(text)?;
        if form != FORM {
            return Err(OrderFault::OtherForm(form));
        }
        let order: Order = serde_json::from_slice(text)?;
        let id = InstanceId {
            app: Name::new(order.app)?,
            release: Name::new(order.release)?,
            instance: Name::new(order.instance)?,
        };
        let Written { configuration, manifest, layout } = order.image;
        Ok(Self {
            socket: order.socket,
            holder: Holder { environment: Name::new(order.environment)?, epoch: Epoch(order.epoch) },
            egress: if order.egress { Egress::Open } else { Egress::Closed },
            spec: Spec {
                id,
                image: Image { id: ImageId { configuration, manifest }, layout },
                command: order.command,
                cwd: order.cwd,
                shown: order.shown,
                versions: order.versions,
                port: order.port,
                limits: Limits {
                    memory: order.memory,
                    processes: order.processes,
                    cpu: order.cpu,
                    temporary: order.temporary,
                    open_files: order.open_files,
                },
            },
            given: order.given,
            grace: Duration::from_millis(order.grace_ms),
        })
    }

    /// The engine that it names.
    pub fn engine(&self) -> Docker {
        Docker::new(self.socket.clone(), self.holder.clone(), self.egress, PATIENCE)
    }

    /// The variables that it names, from those of this process.
    ///
    /// # Errors
    /// One is not among them.
    pub fn take(&self, variables: &BTreeMap<String, String>) -> Result<Given, OrderFault> {
        let one = |name: &String| {
            let value = variables.get(name).ok_or_else(|| OrderFault::NotGiven(name.clone()))?;
            Ok((name.clone(), Secret::new(value.clone())))
        };
        self.given.iter().map(one).collect::<Result<_, _>>().map(Given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let name = |text: &str| Name::new(text).unwrap();
        let image = ImageId { configuration: "sha256:a".into(), manifest: "sha256:b".into() };
        Kept {
            socket: "/run/docker.sock".into(),
            holder: Holder { environment: name("staging"), epoch: Epoch(3) },
            egress: Egress::Closed,
            spec: Spec {
                id: InstanceId { app: name("api"), release: name("r1"), instance: name("blue-1") },
                image: Image { id: image, layout: "/images".into() },
                command: vec!["node".into(), "server.js".into()],
                cwd: "/app".into(),
                shown: [("A".to_owned(), "1".to_owned())].into(),
                versions: "S 4".into(),
                port: 8080,
                limits: Limits { memory: Some(1 << 28), cpu: Some(500), ..Limits::default() },
            },
            given: vec!["S".into()],
            grace: Duration::from_millis(31_500),
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written_and_has_no_value_that_may_not_be_shown() {
        let text = serde_json::to_vec(&kept().written()).unwrap();
        let read = Kept::read(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", kept()));
        assert_eq!(read.spec.revision(), kept().spec.revision());
        let variables = [("S".to_owned(), "value".to_owned()), ("OTHER".to_owned(), "x".to_owned())].into();
        let given = read.take(&variables).unwrap();
        assert_eq!(given.0.keys().collect::<Vec<_>>(), ["S"]);
        assert_eq!(given.0["S"].expose(), "value");
        assert!(matches!(read.take(&BTreeMap::new()), Err(OrderFault::NotGiven(name)) if name == "S"));
    }

    #[test]
    fn an_order_of_another_form_is_refused_before_anything_of_it_is_believed() {
        let mut order = serde_json::to_value(kept().written()).unwrap();
        order["form"] = 2.into();
        order["new"] = true.into();
        assert!(matches!(Kept::read(order.to_string().as_bytes()), Err(OrderFault::OtherForm(2))));
        let mut order = serde_json::to_value(kept().written()).unwrap();
        order["new"] = true.into();
        assert!(matches!(Kept::read(order.to_string().as_bytes()), Err(OrderFault::Form(_))));
        let mut order = serde_json::to_value(kept().written()).unwrap();
        order["instance"] = "../1".into();
        assert!(matches!(Kept::read(order.to_string().as_bytes()), Err(OrderFault::Name(_))));
    }
}
