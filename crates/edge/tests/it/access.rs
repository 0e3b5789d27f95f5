//! People who sign in: what they are let in by, what the app is told of them, and the door.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use edge::Admission;
use edge::access::session::{Session, Signer};
use host::clock::{Clock, SystemClock};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reconcile::ports::{Site, SiteAccess};
use serde_json::{Value, json};

use crate::recorder::Recorder;
use crate::visitor::{Reply, exchange, get, tls};
use crate::world::{SHOP, World, shop};

const BROWSER: &str = "Accept: text/html\r\n";
const LINK: &str = "rbln_0123456789abcdef0123456789abcdef";

fn signer() -> Signer {
    Signer::from_seed(&[7; 32])
}

fn session() -> Session {
    let now = SystemClock.now().unix_millis();
    Session {
        id: "s1".into(),
        user: "anna".into(),
        email: Some("anna@shop.example".into()),
        hosts: vec![SHOP.into()],
        from_ms: now,
        until_ms: now + 60_000,
    }
}

fn admission(revoked: &[&str]) -> Admission {
    Admission {
        key: Some(signer().public_key()),
        revoked: revoked.iter().map(|id| (*id).to_owned()).collect(),
        lists: Vec::new(),
    }
}

async fn guarded(sign_in: Option<&str>) -> (World, Recorder) {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    let file = world.root.path().join("credentials");
    // SHA-256 of "open sesame".
    std::fs::write(&file, "ali:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n").unwrap();
    let access = SiteAccess::Protected { credentials_file: file, sign_in: sign_in.map(str::to_owned) };
    world.publish(vec![Site { access, ..shop(recorder.address.port()) }]).await;
    world.edge.admit(&admission(&[])).await.unwrap();
    (world, recorder)
}

fn shows(session: &Session) -> String {
    format!("Cookie: theme=dark; __Host-roadbed={}; cart=1\r\n", signer().sign(session))
}

async fn post(world: &World, path: &str, lines: &str, form: &str) -> Reply {
    let mut stream = tls(world, SHOP).await;
    let wire = format!(
        "POST {path} HTTP/1.1\r\nHost: {SHOP}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{lines}\r\n{form}",
        form.len()
    );
    exchange(&mut stream, wire.as_bytes()).await.expect("an answer")
}

/// Control, as far as the edge knocks at it. It is gone when it is dropped.
struct Control {
    asked: Arc<Mutex<Vec<Value>>>,
    listening: tokio::task::JoinHandle<()>,
    path: std::path::PathBuf,
}

impl Control {
    fn answering(world: &World, answer: Value) -> Self {
        let path = world.root.control_socket();
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (noted, answer) = (asked.clone(), answer.to_string());
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (noted, answer) = (noted.clone(), answer.clone());
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (noted, answer) = (noted.clone(), answer.clone());
                    async move {
                        assert_eq!(request.uri().path(), "/access/knock");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        noted.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(answer))))
                    }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { asked, listening, path }
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn goes(self) {
        self.listening.abort();
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// The cookie that an answer sets.
fn set_cookie(reply: &Reply, name: &str) -> Option<String> {
    let lines = reply.head.lines().filter_map(|line| line.split_once(": "));
    let mut cookies = lines.filter(|(header, _)| header.eq_ignore_ascii_case("set-cookie")).map(|(_, cookie)| cookie);
    cookies.find(|cookie| cookie.starts_with(&format!("{name}="))).map(str::to_owned)
}

#[tokio::test]
async fn a_stranger_is_shown_the_way_in_and_nothing_is_listed() {
    let (world, recorder) = guarded(Some("id.example")).await;
    let page = get(&world, SHOP, "/orders?q=%22%3E%3Cscript%3E", BROWSER).await;
    assert_eq!((page.status, page.header("www-authenticate")), (401, None), "no prompt gets in the way of the page");
    assert_eq!(page.header("x-robots-tag"), Some("noindex, nofollow"));
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert!(
        page.text().contains("Sign in with id.example")
            && page.text().contains("value=\"/orders?q=%22%3E%3Cscript%3E\"")
    );
    let program = get(&world, SHOP, "/", "Accept: */*\r\n").await;
    assert!(program.status == 401 && program.header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(program.header("x-robots-tag"), Some("noindex, nofollow"));
    assert!(recorder.take().is_empty());
    let log = world.log(|lines| lines.len() == 2).await;
    assert_eq!(log[0]["error"], "unauthorized");
}

#[tokio::test]
async fn an_app_is_told_who_somebody_is_and_by_nobody_else() {
    let (mut world, recorder) = guarded(None).await;
    let lies = "X-Roadbed-User: root\r\nX-Roadbed-Email: root@shop.example\r\n";
    let reply = get(&world, SHOP, "/", &format!("{}{lies}", shows(&session()))).await;
    assert_eq!((reply.status, reply.header("x-robots-tag")), (200, Some("noindex, nofollow")));
    assert!(reply.header("cache-control").unwrap().starts_with("private"));
    let seen = &recorder.take()[0];
    assert_eq!(seen.all("x-roadbed-user"), ["anna"]);
    assert_eq!(seen.all("x-roadbed-email"), ["anna@shop.example"]);
    assert_eq!(seen.all("cookie"), ["theme=dark; cart=1"], "the app never sees the session");

    // A program has no e-mail address, and its password is not the app's business.
    let program = format!("Authorization: Basic YWxpOm9wZW4gc2VzYW1l\r\n{lies}");
    assert_eq!(get(&world, SHOP, "/", &program).await.status, 200);
    let seen = &recorder.take()[0];
    assert_eq!((seen.all("x-roadbed-user"), seen.all("x-roadbed-email")), (vec!["program:ali"], vec![]));
    assert!(seen.all("authorization").is_empty());
    // Nor does anybody get in who only says so.
    assert_eq!(get(&world, SHOP, "/", lies).await.status, 401);

    // An edge that starts anew while control is away knows them still.
    world.stop().await;
    world.start().await;
    assert_eq!(get(&world, SHOP, "/", &shows(&session())).await.status, 200);
    let log = world.log(|lines| lines.iter().any(|line| line["user"] == "anna")).await;
    assert!(!log.iter().any(|line| line.to_string().contains("v1.")), "no session is in the log");
}

#[tokio::test]
async fn a_public_site_is_told_nothing_and_lied_to_by_nobody() {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(recorder.address.port())]).await;
    assert_eq!(
        get(&world, SHOP, "/.roadbed/enter", "X-Roadbed-User: root\r\n").await.status,
        200,
        "the path is the app's"
    );
    assert!(recorder.take()[0].all("x-roadbed-user").is_empty());
}

#[tokio::test]
async fn sessions_that_are_none_open_nothing() {
    let (world, recorder) = guarded(None).await;
    let other = Signer::from_seed(&[8; 32]);
    let (good, old) = (signer().sign(&session()), session().from_ms - 1000);
    let forged = [
        (other.sign(&session()), "session-forged"),
        (format!("{good}x"), "session-forged"),
        (good.replacen("v1.", "v1.e30", 1), "session-forged"),
        ("null".to_owned(), "session-forged"),
        (signer().sign(&Session { until_ms: old, ..session() }), "session-over"),
        (signer().sign(&Session { from_ms: old + 10_000_000, ..session() }), "session-over"),
        (signer().sign(&Session { hosts: vec!["ops.shop.localhost".into()], ..session() }), "session-elsewhere"),
        (signer().sign(&Session { hosts: Vec::new(), ..session() }), "session-elsewhere"),
    ];
    for (cookie, _) in &forged {
        let reply = get(&world, SHOP, "/", &format!("{BROWSER}Cookie: __Host-roadbed={cookie}\r\n")).await;
        assert_eq!(reply.status, 401, "{cookie}");
    }
    let log = world.log(|lines| lines.len() == forged.len()).await;
    for ((_, code), line) in forged.iter().zip(&log) {
        assert_eq!(line["error"], *code);
    }
    assert_eq!(get(&world, SHOP, "/", &shows(&session())).await.status, 200);
    world.edge.admit(&admission(&["s1"])).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", &shows(&session())).await.status, 401, "revoked");
    assert_eq!(get(&world, SHOP, "/", &shows(&Session { id: "s2".into(), ..session() })).await.status, 200);
    // With another key none of before holds.
    world.edge.admit(&Admission { key: Some(other.public_key()), ..Admission::default() }).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", &shows(&Session { id: "s2".into(), ..session() })).await.status, 401);
    assert_eq!(recorder.take().len(), 2);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_and_opens_no_web_socket() {
    let (world, recorder) = guarded(None).await;
    let authority = format!("{SHOP}:{}", world.https.port());
    let ask = async |method: &str, lines: &str| {
        let mut stream = tls(&world, SHOP).await;
        let wire = format!("{method} / HTTP/1.1\r\nHost: {authority}\r\n{}{lines}\r\n", shows(&session()));
        exchange(&mut stream, wire.as_bytes()).await.unwrap().status
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    for origin in ["https://evil.example", "null", "https://www.shop.localhost", &format!("http://{authority}")] {
        let origin = format!("Origin: {origin}\r\n");
        assert_eq!(ask("POST", &origin).await, 403, "{origin}");
        assert_eq!(ask("DELETE", &origin).await, 403, "{origin}");
        assert_eq!(ask("GET", &format!("{origin}{upgrade}")).await, 403, "{origin}");
        assert_eq!(ask("GET", &origin).await, 200, "reading is what browsers guard: {origin}");
    }
    assert_eq!(ask("POST", &format!("Origin: https://{authority}\r\nContent-Length: 0\r\n")).await, 200);
    assert_eq!(ask("POST", "Content-Length: 0\r\n").await, 200, "a program has no origin");
    assert_eq!(recorder.take().len(), 6);
}

#[tokio::test]
async fn a_link_is_used_by_its_button_and_not_by_who_only_looks() {
    let (world, _recorder) = guarded(None).await;
    let signed = signer().sign(&session());
    let inside = json!({ "opened": "inside", "session": signed, "seconds": 60, "to": "//evil.example/" });
    let control = Control::answering(&world, inside);
    let path = format!("/.roadbed/enter?token={LINK}");
    let page = get(&world, SHOP, &path, BROWSER).await;
    assert_eq!(
        (page.status, page.header("referrer-policy"), page.header("cache-control")),
        (200, Some("no-referrer"), Some("no-store"))
    );
    assert!(page.text().contains(LINK) && !page.text().contains("<script"));
    let form_cookie = set_cookie(&page, "__Host-roadbed-form").unwrap();
    assert!(form_cookie.ends_with("Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"), "{form_cookie}");
    let nonce = form_cookie.split(['=', ';']).nth(1).unwrap();
    assert!(page.text().contains(&format!("name=\"form\" value=\"{nonce}\"")));
    let twice = format!("Cookie: __Host-roadbed-form={nonce}\r\n");
    let again = get(&world, SHOP, &path, &format!("{BROWSER}{twice}")).await;
    assert!(again.text().contains(nonce), "a second page does not break the first");
    assert!(control.asked().is_empty(), "looking uses nothing up");

    // From elsewhere the button is not pressed.
    let form = format!("token={LINK}&form={nonce}");
    for (lines, form) in [
        ("", form.as_str()),
        ("Cookie: __Host-roadbed-form=0123456789abcdef0123456789abcdef\r\n", &form),
        (&format!("{twice}Sec-Fetch-Site: cross-site\r\n"), &form),
        (&format!("{twice}Sec-Fetch-Site: same-site\r\n"), &form),
        (&twice, &format!("token={LINK}")),
    ] {
        assert_eq!(post(&world, "/.roadbed/enter", lines, form).await.status, 403, "{lines}");
    }
    assert_eq!(post(&world, "/.roadbed/enter", &twice, &format!("token=x&form={nonce}")).await.status, 403);
    assert!(control.asked().is_empty());

    let entered = post(&world, "/.roadbed/enter", &format!("{twice}Sec-Fetch-Site: same-origin\r\n"), &form).await;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some(format!("https://{SHOP}/").as_str())),
        "never elsewhere"
    );
    let cookie = set_cookie(&entered, "__Host-roadbed").unwrap();
    assert_eq!(cookie, format!("__Host-roadbed={signed}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"));
    let asked = control.asked();
    assert_eq!(asked, [json!({ "knock": "redeem", "host": SHOP, "token": LINK, "client": "127.0.0.1" })]);
    control.goes();

    // Without control nobody new comes in, and whoever is in stays.
    assert_eq!(post(&world, "/.roadbed/enter", &twice, &form).await.status, 503);
    assert_eq!(get(&world, SHOP, "/", &shows(&session())).await.status, 200);
    let log = std::fs::read_to_string(world.root.access_log()).unwrap();
    assert!(!log.contains(LINK), "no link is in the log");
}

#[tokio::test]
async fn what_control_refuses_is_told_and_leaves_no_cookie() {
    let (world, _recorder) = guarded(None).await;
    let control = Control::answering(&world, json!({ "opened": "refused", "why": "link-used" }));
    let nonce = "0123456789abcdef0123456789abcdef";
    let lines = format!("Cookie: __Host-roadbed-form={nonce}\r\n");
    let reply = post(&world, "/.roadbed/enter", &lines, &format!("token={LINK}&form={nonce}")).await;
    assert!(reply.status == 403 && reply.text().contains("used before"), "{reply:?}");
    assert_eq!(set_cookie(&reply, "__Host-roadbed"), None);
    let log = world.log(|lines| lines.len() == 1).await;
    assert_eq!(log[0]["error"], "link-used");
    // Other paths of ours, and other methods.
    for (path, status) in
        [("/.roadbed/", 404), ("/.roadbed/x", 404), ("/.roadbed/begin", 405), ("/.roadbed/enter", 403)]
    {
        assert_eq!(get(&world, SHOP, path, BROWSER).await.status, status, "{path}");
    }
    control.goes();
}

#[tokio::test]
async fn a_sign_in_goes_to_the_provider_and_comes_back_to_this_host() {
    let (world, _recorder) = guarded(Some("id.example")).await;
    let nonce = "0123456789abcdef0123456789abcdef";
    let elsewhere = json!({ "opened": "elsewhere", "location": "https://id.example/authorize?x=1", "state": nonce });
    let control = Control::answering(&world, elsewhere);
    let lines = format!("Cookie: __Host-roadbed-form={nonce}\r\n");
    let begun = post(&world, "/.roadbed/begin", &lines, &format!("to=%2F%2Fevil.example&form={nonce}")).await;
    assert_eq!((begun.status, begun.header("location")), (303, Some("https://id.example/authorize?x=1")));
    assert!(set_cookie(&begun, "__Host-roadbed-state").unwrap().contains("SameSite=Lax"));
    assert_eq!(control.asked()[0]["to"], "/", "nobody is led elsewhere");
    control.goes();
    let control = Control::answering(&world, json!({ "opened": "refused", "why": "not-begun" }));
    let lines = format!("{BROWSER}Cookie: __Host-roadbed-state={nonce}\r\n");
    let back = get(&world, SHOP, "/.roadbed/callback?code=c&state=s&state=t&iss=i", &lines).await;
    assert_eq!(back.status, 403);
    let asked = &control.asked()[0];
    assert_eq!((&asked["knock"], &asked["state"]), (&json!("return"), &json!(nonce)));
    assert_eq!(asked["said"], json!({ "code": "c", "iss": "i" }), "of a state that stands twice there is none");
    control.goes();
}

#[tokio::test]
async fn whoever_signs_out_is_out() {
    let (world, _recorder) = guarded(None).await;
    let control = Control::answering(&world, json!({ "opened": "left" }));
    let nonce = "0123456789abcdef0123456789abcdef";
    let cookies = format!("Cookie: __Host-roadbed-form={nonce}; __Host-roadbed={}\r\n", signer().sign(&session()));
    assert!(get(&world, SHOP, "/.roadbed/sign-out", BROWSER).await.text().contains("<button>Sign out</button>"));
    assert!(control.asked().is_empty(), "looking ends nothing");
    let left = post(&world, "/.roadbed/sign-out", &cookies, &format!("form={nonce}")).await;
    assert!(set_cookie(&left, "__Host-roadbed").unwrap().contains("Max-Age=0"));
    assert_eq!(control.asked()[0], json!({ "knock": "leave", "session": "s1", "client": "127.0.0.1" }));
    control.goes();
}
