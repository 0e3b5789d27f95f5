//! The origin that speaks S3, before a server that answers as S3 does.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response};
use futures_util::StreamExt;
use media::origin::{Found, Origin, S3, Sign, Unmet, Unsigned};
use rustls::RootCertStore;

type Seen = Arc<Mutex<Vec<String>>>;

async fn store(State(seen): State<Seen>, request: Request) -> Response<Body> {
    let header = |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let line =
        format!("{} {} {} {}", request.method(), request.uri(), header("authorization"), header("if-none-match"));
    seen.lock().unwrap().push(line.trim().to_owned());
    let status = match request.uri().path() {
        "/shop/secret" => 403,
        "/shop/broken" => 500,
        "/shop/moved" => 301,
        "/shop/a%20b/%C3%A4.jpg" if header("if-none-match") == "\"one\"" => 304,
        "/shop/a%20b/%C3%A4.jpg" => 200,
        _ => 404,
    };
    Response::builder()
        .status(status)
        .header("etag", "\"one\"")
        .header("content-type", "image/jpeg")
        .header("x-amz-version-id", "v7")
        .header("x-amz-meta-tags", "shoes, season")
        .body(if status == 200 { Body::from("bytes") } else { Body::empty() })
        .unwrap()
}

#[derive(Debug)]
struct Signed;

impl Sign for Signed {
    fn sign(&self, method: &Method, host: &str, path: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let value = format!("for {method} {host} {path}");
        Ok(vec![(HeaderName::from_static("authorization"), HeaderValue::from_str(&value).unwrap())])
    }
}

#[tokio::test]
async fn objects_come_from_a_store_as_it_says_they_are() {
    let seen = Seen::default();
    let router = Router::new().fallback(store).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let origin = S3::new(&format!("http://{address}"), &RootCertStore::empty(), Arc::new(Signed)).unwrap();
    let Ok(Found::Object(object)) = origin.get("shop", "a b/ä.jpg", None).await else { panic!("it is there") };
    assert_eq!((object.facts.etag.as_str(), object.length), ("\"one\"", Some(5)));
    assert_eq!(object.facts.version.as_deref(), Some("v7"));
    assert_eq!(object.facts.tags, ["shoes", "season"]);
    let bytes: Vec<u8> = object.body.map(|piece| piece.unwrap().to_vec()).concat().await;
    assert_eq!(bytes, b"bytes");
    let path = "/shop/a%20b/%C3%A4.jpg";
    assert_eq!(
        seen.lock().unwrap()[0],
        format!("GET {path} for GET {address} {path}"),
        "what is signed is what is asked for"
    );
    assert!(matches!(origin.get("shop", "a b/ä.jpg", Some("\"one\"")).await, Ok(Found::Unchanged)));
    assert!(matches!(origin.get("shop", "none", None).await, Err(Unmet::Absent)));
    assert!(matches!(origin.get("shop", "secret", None).await, Err(Unmet::Refused(_))));
    assert!(matches!(origin.get("shop", "broken", None).await, Err(Unmet::Away(_))));
    // Where it leads is not followed: it could lead anywhere.
    assert!(matches!(origin.get("shop", "moved", None).await, Err(Unmet::Away(_))));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_away_and_no_endpoint_is_none() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = |text: &str| S3::new(text, &RootCertStore::empty(), Arc::new(Unsigned));
    let origin = endpoint(&format!("http://127.0.0.1:{port}")).unwrap();
    assert!(matches!(origin.get("shop", "k", None).await, Err(Unmet::Away(_))));
    // A plain port does not speak TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { drop(listener.accept().await) });
    assert!(matches!(
        endpoint(&format!("https://{address}")).unwrap().get("shop", "k", None).await,
        Err(Unmet::Away(_))
    ));
    for wrong in ["", "store", "ftp://store", "http://user@store", "http://store/path", "http://store?x", "http:///"] {
        assert!(endpoint(wrong).is_err(), "{wrong}");
    }
}
