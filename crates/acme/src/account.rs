//! The account that orders are placed with: made at first use, one per authority, its key in the root.

use std::path::{Path, PathBuf};

use host::files::{self, Access};
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::order::{Failure, Place};
use crate::wire::Wire;

/// The file of the account at one directory.
pub fn file(folder: &Path, directory: &str) -> PathBuf {
    let digest: String =
        Sha256::digest(directory.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("account-{digest}.json"))
}

/// The account that is there, else a new one, which is on disk before it is used.
pub async fn open(place: &Place<'_>, wire: &Wire) -> Result<Account, Failure> {
    let Place { accounts: folder, directory, contact, customer, .. } = *place;
    let cannot = |error: &Error| Failure::of(&format!("no account at {directory}"), error, &wire.waits);
    let disk = |fault: files::FileFault| Failure::here("the account of the authority cannot be kept", &fault);
    let path = file(folder, directory);
    if let Some(bytes) = files::read_if_exists(&path).map_err(disk)?.map(Zeroizing::new) {
        match serde_json::from_slice::<AccountCredentials>(&bytes) {
            Ok(credentials) => {
                let builder = Account::builder_with_http(Box::new(wire.clone()));
                return builder.from_credentials(credentials).await.map_err(|error| cannot(&error));
            }
            // Nothing is lost with it but the right to revoke: another one orders as well.
            Err(error) => tracing::error!(path = %path.display(), %error, "the account is damaged: making another"),
        }
    }
    let contact: Vec<String> = contact.iter().map(|mail| format!("mailto:{mail}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let bound = customer.map(|customer| ExternalAccountKey::new(customer.key_id.clone(), customer.key.bytes()));
    let builder = Account::builder_with_http(Box::new(wire.clone()));
    let made = builder.create(&wanted, directory.to_owned(), bound.as_ref()).await;
    let (account, credentials) = made.map_err(|error| cannot(&error))?;
    let bytes = Zeroizing::new(serde_json::to_vec(&credentials).expect("texts encode"));
    files::create_dir(folder, Access::Owner).map_err(disk)?;
    files::write_durable(&path, &bytes, Access::Owner).map_err(disk)?;
    Ok(account)
}

/// Forgets an account that the authority does not know.
pub fn forget(folder: &Path, directory: &str) -> Result<(), files::FileFault> {
    files::wipe(&file(folder, directory))
}
