//! What an artifact is made of, as a CycloneDX 1.5 document: <https://cyclonedx.org/docs/1.5/json/>. It has no time and no serial
//! number of its own, so the same artifact has the same bill.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::Digest;
use super::lock::Package;

/// What a package URL leaves as it is: <https://github.com/package-url/purl-spec>.
const PURL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The bill of an app's artifact.
pub fn of(app: &str, digest: &Digest, packages: &[Package]) -> Value {
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": app,
                "name": app,
                "version": digest.short(),
                "hashes": [{ "alg": "SHA-256", "content": digest }],
            }
        },
        "components": packages.iter().map(component).collect::<Vec<_>>(),
        "dependencies": [{ "ref": app, "dependsOn": packages.iter().map(|package| &package.path).collect::<Vec<_>>() }],
    })
}

fn component(package: &Package) -> Value {
    let mut component = Map::new();
    component.insert("type".into(), "library".into());
    // The same version may be installed twice, in two places.
    component.insert("bom-ref".into(), package.path.as_str().into());
    component.insert("name".into(), package.name.as_str().into());
    component.insert("version".into(), package.version.as_str().into());
    component.insert("purl".into(), purl(package).into());
    if let Some(license) = &package.license {
        component.insert("licenses".into(), json!([{ "expression": license }]));
    }
    if let Some(sha512) = package.integrity.as_deref().and_then(sha512) {
        component.insert("hashes".into(), json!([{ "alg": "SHA-512", "content": sha512 }]));
    }
    component.into()
}

/// `pkg:npm/%40scope/name@1.2.3`
fn purl(package: &Package) -> String {
    let encode = |text: &str| utf8_percent_encode(text, PURL).to_string();
    let name: Vec<String> = package.name.split('/').map(encode).collect();
    format!("pkg:npm/{}@{}", name.join("/"), encode(&package.version))
}

/// From npm's base64 to hexadecimal digits; of several digests the longest is npm's own.
fn sha512(integrity: &str) -> Option<String> {
    let encoded = integrity.split_whitespace().find_map(|one| one.strip_prefix("sha512-"))?;
    let bytes = STANDARD.decode(encoded).ok()?;
    (bytes.len() == 64).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_as_the_standards_name_it() {
        let package = Package {
            path: "node_modules/@redis/client".to_owned(),
            name: "@redis/client".to_owned(),
            version: "6.3.1".to_owned(),
            integrity: Some(format!("sha1-x sha512-{}", STANDARD.encode([7_u8; 64]))),
            license: Some("MIT".to_owned()),
            optional: false,
            workspace: None,
        };
        let bill = of("api", &Digest::of(&[0; 32]), &[package]);
        let component = &bill["components"][0];
        assert_eq!(component["purl"], "pkg:npm/%40redis/client@6.3.1");
        assert_eq!(component["hashes"][0]["content"], "07".repeat(64));
        assert_eq!(component["licenses"][0]["expression"], "MIT");
        assert_eq!(bill["dependencies"][0]["dependsOn"][0], "node_modules/@redis/client");
    }

    #[test]
    fn a_digest_that_is_none_is_left_out() {
        assert_eq!(sha512("sha512-????"), None);
        assert_eq!(sha512("sha512-AAAA"), None);
        assert_eq!(sha512("sha1-AAAA"), None);
    }
}
