//! A provider where people sign in (OpenID Connect): what it says of itself, its keys, and tokens for codes. The test plays the person
//! and the browser: it grants a code for what the address of the sign-in says, with whatever the token is to say.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ci::{Key, encoded, now};

pub const CLIENT: &str = "roadbed-admin";
pub const SECRET: &str = "secret of the client: 5/8+x";

struct Grant {
    challenge: String,
    back: String,
    token: String,
}

struct Shared {
    url: String,
    key: Key,
    grants: HashMap<String, Grant>,
    is_down: bool,
    /// Why codes were not taken.
    refused: Vec<String>,
}

/// The provider.
pub struct Provider {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
    ca: String,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Provider {
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
        let shared = Shared {
            url: url.clone(),
            key: Key::rsa("one"),
            grants: HashMap::new(),
            is_down: false,
            refused: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(shared));
        let (tls, theirs) = (Arc::new(tls), shared.clone());
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, shared) = (tls.clone(), theirs.clone());
                thread::spawn(move || serve(stream, tls, &shared));
            }
        });
        Self { url, shared, ca: ca.pem() }
    }

    pub fn write_ca(&self, file: &Path) {
        std::fs::write(file, &self.ca).unwrap();
    }

    pub fn is_down(&self, is_down: bool) {
        self.shared.lock().unwrap().is_down = is_down;
    }

    /// Why codes were not taken, since the last look.
    pub fn refused(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().refused)
    }

    /// What a good token says of Anna.
    pub fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": self.url, "aud": CLIENT, "sub": "user-1", "exp": now() + 300, "iat": now(), "nonce": nonce,
            "email": "Anna@tiny.example", "email_verified": true,
        })
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.shared.lock().unwrap().key.sign(claims)
    }

    /// Gives out a code for a sign-in that was begun, with this token.
    pub fn grant(&self, code: &str, challenge: &str, back: &str, token: String) {
        let grant = Grant { challenge: challenge.to_owned(), back: back.to_owned(), token };
        self.shared.lock().unwrap().grants.insert(code.to_owned(), grant);
    }
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, shared: &Mutex<Shared>) {
    let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let head_end = |bytes: &[u8]| bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = loop {
        if let Some(end) = head_end(&bytes) {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.map(|(_, value)| value.parse().unwrap()).next().unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                break (head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned());
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut shared = shared.lock().unwrap();
    let url = shared.url.clone();
    let (status, answer) = match path.as_str() {
        _ if shared.is_down => ("503 Service Unavailable", json!({})),
        "/.well-known/openid-configuration" => (
            "200 OK",
            json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/keys"), "authorization_response_iss_parameter_supported": true,
            }),
        ),
        "/keys" => ("200 OK", json!({ "keys": [shared.key.jwk()] })),
        "/token" => match exchange(&mut shared, &head, &body) {
            Ok(token) => ("200 OK", json!({ "id_token": token, "access_token": "unused", "token_type": "Bearer" })),
            Err(why) => {
                shared.refused.push(why.to_owned());
                ("400 Bad Request", json!({ "error": "invalid_grant" }))
            }
        },
        _ => ("404 Not Found", json!({})),
    };
    let body = answer.to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(shared);
    let _ = stream.write_all(answer.as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn exchange(shared: &mut Shared, head: &str, body: &str) -> Result<String, &'static str> {
    let form: HashMap<String, String> = form(body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let encode = |text: &str| text.replace('+', "%2B").replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
    let login = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{}", encode(SECRET))));
    let shows_it = head.lines().filter_map(|line| line.split_once(": "));
    if !shows_it.into_iter().any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == login) {
        return Err("the client does not show its secret");
    }
    let grant = shared.grants.remove(field("code")).ok_or("no such code, or one that was used")?;
    if field("redirect_uri") != grant.back {
        return Err("another address to go back to");
    }
    if encoded(Sha256::digest(field("code_verifier"))) != grant.challenge {
        return Err("a wrong verifier");
    }
    Ok(grant.token)
}

fn form(body: &str) -> HashMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

/// What is percent-encoded, as text.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
