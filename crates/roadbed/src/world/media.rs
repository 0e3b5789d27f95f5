//! Delivery of pictures: the process that makes variants of what lies in public buckets, and how it is reached.

use std::collections::BTreeMap;
use std::path::PathBuf;

use manifest::Media;
use manifest::environment::Access;
use reconcile::loaded::Loaded;
use reconcile::ports::Site;
use reconcile::{Fault, ResourceId};
use stores::objects::{DELIVERY, Key, root_secret};

use super::objects::{SETTINGS, root_key, sidecar_site};
use super::sidecar::{Sidecar, SidecarProcess, conf, get};

/// Name of the unit, of the resource, and of its port in the port book.
pub const MEDIA: &str = "media";

/// The variable with the key by which it reads pictures.
pub const READING_KEY: &str = "ROADBED_MEDIA_KEY";

#[derive(Debug)]
struct Delivery {
    media: Media,
    port: u16,
    objects: u16,
    ground: stores::Ground,
}

/// The process as a resource.
pub(super) fn process(
    media: &Media,
    (port, objects): (u16, u16),
    ground: &stores::Ground,
) -> Result<SidecarProcess, Fault> {
    let delivery = Delivery { media: media.clone(), port, objects, ground: ground.clone() };
    SidecarProcess::new(vec![ResourceId::new(stores::objects::UNIT)], Box::new(delivery), ground.clone())
}

impl Delivery {
    fn settings(&self) -> ::media::Settings {
        let public = self.media.buckets.iter().filter(|bucket| bucket.access == Access::Public);
        ::media::Settings {
            buckets: public.map(|bucket| bucket.full_name.clone()).collect(),
            widths: self.media.widths.iter().copied().collect(),
            folder: Some(self.cache()),
            ..::media::Settings::default()
        }
    }

    /// What was made is kept over a restart; it can be made again.
    fn cache(&self) -> PathBuf {
        self.ground.root.data(MEDIA)
    }
}

impl Sidecar for Delivery {
    fn name(&self) -> &'static str {
        MEDIA
    }

    fn what(&self) -> &'static str {
        "delivery of pictures"
    }

    fn probes(&self) -> Result<Vec<String>, Fault> {
        Ok(vec![get(::media::HEALTH, self.port, "")])
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn args(&self) -> Vec<String> {
        let told = conf(&self.ground, MEDIA).to_string_lossy().into_owned();
        let (listen, objects) = (self.port.to_string(), self.objects.to_string());
        ["--listen".to_owned(), listen, "--objects".to_owned(), objects, "--told".to_owned(), told].into()
    }

    fn env(&self) -> Result<(BTreeMap<String, String>, Loaded), Fault> {
        let (name, found) = (root_secret(), root_key(&self.ground)?);
        let key = Key::named(DELIVERY, &found.secret);
        let env = [(READING_KEY.to_owned(), key.secret.expose().to_owned())].into();
        Ok((env, [(name.to_string(), found.version)].into()))
    }

    fn files(&self) -> Result<Option<BTreeMap<&'static str, Vec<u8>>>, Fault> {
        let settings = serde_json::to_vec_pretty(&self.settings()).expect("what it is told is plain data");
        Ok(Some([(SETTINGS, settings)].into()))
    }

    fn read_once(&self) -> &'static [&'static str] {
        &[SETTINGS]
    }

    fn data(&self) -> Vec<PathBuf> {
        vec![self.cache()]
    }
}

/// How visitors reach it.
pub(super) fn site(media: &Media, port: u16) -> Site {
    sidecar_site(MEDIA, &media.host, port, Some(0))
}
