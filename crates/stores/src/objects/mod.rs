//! Who may do what in object storage: the keys of its users, and the list of who is let in.
//!
//! The store of objects verifies signatures, so it must be able to make every key. It is given one secret, the root of all keys, and a
//! list without any: names of keys with what each opens. A key follows from its name and the root; its name follows from the password
//! that the secret store keeps for the app. So a rotation writes a list anew and starts nothing, and a name that is on no list opens
//! nothing.

use hmac::{Hmac, KeyInit, Mac};
use manifest::environment::Access;
use manifest::{AppName, Media};
use reconcile::Fault;
use secrets::{Secret, SecretName};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::engines::checksum;
use crate::ground::Ground;

/// Name of the unit, of the resource, and of its port in the port book.
pub const UNIT: &str = "objects";

/// The name of the key with which pictures are read to be delivered.
pub const DELIVERY: &str = "RBMEDIADELIVERY";

/// The name of the key with which Roadbed looks after what it promises.
pub const OPERATOR: &str = "RBOPERATOR";

/// Bytes of a key's name that follow from an app's password, in hexadecimal: eighty bits.
const NAME_DIGITS: usize = 20;

/// What all keys follow from.
pub fn root_secret() -> SecretName {
    SecretName::new("objects/root")
}

/// What an app's key has its name from.
pub fn app_secret(app: &AppName) -> SecretName {
    SecretName::new(format!("objects/app-{app}"))
}

/// A key: its name may be seen, the rest opens something.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub secret: Secret,
}

impl Key {
    /// Of an app, by the password that the secret store keeps for it.
    pub fn of_password(password: &Secret, root: &Secret) -> Self {
        let text = Zeroizing::new(format!("roadbed objects name 1\0{}", password.expose()));
        let digest = checksum::of_bytes(text.as_bytes());
        Self::named(&format!("RB{}", digest[..NAME_DIGITS].to_ascii_uppercase()), root)
    }

    /// By its name.
    pub fn named(id: &str, root: &Secret) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(root.expose().as_bytes()).expect("a key of any length is taken");
        mac.update(b"roadbed objects key 1\0");
        mac.update(id.as_bytes());
        let digest = mac.finalize().into_bytes();
        let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self { id: id.to_owned(), secret: Secret::new(hex) }
    }
}

/// What somebody may do with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    Read,
    Write,
    Delete,
    List,
}

/// What a key opens in one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opens {
    /// Its name in the storage.
    pub bucket: String,
    pub rights: Vec<Right>,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetIn {
    /// For people.
    pub who: String,
    pub access_key_id: String,
    pub opens: Vec<Opens>,
}

/// Makes the secrets that are not there yet.
pub fn prepare(ground: &Ground, media: &Media) -> Result<(), Fault> {
    ground.make_secret(&root_secret())?;
    media.apps.iter().try_for_each(|app| ground.make_secret(&app_secret(app)).map(drop))
}

/// Everybody who is let in now; `None` while secrets are missing.
pub fn let_in(ground: &Ground, media: &Media) -> Result<Option<Vec<LetIn>>, Fault> {
    let Some(root) = ground.secret(&root_secret())? else { return Ok(None) };
    let mut all = vec![delivery(media), operator(media)];
    for app in &media.apps {
        let passwords = ground.logins(&app_secret(app))?;
        if passwords.is_empty() {
            return Ok(None);
        }
        all.extend(passwords.iter().map(|password| LetIn {
            who: format!("{app} {}", password.version),
            access_key_id: Key::of_password(&password.secret, &root.secret).id,
            opens: opens(app, media),
        }));
    }
    Ok(Some(all))
}

fn opens(app: &AppName, media: &Media) -> Vec<Opens> {
    let rights = |writes: bool| match writes {
        true => vec![Right::Read, Right::Write, Right::Delete, Right::List],
        false => vec![Right::Read, Right::List],
    };
    let of = |bucket: &manifest::Bucket| Opens {
        bucket: bucket.full_name.clone(),
        rights: rights(bucket.writers.contains(app)),
    };
    media.buckets.iter().map(of).collect()
}

fn delivery(media: &Media) -> LetIn {
    let public = media.buckets.iter().filter(|bucket| bucket.access == Access::Public);
    LetIn {
        who: "delivery".to_owned(),
        access_key_id: DELIVERY.to_owned(),
        opens: public.map(|bucket| Opens { bucket: bucket.full_name.clone(), rights: vec![Right::Read] }).collect(),
    }
}

fn operator(media: &Media) -> LetIn {
    let all = vec![Right::Read, Right::Write, Right::Delete, Right::List];
    let of = |bucket: &manifest::Bucket| Opens { bucket: bucket.full_name.clone(), rights: all.clone() };
    LetIn {
        who: "roadbed".to_owned(),
        access_key_id: OPERATOR.to_owned(),
        opens: media.buckets.iter().map(of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_follows_from_its_name_and_the_root_and_from_nothing_else() {
        let (root, other) = (Secret::new("root".to_owned()), Secret::new("another root".to_owned()));
        let (one, two) = (Secret::new("one".to_owned()), Secret::new("two".to_owned()));
        let key = Key::of_password(&one, &root);
        assert_eq!(key.id.len(), 2 + NAME_DIGITS);
        assert_eq!(Key::named(&key.id, &root).secret.expose(), key.secret.expose());
        assert_eq!(Key::of_password(&one, &other).id, key.id, "a name tells nothing of the root");
        assert_ne!(Key::of_password(&one, &other).secret.expose(), key.secret.expose());
        assert_ne!(Key::of_password(&two, &root).id, key.id);
    }
}
