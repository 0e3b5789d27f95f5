//! An issuer of tokens as a CI has one: HTTPS by an authority of its own, keys that it shows, tokens that it signs, and what can go wrong
//! with all of that. It also plays the place where a job asks for its token.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What a job shows where it asks for its token.
pub const REQUEST_TOKEN: &str = "request-token-of-the-job";

/// Who the tokens are of.
pub const REPOSITORY: &str = "urbancart/shop";
pub const REPOSITORY_ID: &str = "74001";
pub const OWNER_ID: &str = "9017";
pub const WORKFLOW: &str = "urbancart/shop/.github/workflows/deploy-staging.yml@refs/heads/main";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A pair of keys that signs.
pub struct Key {
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

pub fn encoded_json(value: &Value) -> String {
    encoded(value.to_string())
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn rsa(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub fn ec(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()) }
    }

    pub fn ed(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": encoded(n), "e": encoded(e) })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
            }
            Pair::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key()) }),
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["alg"] = self.algorithm().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The public half in the notation that a forger takes for a shared secret.
    pub fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Whatever it is, signed.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = encoded(self.sign_bytes(message.as_bytes()));
        format!("{message}.{signature}")
    }

    pub fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.algorithm(), "x5t": "bm90IGxvb2tlZCBhdA", "kid": self.kid })
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_texts(&self.header().to_string(), &claims.to_string())
    }
}

/// What a job is for, as its token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub environment: String,
    pub reference: String,
    pub workflow: String,
}

impl Job {
    /// One that deploys a branch to an environment.
    pub fn deploying(branch: &str, environment: &str) -> Self {
        let reference = format!("refs/heads/{branch}");
        let workflow = format!("{REPOSITORY}/.github/workflows/deploy-{environment}.yml@{reference}");
        Self { environment: environment.to_owned(), reference, workflow }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self::deploying("main", "staging")
    }
}

/// What comes back when keys are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    Keys,
    Down,
    /// Nothing comes at all.
    Never,
    /// More than anybody reads.
    Huge,
    /// Somewhere else, where keys would be.
    Elsewhere,
    Nonsense,
}

struct Shared {
    url: String,
    key: Key,
    keys: Value,
    answering: Answering,
    audience: Option<String>,
    commit: String,
    job: Job,
    /// Connections that wait for ever.
    held: Vec<Stream>,
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// The issuer.
pub struct Issuer {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
    asked: Arc<AtomicUsize>,
    ca: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Something that no token had before.
pub fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{nanos:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Issuer {
    /// Listens on a free port of loopback.
    pub fn start() -> Self {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut of_ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        of_ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = of_ca.self_signed(&ca_key).unwrap();
        let own_key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &rcgen::Issuer::new(of_ca, ca_key)).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(own_key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let key = Key::rsa("one");
        let keys = json!({ "keys": [key.jwk()] });
        let (answering, audience, held) = (Answering::Keys, None, Vec::new());
        let commit = COMMIT.to_owned();
        let shared = Shared { url: url.clone(), key, keys, answering, audience, commit, job: Job::default(), held };
        let (shared, asked) = (Arc::new(Mutex::new(shared)), Arc::new(AtomicUsize::new(0)));
        let (tls, theirs, counted) = (Arc::new(tls), shared.clone(), asked.clone());
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, shared, asked) = (tls.clone(), theirs.clone(), counted.clone());
                thread::spawn(move || serve(stream, tls, &shared, &asked));
            }
        });
        Self { url, shared, asked, ca: ca.pem() }
    }

    /// Certificates by which it is recognised.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    pub fn write_ca(&self, file: &Path) {
        std::fs::write(file, &self.ca).unwrap();
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn answers(&self, answering: Answering) {
        self.shared.lock().unwrap().answering = answering;
    }

    /// Shows these keys from now on.
    pub fn shows(&self, keys: Value) {
        self.shared.lock().unwrap().keys = json!({ "keys": keys });
    }

    /// Signs by this key from now on, and shows it alone.
    pub fn rotate(&self, key: Key) {
        let mut shared = self.shared.lock().unwrap();
        shared.keys = json!({ "keys": [key.jwk()] });
        shared.key = key;
    }

    /// Jobs are of this commit from now on.
    pub fn runs(&self, commit: &str) {
        self.shared.lock().unwrap().commit = commit.to_owned();
    }

    /// Jobs are for this from now on.
    pub fn runs_job(&self, job: &Job) {
        self.shared.lock().unwrap().job = job.clone();
    }

    /// For what audience a job asked last.
    pub fn audience(&self) -> Option<String> {
        self.shared.lock().unwrap().audience.clone()
    }

    /// What a token of a job on `main` says, made now.
    pub fn claims(&self, audience: &str) -> Value {
        let shared = self.shared.lock().unwrap();
        claims(&self.url, audience, &shared.commit, &shared.job)
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.shared.lock().unwrap().key.sign(claims)
    }

    pub fn with_key<T>(&self, look: impl FnOnce(&Key) -> T) -> T {
        look(&self.shared.lock().unwrap().key)
    }

    /// A good token.
    pub fn token(&self, audience: &str) -> String {
        self.sign(&self.claims(audience))
    }

    /// Where a job asks for its token, as its environment says.
    pub fn request_url(&self) -> String {
        format!("{}/token?api-version=2.0", self.url)
    }

    /// The table of an environment that lets its jobs in.
    pub fn table(&self, ca: &str) -> String {
        self.table_of(ca, &Job::default())
    }

    /// The same, of jobs that are for this.
    pub fn table_of(&self, ca: &str, job: &Job) -> String {
        let Job { environment, reference, workflow } = job;
        format!(
            "issuer = \"{}\"\nca = \"{ca}\"\nrepository_id = \"{REPOSITORY_ID}\"\nrepository_owner_id = \"{OWNER_ID}\"\n\
             ref = \"{reference}\"\nworkflow = \"{workflow}\"\nenvironment = \"{environment}\"\n",
            self.url
        )
    }
}

/// What a token of GitHub's says, made now.
fn claims(issuer: &str, audience: &str, commit: &str, job: &Job) -> Value {
    let now = now();
    let Job { environment, reference, workflow } = job;
    json!({
        "jti": fresh_id(),
        "sub": format!("repo:{REPOSITORY}:environment:{environment}"),
        "aud": audience,
        "ref": reference,
        "sha": commit,
        "repository": REPOSITORY,
        "repository_owner": "urbancart",
        "repository_owner_id": OWNER_ID,
        "run_id": "812734",
        "run_number": "10",
        "run_attempt": "1",
        "repository_visibility": "private",
        "repository_id": REPOSITORY_ID,
        "actor_id": "12",
        "actor": "ann",
        "workflow": format!("deploy-{environment}"),
        "head_ref": "",
        "base_ref": "",
        "event_name": "push",
        "ref_protected": "true",
        "ref_type": "branch",
        "workflow_ref": workflow,
        "workflow_sha": commit,
        "job_workflow_ref": workflow,
        "job_workflow_sha": commit,
        "runner_environment": "github-hosted",
        "environment": environment,
        "iss": issuer,
        "nbf": now - 5,
        "exp": now + 300,
        "iat": now,
    })
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, shared: &Mutex<Shared>, asked: &AtomicUsize) {
    let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&part[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut shared = shared.lock().unwrap();
    let (status, location, body) = if path.starts_with("/token?") {
        let authorised = head.to_lowercase().contains(&format!("authorization: bearer {REQUEST_TOKEN}\r\n"));
        let audience = path.split(['?', '&']).find_map(|part| part.strip_prefix("audience="));
        let audience = audience.unwrap_or_default().replace("%3A", ":").replace("%2F", "/");
        shared.audience = Some(audience.clone());
        let token = shared.key.sign(&claims(&shared.url, &audience, &shared.commit, &shared.job));
        if authorised {
            ("200 OK", None, json!({ "count": token.len(), "value": token }).to_string())
        } else {
            ("401 Unauthorized", None, "{}".to_owned())
        }
    } else {
        asked.fetch_add(1, Ordering::SeqCst);
        match shared.answering {
            Answering::Keys => ("200 OK", None, shared.keys.to_string()),
            Answering::Down => ("503 Service Unavailable", None, String::new()),
            Answering::Never => return shared.held.push(stream),
            Answering::Huge => ("200 OK", None, format!("{{\"keys\":[\"{}\"]}}", "x".repeat(1024 * 1024))),
            // The same keys, by another way: whoever follows finds them.
            Answering::Elsewhere if path == "/elsewhere" => ("200 OK", None, shared.keys.to_string()),
            Answering::Elsewhere => ("302 Found", Some("/elsewhere"), String::new()),
            Answering::Nonsense => ("200 OK", None, "{\"keys\":{}}".to_owned()),
        }
    };
    let location = location.map(|path| format!("location: {path}\r\n")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(shared);
    let _ = stream.write_all(answer.as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}
