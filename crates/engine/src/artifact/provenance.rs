//! Where an artifact comes from, as a SLSA provenance v1 in an in-toto statement: <https://slsa.dev/spec/v1.0/provenance>. It has no
//! time, so the same build says the same.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Digest;

/// What kind of build the parameters are of.
const BUILD_TYPE: &str = "urn:roadbed:build:npm:v1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Where builds of a project come from, whichever app they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who built: the id of the root whose key signs.
    pub builder: String,
    /// Version of this program.
    pub version: String,
    /// The commit of the checkout, where there is one. What was really built is told by the digest of the inputs.
    pub commit: Option<String>,
    /// SHA-256 of the manifest's text.
    pub manifest: String,
    /// Every environment of the manifest: one artifact serves all.
    pub environments: Vec<String>,
    /// SHA-256 of the lock file, where there is one.
    pub lock: Option<String>,
    /// Tools and their versions.
    pub tools: Vec<(String, String)>,
}

/// The statement about one artifact.
pub(crate) fn statement(app: &str, digest: &Digest, inputs: &str, origin: &Origin) -> Value {
    let mut dependencies: Vec<Value> = Vec::new();
    dependencies
        .extend(origin.commit.iter().map(|commit| json!({ "name": "source", "digest": { "gitCommit": commit } })));
    dependencies
        .extend(origin.lock.iter().map(|lock| json!({ "name": "package-lock.json", "digest": { "sha256": lock } })));
    let tools =
        origin.tools.iter().map(|(name, version)| json!({ "name": name, "annotations": { "version": version } }));
    dependencies.extend(tools);
    json!({
        "_type": STATEMENT,
        "subject": [{ "name": app, "digest": { "sha256": digest } }],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "app": app,
                    "commit": origin.commit,
                    "manifest": { "sha256": origin.manifest },
                    "environments": origin.environments,
                },
                "internalParameters": { "inputs": { "sha256": inputs } },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": format!("urn:roadbed:install:{}", origin.builder),
                    "version": { "roadbed": origin.version },
                },
            },
        },
    })
}

/// As much of a statement as it takes to tell what it is about.
#[derive(Debug, Deserialize)]
struct Stated {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate: String,
}

#[derive(Debug, Deserialize)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Debug, Deserialize)]
struct SubjectDigest {
    sha256: String,
}

/// What a statement is about: name and digest. `None` if it is no provenance of one artifact.
pub(crate) fn subject(statement: &[u8]) -> Option<(String, String)> {
    let stated: Stated = serde_json::from_slice(statement).ok()?;
    match (stated.kind.as_str(), stated.predicate.as_str(), <[Subject; 1]>::try_from(stated.subject)) {
        (STATEMENT, PREDICATE, Ok([subject])) => Some((subject.name, subject.digest.sha256)),
        _ => None,
    }
}
