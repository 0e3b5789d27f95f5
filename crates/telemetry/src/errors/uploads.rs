//! How source maps come in: from control, which has the releases, and from builds by the tool that Sentry's bundler plugins use.
//!
//! ```text
//!   our own     PUT  /errors/maps?app=…&release=…&path=…         the map; GET /errors/maps: what there is
//!   sentry-cli  GET  /api/0/organizations/ORG/chunk-upload/      how to send
//!               POST …/artifactbundle/assemble/                  which parts are missing
//!               POST …/chunk-upload/                             parts, by their SHA-1
//!               POST …/artifactbundle/assemble/                  a ZIP is made of them, and its maps are kept
//! ```
//!
//! The token of a build is the server's key of the app. A page's key, which every visitor knows, opens nothing here, and neither is
//! there a way in through the public host.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use host::files::{self, Access};
use reconcile::Fault;
use serde::Deserialize;
use serde_json::json;
use sha1::{Digest, Sha1};

use super::maps::{Brought, MapsOfRelease};
use super::projects::{KeyOf, Project};
use super::questions::{parameter, told};
use super::source_map::MAX_MAP;
use super::{Errors, answers::Answer};

/// Parts are no larger, in bytes; with what surrounds it, one is below what a body may have.
const PART: usize = 2 << 20;

/// Of a bundle as it is sent, in bytes. A shop's largest has 20 MB.
const MAX_BUNDLE: u64 = 128 << 20;

/// Parts that wait for their bundle, in bytes: whoever holds a key could send parts for ever.
const MAX_WAITING: u64 = 256 << 20;

/// Files of one bundle.
const MAX_FILES: usize = 10_000;

/// A bundle that unpacks to more than this is a bomb.
const MAX_UNPACKED: u64 = 1 << 30;

/// The door for builds, on loopback alone.
pub(crate) fn routes(errors: Arc<Errors>) -> Router {
    let mut router = Router::new();
    for end in ["", "/"] {
        let organization = "/api/0/organizations/{organization}";
        router = router
            .route(&format!("{organization}/chunk-upload{end}"), get(how).post(parts))
            .route(&format!("{organization}/artifactbundle/assemble{end}"), post(assemble));
    }
    router.layer(DefaultBodyLimit::max(2 * PART)).with_state(errors)
}

/// The door for control.
pub(crate) fn for_our_own(errors: Arc<Errors>) -> Router {
    let keeping = get(list).put(keep).layer(DefaultBodyLimit::max(MAX_MAP));
    Router::new().route("/errors/maps", keeping).with_state(errors)
}

async fn list(State(errors): State<Arc<Errors>>) -> Result<Json<Vec<MapsOfRelease>>, Response> {
    let looked = tokio::task::spawn_blocking(move || {
        errors.maps.list().map_err(|fault| Fault::because("cannot read the source maps", &fault))
    });
    let looked = looked.await.unwrap_or_else(|error| Err(Fault::because("cannot read the source maps", &error)));
    looked.map(Json).map_err(|fault| told(StatusCode::INTERNAL_SERVER_ERROR, fault))
}

async fn keep(State(errors): State<Arc<Errors>>, uri: Uri, body: Bytes) -> Result<Json<()>, Response> {
    let of = |name| parameter(&uri, name).unwrap_or_default();
    let (app, release, path) = (of("app"), of("release"), of("path"));
    if app.is_empty() || path.is_empty() {
        let fault = Fault::new("cannot keep a source map of no app or no file");
        return Err(told(StatusCode::BAD_REQUEST, fault));
    }
    let kept = tokio::task::spawn_blocking(move || {
        let brought = Brought { app: &app, release: &release, path: &path, debug_id: None, json: &body };
        let kept = errors.maps.keep(brought, errors.clock.now().unix_millis());
        kept.map_err(|fault| Fault::because(format!("cannot keep the source map {path} of {app}"), &fault))
    });
    let kept = kept.await.unwrap_or_else(|error| Err(Fault::because("cannot keep a source map", &error)));
    kept.map(Json).map_err(|fault| told(StatusCode::UNPROCESSABLE_ENTITY, fault))
}

async fn how(State(errors): State<Arc<Errors>>, headers: HeaderMap, uri: Uri) -> Result<Response, Answer> {
    errors.builder(&headers)?;
    // As the tool knows us: whatever stands between.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let options = json!({
        "url": format!("http://{host}{}", uri.path()),
        "chunkSize": PART, "chunksPerRequest": 1, "maxRequestSize": PART, "maxFileSize": MAX_BUNDLE,
        "concurrency": 1, "hashAlgorithm": "sha1", "compression": ["gzip"],
        "accept": ["release_files", "sources", "artifact_bundles", "artifact_bundles_v2"],
    });
    Ok(Json(options).into_response())
}

async fn parts(State(errors): State<Arc<Errors>>, headers: HeaderMap, body: Body) -> Result<Response, Answer> {
    errors.builder(&headers)?;
    let boundary = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(boundary);
    let boundary = boundary.ok_or_else(|| refused("parts come as multipart/form-data"))?;
    let body = errors.bodies.read(&headers, body).await?;
    let folder = errors.parts();
    let kept = tokio::task::spawn_blocking(move || {
        files::create_dir(&folder, Access::Owner)?;
        let mut waiting = 0;
        for path in files::list(&folder)? {
            waiting += files::metadata(&path)?.len();
        }
        if waiting > MAX_WAITING {
            // Of uploads that were broken off. Whoever is in the midst of one sends its parts again.
            for path in files::list(&folder)? {
                files::remove(&path)?;
            }
        }
        for Part { packed, bytes } in multipart(&body, &boundary) {
            let bytes = if packed { unpack(bytes) } else { Some(bytes.to_vec()) };
            let Some(bytes) = bytes else { return Ok(false) };
            // Its name is what it is, whatever it was called.
            files::write(&folder.join(sha1_of(&bytes)), &bytes, Access::Owner)?;
        }
        Ok(true)
    });
    match kept.await.map_err(|_| broken_off())? {
        Ok(true) => Ok(Json(json!({})).into_response()),
        Ok(false) => Err(refused("a part is not packed by gzip, or is too large")),
        Err(fault) => Err(cannot(&fault)),
    }
}

#[derive(Deserialize)]
struct Assemble {
    checksum: String,
    chunks: Vec<String>,
    #[serde(default)]
    projects: Vec<String>,
    #[serde(default)]
    version: Option<String>,
}

async fn assemble(State(errors): State<Arc<Errors>>, headers: HeaderMap, body: Body) -> Result<Response, Answer> {
    let app = errors.builder(&headers)?.app.clone();
    let body = errors.bodies.read(&headers, body).await?;
    let wanted: Assemble = serde_json::from_slice(&body).map_err(|_| refused("this does not say what to assemble"))?;
    let id = Project::id_of(&app).to_string();
    if wanted.projects.iter().any(|project| *project != app && *project != id) {
        return Err(Answer::stranger());
    }
    if !wanted.chunks.iter().chain([&wanted.checksum]).all(|name| is_sha1(name)) {
        return Err(refused("parts are named by their SHA-1"));
    }
    let assembled = tokio::task::spawn_blocking(move || errors.assemble(&app, &wanted));
    Ok(assembled.await.map_err(|_| broken_off())??.into_response())
}

impl Errors {
    fn parts(&self) -> PathBuf {
        self.folder.join("parts")
    }

    /// Whose build shows its token.
    fn builder(&self, headers: &HeaderMap) -> Result<&Project, Answer> {
        let said = headers.get(header::AUTHORIZATION).and_then(|said| said.to_str().ok());
        let token = said.and_then(|said| said.strip_prefix("Bearer ")).ok_or_else(unknown)?;
        let is_builder = |project: &&Project| project.holder(token.trim()) == Some(KeyOf::Server);
        self.settings.projects.iter().find(is_builder).ok_or_else(unknown)
    }

    fn assemble(&self, app: &str, wanted: &Assemble) -> Result<Json<serde_json::Value>, Answer> {
        let folder = self.parts();
        let missing: Vec<&String> = wanted.chunks.iter().filter(|name| !files::exists(&folder.join(name))).collect();
        if !missing.is_empty() || wanted.chunks.is_empty() {
            return Ok(Json(json!({ "state": "not_found", "missingChunks": missing })));
        }
        let mut bundle = Vec::new();
        for name in &wanted.chunks {
            bundle.extend(files::read(&folder.join(name)).map_err(|fault| cannot(&fault))?);
            if bundle.len() as u64 > MAX_BUNDLE {
                return Err(refused("the bundle is too large"));
            }
        }
        if sha1_of(&bundle) != wanted.checksum.to_ascii_lowercase() {
            return Err(refused("the parts do not make what was announced"));
        }
        let outcome = self.keep_bundle(app, wanted.version.as_deref(), bundle);
        for name in &wanted.chunks {
            files::remove(&folder.join(name)).map_err(|fault| cannot(&fault))?;
        }
        Ok(Json(match outcome {
            Ok(_) => json!({ "state": "created", "missingChunks": [], "detail": null }),
            Err(why) => json!({ "state": "error", "missingChunks": [], "detail": why }),
        }))
    }

    /// How many maps there were.
    fn keep_bundle(&self, app: &str, release: Option<&str>, bundle: Vec<u8>) -> Result<usize, String> {
        let mut archive =
            zip::ZipArchive::new(Cursor::new(bundle)).map_err(|fault| format!("it is no bundle: {fault}"))?;
        let manifest = read_entry(&mut archive, "manifest.json")?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|fault| format!("its manifest.json cannot be read: {fault}"))?;
        if manifest.files.len() > MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
        let release = release.or(manifest.release.as_deref()).unwrap_or("");
        let (mut kept, mut unpacked) = (0, 0);
        for (name, file) in manifest.files.iter().filter(|(_, file)| file.kind == "source_map") {
            let json = read_entry(&mut archive, name)?;
            unpacked += json.len() as u64;
            if unpacked > MAX_UNPACKED {
                return Err("it unpacks to more than a GiB".to_owned());
            }
            let path = file.url.as_deref().unwrap_or(name);
            let debug_id = file.headers.get("debug-id").map(String::as_str);
            let brought = Brought { app, release, path, debug_id, json: &json };
            self.maps.keep(brought, self.clock.now().unix_millis()).map_err(|fault| {
                let fault = Fault::because(format!("cannot keep {name}"), &fault);
                format!("{}: {}", fault.message, fault.causes.join(": "))
            })?;
            kept += 1;
        }
        if kept == 0 {
            return Err("there is no source map in it".to_owned());
        }
        Ok(kept)
    }
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    files: BTreeMap<String, Bundled>,
    release: Option<String>,
}

#[derive(Deserialize)]
struct Bundled {
    #[serde(rename = "type", default)]
    kind: String,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn read_entry(archive: &mut zip::ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|fault| format!("cannot read {name} of the bundle: {fault}"))?;
    let mut bytes = Vec::new();
    entry.take(MAX_MAP as u64 + 1).read_to_end(&mut bytes).map_err(|fault| format!("cannot unpack {name}: {fault}"))?;
    if bytes.len() > MAX_MAP { Err(format!("{name} has more than {MAX_MAP} bytes")) } else { Ok(bytes) }
}

fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(PART as u64 + 1).read_to_end(&mut whole).ok()?;
    (whole.len() <= PART).then_some(whole)
}

fn sha1_of(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_sha1(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

fn unknown() -> Answer {
    Answer::Refused { status: StatusCode::UNAUTHORIZED, why: "the token is no app's server key".into() }
}

fn refused(why: &str) -> Answer {
    Answer::Refused { status: StatusCode::BAD_REQUEST, why: why.to_owned() }
}

fn broken_off() -> Answer {
    Answer::Refused { status: StatusCode::SERVICE_UNAVAILABLE, why: "telemetry is ending".into() }
}

fn cannot(fault: &files::FileFault) -> Answer {
    tracing::warn!(%fault, "a source map that was sent cannot be kept");
    Answer::Refused { status: StatusCode::SERVICE_UNAVAILABLE, why: "the disk does not take it".into() }
}

struct Part<'b> {
    packed: bool,
    bytes: &'b [u8],
}

fn boundary(kind: &str) -> Option<String> {
    let kind = kind.strip_prefix("multipart/form-data")?;
    let said = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    (!said.is_empty() && said.len() <= 70).then(|| said.to_owned())
}

/// Files of a form: RFC 7578, of which the tool uses no more than this.
fn multipart<'b>(body: &'b [u8], boundary: &str) -> Vec<Part<'b>> {
    let delimiter = format!("--{boundary}");
    let finder = memchr::memmem::Finder::new(&delimiter);
    let ends: Vec<usize> = finder.find_iter(body).collect();
    let between = ends.iter().zip(ends.iter().skip(1)).map(|(from, to)| &body[from + delimiter.len()..*to]);
    let part = |part: &'b [u8]| {
        let gap = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..gap]).to_ascii_lowercase();
        let bytes = part[gap + 4..].strip_suffix(b"\r\n")?;
        Some(Part { packed: head.contains("name=\"file_gzip\""), bytes })
    };
    between.filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_form_are_read_and_nothing_makes_it_panic() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x y\"").as_deref(), Some("x y"));
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\none\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file_gzip\"\r\n\r\ntwo\r\n--b--\r\n";
        let parts: Vec<(bool, &[u8])> = multipart(body, "b").iter().map(|part| (part.packed, part.bytes)).collect();
        assert_eq!(parts, [(false, b"one\r\n".as_slice()), (true, b"two".as_slice())]);
        for cut in 0..body.len() {
            let _ = multipart(&body[..cut], "b");
        }
    }
}
