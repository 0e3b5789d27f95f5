//! The end of the audit log, signed and kept outside of the store: in the root's `state` folder, and beside this user's keys.
//!
//! A head is written after what it tells is on disk, so it may be behind the store and is never before it. A store that is behind
//! its head was cut or put back.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use host::files::{self, Access};
use serde::{Deserialize, Serialize};

use super::Tip;
use crate::fault::StoreFault;
use crate::seal::prefixed;
use crate::seat::Seat;

const FORMAT: u32 = 1;

/// As it is on disk. All bytes are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    format: u32,
    pub(crate) install: String,
    pub(crate) seq: u64,
    pub(crate) hash: String,
    /// Counts the changes of values and keys. A store with a smaller one is an older store.
    pub(crate) epoch: u64,
    key: String,
    signature: String,
}

/// What is found where a head should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Head(Head),
    Missing,
    /// Cut short, or not signed with the key that it names.
    Damaged,
    /// Well signed as this root's, but not with the store's key.
    Strange,
    /// Another root's.
    Foreign,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

fn signed(install: &str, tip: &Tip, epoch: u64) -> Vec<u8> {
    let mut bytes = b"rb1-head".to_vec();
    prefixed(&mut bytes, install.as_bytes());
    prefixed(&mut bytes, &tip.seq.to_be_bytes());
    prefixed(&mut bytes, &tip.hash);
    prefixed(&mut bytes, &epoch.to_be_bytes());
    bytes
}

/// Writes the head to every place of it.
pub(crate) fn write(seat: &Seat, signer: &Ed25519KeyPair, tip: &Tip, epoch: u64) -> Result<(), StoreFault> {
    let head = Head {
        format: FORMAT,
        install: seat.install.clone(),
        seq: tip.seq,
        hash: hex(&tip.hash),
        epoch,
        key: hex(signer.public_key().as_ref()),
        signature: hex(signer.sign(&signed(&seat.install, tip, epoch)).as_ref()),
    };
    let json = serde_json::to_vec_pretty(&head).expect("a head is plain data");
    for path in seat.heads() {
        // Two processes may come here in the other order than they wrote: the later one stays.
        if let Found::Head(there) = read(&path, signer.public_key().as_ref(), &seat.install)?
            && there.epoch == epoch
            && there.seq > tip.seq
            && there.key == head.key
            && there.seq - tip.seq < RACE
        {
            continue;
        }
        files::create_dir(path.parent().unwrap_or(Path::new(".")), Access::Owner)?;
        // Not brought down to the disk at once: a head that a power cut takes back is behind the store, which it may be.
        files::replace(&path, &json, Access::Owner)?;
    }
    Ok(())
}

/// How far two processes that write at once can be apart.
const RACE: u64 = 64;

/// Reads the head at `path`, which must be signed with `key`.
pub(crate) fn read(path: &Path, key: &[u8], install: &str) -> Result<Found, StoreFault> {
    let Some(bytes) = files::read_if_exists(path)? else { return Ok(Found::Missing) };
    let Ok(head) = serde_json::from_slice::<Head>(&bytes) else { return Ok(Found::Damaged) };
    let parts = (unhex(&head.key), unhex(&head.hash), unhex(&head.signature));
    let (Some(of), Some(hash), Some(signature)) = parts else { return Ok(Found::Damaged) };
    let message = signed(&head.install, &Tip { seq: head.seq, hash }, head.epoch);
    if head.format != FORMAT || UnparsedPublicKey::new(&ED25519, &of).verify(&message, &signature).is_err() {
        return Ok(Found::Damaged);
    }
    Ok(match (head.install == install, of == key) {
        (true, true) => Found::Head(head),
        (true, false) => Found::Strange,
        (false, _) => Found::Foreign,
    })
}

/// Whether some head says that there was a store of this root.
pub(crate) fn tells_of(seat: &Seat) -> Result<bool, StoreFault> {
    for path in seat.heads() {
        if matches!(read(&path, &[], &seat.install)?, Found::Strange | Found::Damaged) {
            return Ok(true);
        }
    }
    Ok(false)
}
