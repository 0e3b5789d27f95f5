//! Pages that take a proof of work: a browser with scripts does it by itself; one without waits a few seconds, once.
//!
//! ```text
//!   page ─► 403 with a task ─► script: n so that SHA-256(task.n) begins with zeros ─► /.roadbed/proof ─► cookie, and the page
//!                          └─► no script: meta refresh, five seconds later ─────────► /.roadbed/wait  ─► cookie for a shorter time
//! ```
//!
//! The answer is a 403 with `noindex`, never a 200: search engines would list the task in place of the page. Task and cookie are signed
//! with a key that this edge made when it started, so nothing is remembered of anybody; the next edge asks once more.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::clock::Timestamp;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::access::door::{DOOR, own_path};
use crate::access::pages::{cookie as set_cookie, escaped};
use crate::access::{NO_INDEX, ROBOTS, cookie};
use crate::body::Body;
use crate::guard::Asked;
use crate::pages;
use crate::rate_limit::identity::Identity;

const PASS: &str = "__Host-roadbed-pass";
/// Whoever worked comes in for this long.
const WORKED: Duration = Duration::from_secs(60 * 60);
/// Whoever waited.
const WAITED: Duration = Duration::from_secs(10 * 60);
const WAIT: Duration = Duration::from_secs(5);
/// A task is solved within this or not at all.
const TASK: Duration = Duration::from_secs(10 * 60);

/// What one edge signs tasks and passes with.
pub struct Challenges(hmac::Key);

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges")
    }
}

impl Challenges {
    pub fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("a machine without random numbers made no TLS key either"))
    }

    /// Whether a visitor has done what is asked for.
    pub fn has_passed(&self, parts: &Parts, asked: &Asked, now: Timestamp) -> bool {
        let Some((until, signature)) = cookie(&parts.headers, PASS).and_then(|pass| pass.split_once('.')) else {
            return false;
        };
        let is_of_now = until.parse::<i64>().is_ok_and(|until| now.unix_millis() < until);
        is_of_now && self.is_signed(&format!("pass {until}"), asked, signature)
    }

    /// The page with the task.
    pub fn ask(&self, asked: &Asked, bits: u32, id: &HeaderValue, now: Timestamp) -> Response<Body> {
        let said = format!("{}-{bits}", now.unix_millis());
        let task = format!("{said}.{}", self.sign(&format!("task {said}"), asked));
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let to = percent_encoding::utf8_percent_encode(asked.target.as_str(), percent_encoding::NON_ALPHANUMERIC);
        let seconds = WAIT.as_secs() + 1;
        let content = format!(
            "<h1>One moment</h1>\n<p id=\"told\">Your browser is doing a little work, so that programs do not come in by the thousands.</p>\n\
             <noscript><meta http-equiv=\"refresh\" content=\"{seconds};url={DOOR}wait?task={task}&amp;to={to}\">\n\
             <p>Without scripts it takes {seconds} seconds. <a href=\"{DOOR}wait?task={task}&amp;to={to}\">Go on</a> by then.</p></noscript>\n\
             <script nonce=\"{nonce}\" data-task=\"{}\" data-bits=\"{bits}\" data-to=\"{to}\" data-door=\"{DOOR}\">{SCRIPT}</script>\n",
            escaped(&task)
        );
        let text = pages::in_frame("One moment", &content, id.to_str().unwrap_or("-"));
        let mut response = pages::of_ours(StatusCode::FORBIDDEN, "text/html; charset=utf-8", Bytes::from(text));
        let headers = response.headers_mut();
        headers.insert(ROBOTS, NO_INDEX);
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// What came back, if it is that. `None`: it is another path.
    pub fn answer(&self, parts: &Parts, asked: &Asked, id: &HeaderValue, now: Timestamp) -> Option<Response<Body>> {
        let way = asked.target.path().strip_prefix(DOOR).filter(|way| matches!(*way, "proof" | "wait"))?;
        if parts.method != Method::GET {
            return None;
        }
        let query = asked.target.query().unwrap_or_default();
        let field = |wanted: &str| {
            let mut fields = url::form_urlencoded::parse(query.as_bytes());
            fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (task, number, to) = (field("task"), field("n"), field("to"));
        let holds = self.issued(&task, asked).and_then(|(at, bits)| {
            let age = Duration::from_millis(u64::try_from(now.unix_millis() - at).ok()?);
            let is_in_time = age < TASK;
            match way {
                "proof" => {
                    (is_in_time && number.len() <= 20 && zeros(&format!("{task}.{number}")) >= bits).then_some(WORKED)
                }
                _ => (is_in_time && age >= WAIT).then_some(WAITED),
            }
        });
        Some(match holds {
            Some(holds) => self.let_in(asked, own_path(Some(&to)), holds, now),
            // Not yet, or not any more: the page itself gives another task.
            None => see_other(own_path(Some(&to))),
        })
        .map(|response| with_id(response, id))
    }

    fn let_in(&self, asked: &Asked, to: &str, holds: Duration, now: Timestamp) -> Response<Body> {
        let until = now.unix_millis() + i64::try_from(holds.as_millis()).unwrap_or(0);
        let signature = self.sign(&format!("pass {until}"), asked);
        let mut response = see_other(to);
        let pass = set_cookie(PASS, &format!("{until}.{signature}"), holds.as_secs(), "Lax");
        if let Ok(pass) = HeaderValue::from_str(&pass) {
            response.headers_mut().append(SET_COOKIE, pass);
        }
        response
    }

    /// When a task of ours was given, and how hard it is.
    fn issued(&self, task: &str, asked: &Asked) -> Option<(i64, u32)> {
        let (said, signature) = task.split_once('.')?;
        let (at, bits) = said.split_once('-')?;
        let found = (at.parse().ok()?, bits.parse().ok()?);
        self.is_signed(&format!("task {said}"), asked, signature).then_some(found)
    }

    fn sign(&self, said: &str, asked: &Asked) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &message(said, asked)))
    }

    fn is_signed(&self, said: &str, asked: &Asked, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature);
        signature.is_ok_and(|signature| hmac::verify(&self.0, &message(said, asked), &signature).is_ok())
    }
}

impl Default for Challenges {
    fn default() -> Self {
        Self::new()
    }
}

/// It is of one host and one client: what one worked for opens nothing for another.
fn message(said: &str, asked: &Asked) -> Vec<u8> {
    let client: IpAddr = asked.client;
    format!("{said} {} {:?}", asked.host, Identity::client(client)).into_bytes()
}

/// Zero bits at the beginning of a digest.
fn zeros(text: &str) -> u32 {
    let digest = Sha256::digest(text.as_bytes());
    let mut count = 0;
    for byte in digest {
        count += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    count
}

fn see_other(to: &str) -> Response<Body> {
    let mut response =
        pages::of_ours(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::from_static(b"go on\n"));
    response.headers_mut().insert(ROBOTS, NO_INDEX);
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn with_id(mut response: Response<Body>, id: &HeaderValue) -> Response<Body> {
    response.headers_mut().insert(crate::request_id::HEADER, id.clone());
    response
}

/// Looks for the number, some hundreds at a time so that the page stays alive.
const SCRIPT: &str = r#"(async()=>{const s=document.currentScript.dataset,e=new TextEncoder(),b=+s.bits;
const z=d=>{let c=0;for(const x of new Uint8Array(d)){if(x){c+=Math.clz32(x)-24;break}c+=8}return c};
for(let n=0;;n+=512){const a=await Promise.all(Array.from({length:512},(_,i)=>crypto.subtle.digest("SHA-256",e.encode(s.task+"."+(n+i)))));
const i=a.findIndex(d=>z(d)>=b);if(i>=0){location.replace(s.door+"proof?task="+s.task+"&n="+(n+i)+"&to="+s.to);return}}})();"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(client: &str, target: &str) -> Asked {
        Asked {
            host: "shop.example".into(),
            authority: "shop.example".into(),
            target: target.parse().unwrap(),
            client: client.parse().unwrap(),
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + ms)
    }

    fn parts(pass: Option<&str>) -> Parts {
        let mut request = http::Request::get("/");
        if let Some(pass) = pass {
            request = request.header("cookie", pass);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn pass_of(response: &Response<Body>) -> Option<String> {
        let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }

    struct Given {
        challenges: Challenges,
        task: String,
    }

    fn given(bits: u32) -> Given {
        let challenges = Challenges::new();
        let (id, asked) = (HeaderValue::from_static("id"), asked("192.0.2.1", "/search?q=a&b"));
        let response = challenges.ask(&asked, bits, &id, at(0));
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()[ROBOTS], "noindex, nofollow");
        let Body::Full(text) = response.body() else { panic!("no page") };
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("<noscript><meta http-equiv=\"refresh\"") && text.contains("to=%2Fsearch%3Fq%3Da%26b"));
        let task = text.split("data-task=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Given { challenges, task }
    }

    impl Given {
        fn come(&self, way: &str, number: u64, client: &str, ms: i64) -> Option<String> {
            let target = format!("/.roadbed/{way}?task={}&n={number}&to=%2Fsearch%3Fq%3Da", self.task);
            let id = HeaderValue::from_static("id");
            let response = self.challenges.answer(&parts(None), &asked(client, &target), &id, at(ms)).unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()[LOCATION]),
                (303, &HeaderValue::from_static("/search?q=a"))
            );
            pass_of(&response)
        }

        fn solution(&self, bits: u32) -> (u64, u64) {
            let is_one = |n: &u64| zeros(&format!("{}.{n}", self.task)) >= bits;
            ((0..).find(is_one).unwrap(), (0..).find(|n| !is_one(n)).unwrap())
        }
    }

    #[test]
    fn whoever_works_comes_in_for_a_while_at_this_host_from_this_network() {
        let given = given(8);
        let (right, wrong) = given.solution(8);
        assert_eq!(given.come("proof", wrong, "192.0.2.1", 10), None);
        assert_eq!(given.come("proof", right, "192.0.2.2", 10), None, "another's task");
        assert_eq!(given.come("proof", right, "192.0.2.1", 600_000), None, "too late");
        let pass = given.come("proof", right, "192.0.2.1", 10).unwrap();
        let passed = |pass: &str, client: &str, ms: i64| {
            given.challenges.has_passed(&parts(Some(pass)), &asked(client, "/search"), at(ms))
        };
        assert!(passed(&pass, "192.0.2.1", 20) && !passed(&pass, "192.0.2.9", 20));
        assert!(!passed(&pass, "192.0.2.1", 10 + 3_600_000), "its time is over");
        let later = pass.replacen("=1", "=2", 1);
        assert!(!passed(&later, "192.0.2.1", 20), "made longer");
        assert!(!Challenges::new().has_passed(&parts(Some(&pass)), &asked("192.0.2.1", "/"), at(20)), "another edge's");
        for nonsense in ["", "__Host-roadbed-pass=", "__Host-roadbed-pass=9.9", "__Host-roadbed-pass=x.y"] {
            assert!(!passed(nonsense, "192.0.2.1", 20), "{nonsense}");
        }
    }

    #[test]
    fn whoever_has_no_scripts_waits() {
        let given = given(22);
        assert_eq!(given.come("wait", 0, "192.0.2.1", 4_999), None, "too soon");
        let pass = given.come("wait", 0, "192.0.2.1", 5_000).unwrap();
        assert!(given.challenges.has_passed(&parts(Some(&pass)), &asked("192.0.2.1", "/"), at(6_000)));
        assert!(!given.challenges.has_passed(&parts(Some(&pass)), &asked("192.0.2.1", "/"), at(700_000)));
    }

    #[test]
    fn a_task_that_somebody_wrote_himself_is_none_and_nobody_is_led_away() {
        let challenges = Challenges::new();
        let id = HeaderValue::from_static("id");
        for target in [
            "/.roadbed/wait?task=1800000000000-1.AAAA&to=/",
            "/.roadbed/proof?task=0-0.&n=0&to=//evil.example",
            "/.roadbed/proof",
        ] {
            let response = challenges.answer(&parts(None), &asked("192.0.2.1", target), &id, at(6_000)).unwrap();
            assert_eq!(
                (pass_of(&response), &response.headers()[LOCATION]),
                (None, &HeaderValue::from_static("/")),
                "{target}"
            );
        }
        assert!(challenges.answer(&parts(None), &asked("192.0.2.1", "/.roadbed/enter"), &id, at(0)).is_none());
    }
}
