//! The labels and names that objects of an engine bear: what is ours, whose, and made when.

use std::collections::HashMap;

use crate::instance::{Epoch, InstanceId, Name, Spec};
use crate::port::Holder;

pub const ENVIRONMENT: &str = "roadbed.environment";
pub const EPOCH: &str = "roadbed.epoch";
const APP: &str = "roadbed.app";
const RELEASE: &str = "roadbed.release";
const INSTANCE: &str = "roadbed.instance";
const REVISION: &str = "roadbed.revision";
const PORT: &str = "roadbed.port";

/// How all names of ours begin, and whose environment follows. Parts have no dots, so no two are the same.
fn prefix(environment: &Name) -> String {
    format!("roadbed.{environment}")
}

pub fn container(environment: &Name, id: &InstanceId) -> String {
    format!("{}.{}.{}.{}", prefix(environment), id.app, id.release, id.instance)
}

pub fn network(environment: &Name) -> String {
    prefix(environment)
}

/// What says that an epoch was claimed.
pub fn fence(holder: &Holder) -> String {
    format!("{}.epoch.{}", prefix(&holder.environment), holder.epoch)
}

/// What an image is called on the engine, for people and so that nobody takes it for garbage.
pub fn repository(environment: &Name, app: &Name) -> String {
    format!("roadbed/{environment}.{app}")
}

/// Release of what bears this tag, if it is an image of the environment.
pub fn tagged<'a>(environment: &Name, tag: &'a str) -> Option<(&'a str, &'a str)> {
    tag.strip_prefix(&format!("roadbed/{environment}."))?.split_once(':')
}

pub fn of_environment(holder: &Holder) -> HashMap<String, String> {
    [(ENVIRONMENT, holder.environment.to_string()), (EPOCH, holder.epoch.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

pub fn of_instance(holder: &Holder, spec: &Spec) -> HashMap<String, String> {
    let Spec { id, port, .. } = spec;
    let mut labels = of_environment(holder);
    let of_it = [
        (APP, id.app.to_string()),
        (RELEASE, id.release.to_string()),
        (INSTANCE, id.instance.to_string()),
        (REVISION, spec.revision()),
        (PORT, port.to_string()),
    ];
    labels.extend(of_it.map(|(name, value)| (name.to_owned(), value)));
    labels
}

/// An instance by its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    pub id: InstanceId,
    pub epoch: Epoch,
    pub revision: String,
    pub port: u16,
}

/// What bears all labels of an instance of this environment, each in its form. Anything else is somebody else's.
pub fn read(environment: &Name, labels: &HashMap<String, String>) -> Option<Labelled> {
    if labels.get(ENVIRONMENT)? != environment.as_str() {
        return None;
    }
    let name = |label: &str| Name::new(labels.get(label)?.as_str()).ok();
    let id = InstanceId { app: name(APP)?, release: name(RELEASE)?, instance: name(INSTANCE)? };
    let port = labels.get(PORT)?.parse().ok()?;
    Some(Labelled { id, epoch: epoch(labels)?, revision: labels.get(REVISION)?.clone(), port })
}

pub fn epoch(labels: &HashMap<String, String>) -> Option<Epoch> {
    labels.get(EPOCH)?.parse().ok().map(Epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{Image, ImageId, Limits};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn labels_are_read_as_they_were_written_and_by_their_own_environment_alone() {
        let holder = Holder { environment: name("staging"), epoch: Epoch(7) };
        let id = InstanceId { app: name("api"), release: name("r1"), instance: name("blue-1") };
        let image = ImageId { configuration: "a".into(), manifest: "b".into() };
        let spec = Spec {
            id: id.clone(),
            image: Image { id: image, layout: "/".into() },
            command: Vec::new(),
            cwd: "/".into(),
            shown: [].into(),
            versions: String::new(),
            port: 8080,
            limits: Limits::default(),
        };
        let labels = of_instance(&holder, &spec);
        let expected = Labelled { id, epoch: Epoch(7), revision: spec.revision(), port: 8080 };
        assert_eq!(read(&holder.environment, &labels), Some(expected));
        assert_eq!(read(&name("production"), &labels), None);
        for missing in labels.keys() {
            let mut fewer = labels.clone();
            fewer.remove(missing);
            assert_eq!(read(&holder.environment, &fewer), None, "without {missing}");
        }
        for (label, strange) in [(APP, "A b"), (EPOCH, "x"), (EPOCH, "-1")] {
            let mut other = labels.clone();
            other.insert(label.to_owned(), strange.to_owned());
            assert_eq!(read(&holder.environment, &other), None, "{label}={strange}");
        }
    }

    #[test]
    fn a_tag_is_of_one_environment() {
        assert_eq!(tagged(&name("pr-1"), "roadbed/pr-1.api:r2"), Some(("api", "r2")));
        assert_eq!(tagged(&name("pr"), "roadbed/pr-1.api:r2"), None);
        assert_eq!(tagged(&name("pr-1"), "other/pr-1.api:r2"), None);
    }
}
