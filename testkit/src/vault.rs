//! What the secret store of an environment keeps, for whoever has to see that it is nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::clock::SystemClock;
use secrets::{Actor, Seat, Store, StoreFault, UserKeys, Via, jwk};
use serde_json::Value;

/// Every version of every secret variable that a store keeps, by name. `state` and `config` are the user's folders of Roadbed.
/// Empty if there is no store, and if a test broke it.
pub fn secret_variables(root: &Path, state: PathBuf, config: PathBuf) -> Vec<(String, String)> {
    store(root, state, config).and_then(|store| read(&store).ok()).unwrap_or_default()
}

fn store(root: &Path, state: PathBuf, config: PathBuf) -> Option<Store> {
    let file = root.join("secrets/store.db");
    let identity: Value = serde_json::from_slice(&fs::read(root.join("environment.json")).ok()?).ok()?;
    let text = |key: &str| identity[key].as_str().map(str::to_owned);
    let seat = Seat {
        before: root.join("secrets/store.json"),
        state: root.join("state"),
        install: text("id")?,
        environment: text("environment")?,
        keys: UserKeys { state: Some(state), config: Some(config) },
        identities: Vec::new(),
        others: Vec::new(),
        actor: Actor { user: "tests".to_owned(), origin: String::new(), via: Via::Control, reason: String::new() },
        clock: Arc::new(SystemClock),
        file,
    };
    seat.file.is_file().then(|| Store::new(seat))
}

/// Credentials of data services are left out: their servers' own files have them, and tests of those look there.
fn read(store: &Store) -> Result<Vec<(String, String)>, StoreFault> {
    let rows = store.versions()?;
    let is_open =
        |name: &str| rows.iter().any(|row| row.name == name && ["public", "internal"].contains(&row.class.as_str()));
    let mut values = Vec::new();
    for name in store.names()? {
        if !name.as_str().starts_with("var/") || is_open(name.as_str()) {
            continue;
        }
        for found in store.held(&name)? {
            let parts = jwk::private_part(&found.secret).into_iter().chain([found.secret]);
            values.extend(parts.map(|part| (format!("{name}@{}", found.version), part.expose().to_owned())));
        }
    }
    Ok(values)
}
