//! Documents that are read whole.

use std::path::Path;

use edge::publish::{Last, decode, encode};
use manifest::{EnvRef, Source};
use reconcile::ports::RouteTable;

/// The edge's table of routes: what was written is read back, and what was damaged is never taken for it.
pub fn routes(bytes: &[u8]) {
    let place = Path::new("/srv/shop");
    let _ = decode(place, bytes);
    let Ok(table) = serde_json::from_slice::<RouteTable>(bytes) else { return };
    let last = Last { generation: bytes.len() as u64, epoch: 7 };
    let mut stored = encode(place, &table, last).expect("what was read can be written");
    let (read, again) = decode(place, &stored).expect("what was written can be read");
    assert_eq!((read, &again), (last, &table));
    assert!(decode(Path::new("/srv/other"), &stored).is_err(), "of another root");
    let at = stored.len() - 1 - bytes.len() % (stored.len() / 2);
    stored[at] ^= 1;
    if let Ok((_, other)) = decode(place, &stored) {
        assert_eq!(other, table, "a damaged table was believed");
    }
}

/// A manifest, with every fault rendered, and each of its environments resolved.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source::new("roadbed.toml", text);
    let (manifest, diagnostics) = manifest::parse(&source);
    assert_eq!(manifest.is_none(), diagnostics.iter().any(manifest::Diagnostic::is_error));
    for diagnostic in &diagnostics {
        assert!(!diagnostic.render(&source).is_empty());
    }
    for name in manifest.iter().flat_map(manifest::Manifest::environments) {
        let _ = manifest.as_ref().expect("it has environments").resolve(&EnvRef::new(name));
    }
}

/// What a value may refer to, with facts filled in: no reference is left, and nothing is filled in twice.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A text in JSON is one in TOML.
    let value = serde_json::Value::String(text.to_owned());
    manifest(format!("{AROUND}value = {value}\n").as_bytes());
}

const AROUND: &str = r#"
[product]
name = "tiny"
[owners.team]
description = "Everything"
contact = "team@tiny.example"
[branches]
main = "production"
[environments.local]
domain = "tiny.localhost"
[environments.production]
domain = "tiny.example"
[services.redis]
[apps.web]
owner = "team"
path = "web"
kind = "node"
hosts = ["www"]
needs = ["redis"]
start = ["node", "server.js"]
[variables.OTHER]
description = "Another one"
apps = ["web"]
class = "internal"
owner = "team"
value = "${variable.VALUE}"
[variables.VALUE]
description = "The one that is looked at"
apps = ["web"]
class = "internal"
owner = "team"
"#;
