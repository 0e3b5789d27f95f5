//! The protocol, byte by byte where clients are too polite.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use host::clock::{Clock, SystemClock};
use objects::store::{CHUNK, List};
use objects::{Grants, Limits};
use sigv4::{ChunkSigner, Claim, Key, Request, Scope, Secret, SigningKey, Verified, sha256_hex};

use crate::stand::{GRANTS, Stand, content};

const REGION: &str = "eu-here-1";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether all came that was announced.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A client that sends what it is told.
pub(crate) struct Client {
    address: SocketAddr,
    key: Key,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, id: &str, secret: &str) -> Self {
        Self { address, key: Key { id: id.to_owned(), secret: Secret::new(secret) } }
    }

    /// The head of a request, signed.
    fn head(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        payload: &str,
        length: usize,
    ) -> String {
        let stamp = sigv4::stamp(SystemClock.now());
        let host = self.address.to_string();
        let mut signed = vec![("host", host.as_str()), ("x-amz-content-sha256", payload), ("x-amz-date", &stamp)];
        signed.extend(headers);
        let request = Request { method, path, query, headers: &signed, payload };
        let authorization = sigv4::authorization(&request, &self.key, &Scope::of_s3(&stamp, REGION), &stamp);
        let lines: String = signed.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{method} {path}{mark}{query} HTTP/1.1\r\n{lines}authorization: {authorization}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        )
    }

    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let head = self.head(method, path, query, headers, &sha256_hex(body), body.len());
        send(self.address, &[head.as_bytes(), body])
    }
}

fn send(address: SocketAddr, parts: &[&[u8]]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for part in parts {
        // A server that refuses need not hear all of it.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    receive(&mut stream)
}

fn receive(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap().to_ascii_lowercase();
    let body = all[end + 4..].to_vec();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    Answer { status, is_whole: length.is_none_or(|length| length == body.len()), head, body }
}

/// A payload in signed chunks, as older SDKs send it.
fn chunked(client: &Client, head: &str, secret: &str, chunks: &[&[u8]], trailer: Option<&str>) -> Vec<u8> {
    let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap();
    let stamp = head.lines().find_map(|line| line.strip_prefix("x-amz-date: ")).unwrap();
    let claim = Claim::of_header(authorization, stamp).unwrap();
    assert_eq!(claim.key_id, client.key.id);
    let signature = authorization.rsplit_once('=').unwrap().1.to_owned();
    let key = SigningKey::new(&Secret::new(secret), &claim.scope);
    let mut signer = ChunkSigner::new(Verified { key, stamp: stamp.to_owned(), scope: claim.scope, signature });
    let mut wire = Vec::new();
    for chunk in chunks.iter().chain([&&b""[..]]) {
        let signature = signer.sign(&sha256_hex(chunk));
        wire.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        if !chunk.is_empty() {
            wire.extend(b"\r\n");
        }
    }
    if let Some(trailer) = trailer {
        let signature = signer.sign_trailer(&format!("{trailer}\n"));
        wire.extend(format!("{trailer}\r\nx-amz-trailer-signature:{signature}\r\n").into_bytes());
    }
    wire.extend(b"\r\n");
    wire
}

#[test]
fn payloads_in_chunks_are_taken_when_each_is_signed_and_refused_when_one_is_not() {
    let stand = Stand::new();
    let client = Client::new(stand.address, "MEDIA", "media-alone");
    let (one, two) = (content(1, 70_000), content(2, 9));
    let length = (one.len() + two.len()).to_string();
    let whole = [one.clone(), two.clone()].concat();
    let put = |kind: &str, trailer: Option<&str>, damage: fn(&mut Vec<u8>)| {
        let mut headers = vec![("x-amz-decoded-content-length", length.as_str()), ("content-encoding", "aws-chunked")];
        headers.extend(trailer.map(|_| ("x-amz-trailer", "x-amz-checksum-crc32c")));
        let head = client.head("PUT", "/media/chunked", "", &headers, kind, 0);
        let mut wire = chunked(&client, &head, "media-alone", &[&one, &two], trailer);
        let head = head.replace("content-length: 0", &format!("content-length: {}", wire.len()));
        damage(&mut wire);
        send(stand.address, &[head.as_bytes(), &wire])
    };
    let plain = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let with_trailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    let mut running = objects::s3::checksum::Running::new(objects::s3::checksum::Algorithm::Crc32c);
    running.update(&whole);
    let right = format!("x-amz-checksum-crc32c:{}", running.finish().value);
    let fine = |_: &mut Vec<u8>| {};
    for (kind, trailer) in [(plain, None), (with_trailer, Some(right.as_str()))] {
        let answer = put(kind, trailer, fine);
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        let object = stand.store.get("media", "chunked").unwrap();
        assert_eq!(object.head.metadata.content_encoding, None, "how it came is not what it is");
        assert_eq!(object.content.read_all().unwrap(), whole);
        stand.store.delete("media", "chunked", &objects::store::Expect::Anything).unwrap();
    }
    let in_content = put(plain, None, |wire| wire[200] ^= 1);
    assert_eq!(in_content.status, 403, "{}", in_content.text());
    let in_trailer = put(with_trailer, Some("x-amz-checksum-crc32c:AAAAAA=="), fine);
    assert_eq!(in_trailer.status, 400, "{}", in_trailer.text());
    let unsigned = put(with_trailer, Some(&right), |wire| {
        let end = wire.len() - 10;
        wire[end] = if wire[end] == b'0' { b'1' } else { b'0' };
    });
    assert_eq!(unsigned.status, 403, "{}", unsigned.text());
    assert!(stand.store.head("media", "chunked").is_err(), "nothing of it was put");
    // As SDKs send it today, over TLS: the checksum is behind it, and signs nothing.
    let headers = [
        ("x-amz-decoded-content-length", "5"),
        ("content-encoding", "gzip, aws-chunked"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let head = client.head("PUT", "/media/t", "", &headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body.len());
    let answer = send(stand.address, &[head.as_bytes(), body]);
    assert_eq!((answer.status, answer.header("x-amz-checksum-crc32")), (200, Some("nhcmhg==")), "{}", answer.text());
    assert_eq!(stand.store.head("media", "t").unwrap().metadata.content_encoding.as_deref(), Some("gzip"));
}

#[test]
fn what_rotted_is_an_error_or_a_broken_connection_and_never_an_answer() {
    let stand = Stand::new();
    let mut client = Client::new(stand.address, "MEDIA", "media-alone");
    let long = content(1, 3 * CHUNK);
    assert_eq!(client.ask("PUT", "/media/rots", "", &[], &long).status, 200);
    let digest = stand.store.head("media", "rots").unwrap().digest.hex();
    let file = stand.folder.path().join("blobs").join(&digest[..2]).join(&digest[2..3]).join(&digest);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[2 * CHUNK + 9] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let whole = client.ask("GET", "/media/rots", "", &[], b"");
    assert!(whole.status == 200 && !whole.is_whole, "the connection breaks before its end");
    assert_eq!(whole.body, long[..whole.body.len()]);
    let part = client.ask("GET", "/media/rots", "", &[("range", "bytes=600000-600001")], b"");
    assert_eq!(part.status, 500, "{}", part.text());
    let fine = client.ask("GET", "/media/rots", "", &[("range", "bytes=3-5")], b"");
    assert_eq!((fine.status, fine.body), (206, long[3..6].to_vec()));
}

#[test]
fn of_many_who_put_one_key_at_once_one_is_whole_in_the_end() {
    let stand = Stand::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let address = stand.address;
            scope.spawn(move || {
                let mut client = Client::new(address, "MEDIA", "media-alone");
                for round in 0..5 {
                    let put = client.ask("PUT", "/media/same", "", &[], &content(number * 10 + round, 100_000));
                    assert_eq!(put.status, 200, "{}", put.text());
                    let got = client.ask("GET", "/media/same", "", &[], b"");
                    assert!(got.status == 200 && got.is_whole && got.body.len() == 100_000);
                    let etag = got.header("etag").unwrap().to_owned();
                    let all = (0..80).any(|number| content(number, 100_000) == got.body);
                    assert!(all && etag.len() == 34);
                }
            });
        }
    });
    let created = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|number| {
                let address = stand.address;
                scope.spawn(move || {
                    let mut client = Client::new(address, "MEDIA", "media-alone");
                    client.ask("PUT", "/media/once", "", &[("if-none-match", "*")], &content(number, 10)).status
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(created.iter().filter(|status| **status == 200).count(), 1, "{created:?}");
    assert_eq!(created.iter().filter(|status| **status == 412).count(), 7, "{created:?}");
    assert_eq!(stand.store.usage("media").unwrap().objects, 2);
}

#[test]
fn of_many_who_fill_a_bucket_at_once_none_gets_beyond_its_quota() {
    let stand = Stand::new();
    let statuses = std::thread::scope(|scope| {
        let puts: Vec<_> = (0..12)
            .map(|number| {
                let address = stand.address;
                scope.spawn(move || {
                    let mut client = Client::new(address, "ALL", "all-of-it");
                    client.ask("PUT", &format!("/small/{number}"), "", &[], &content(number, 30_000)).status
                })
            })
            .collect();
        puts.into_iter().map(|put| put.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 403].contains(status)), "{statuses:?}");
    assert_eq!(stand.store.usage("small").unwrap().bytes, 90_000);
}

#[test]
fn what_was_deleted_by_a_client_can_be_put_back() {
    let stand = Stand::new();
    let mut client = Client::new(stand.address, "MEDIA", "media-alone");
    let headers = [("content-type", "image/png"), ("x-amz-meta-colour", "blue")];
    assert_eq!(client.ask("PUT", "/media/lost", "", &headers, b"picture").status, 200);
    assert_eq!(client.ask("DELETE", "/media/lost", "", &[], b"").status, 204);
    assert_eq!(client.ask("GET", "/media/lost", "", &[], b"").status, 404);
    let kept = stand.store.kept("media", "lost", None, 10).unwrap();
    stand.store.restore("media", kept[0].head.version).unwrap();
    let back = client.ask("GET", "/media/lost", "", &[], b"");
    assert_eq!((back.status, back.body.as_slice()), (200, &b"picture"[..]));
    assert_eq!((back.header("content-type"), back.header("x-amz-meta-colour")), (Some("image/png"), Some("blue")));
}

#[test]
fn ten_thousand_keys_are_listed_page_by_page() {
    let stand = Stand::in_memory();
    for number in 0..10_000_u64 {
        let content = std::io::Cursor::new(content(number % 3, 5));
        stand.store.put("media", &format!("k/{:02}/{number:05}", number % 100), content, Default::default()).unwrap();
    }
    let mut client = Client::new(stand.address, "MEDIA", "media-alone");
    let (mut token, mut keys, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let query = format!("list-type=2{token}");
        let page = client.ask("GET", "/media", &query, &[], b"");
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        keys.extend(text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()));
        pages += 1;
        match text.split("<NextContinuationToken>").nth(1) {
            Some(rest) => token = format!("&continuation-token={}", rest.split('<').next().unwrap()),
            None => break,
        }
    }
    assert_eq!((pages, keys.len()), (10, 10_000));
    assert!(keys.is_sorted());
    let folders =
        stand.store.list("media", &List { prefix: "k/", delimiter: Some("/"), limit: 1000, ..List::default() });
    assert_eq!(folders.unwrap().lines.len(), 100);
}

#[test]
fn keys_that_are_taken_away_open_nothing_any_more() {
    let stand = Stand::new();
    let mut client = Client::new(stand.address, "MEDIA", "media-alone");
    assert_eq!(client.ask("PUT", "/media/a", "", &[], b"x").status, 200);
    stand
        .grants
        .replace(
            Grants::read(br#"[{"access_key_id":"NEW","secret":"n","rules":[{"bucket":"media","verbs":["read"]}]}]"#)
                .unwrap(),
        )
        .unwrap();
    assert_eq!(client.ask("GET", "/media/a", "", &[], b"").status, 403);
    assert_eq!(Client::new(stand.address, "NEW", "n").ask("GET", "/media/a", "", &[], b"").status, 200);
    stand.grants.replace(Grants::read(GRANTS.as_bytes()).unwrap()).unwrap();
    assert_eq!(client.ask("GET", "/media/a", "", &[], b"").status, 200);
}

#[test]
fn a_bucket_has_a_host_of_its_own_where_one_is_configured() {
    let stand = Stand::new();
    let client = Client::new(stand.address, "MEDIA", "media-alone");
    assert_eq!(Client::new(stand.address, "MEDIA", "media-alone").ask("PUT", "/media/a/b", "", &[], b"x").status, 200);
    let stamp = sigv4::stamp(SystemClock.now());
    let request = Request {
        method: "GET",
        path: "/a/b",
        query: "",
        headers: &[("host", "media.s3.localhost")],
        payload: sigv4::UNSIGNED_PAYLOAD,
    };
    let query = sigv4::presign(&request, &client.key, &Scope::of_s3(&stamp, REGION), &stamp, Duration::from_secs(60));
    let ask = |host: &str| {
        let head = format!("GET /a/b?{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        send(stand.address, &[head.as_bytes()])
    };
    assert_eq!(ask("media.s3.localhost").body, b"x");
    assert_eq!(ask("other.s3.localhost").status, 403);
}

#[test]
fn a_bucket_has_a_largest_object_of_its_own_however_it_comes() {
    let stand = Stand::new();
    let mut client = Client::new(stand.address, "ALL", "all-of-it");
    assert_eq!(client.ask("PUT", "/tiny/fits", "", &[], &content(1, 1000)).status, 200);
    let refused = client.ask("PUT", "/tiny/large", "", &[], &content(1, 1001));
    assert_eq!((refused.status, refused.text().contains("EntityTooLarge")), (400, true), "{}", refused.text());
    assert_eq!(client.ask("PUT", "/media/large", "", &[], &content(1, 1001)).status, 200, "others have none");

    let begun = client.ask("POST", "/tiny/parts", "uploads=", &[], b"");
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let query = format!("partNumber=1&uploadId={id}");
    let part = client.ask("PUT", "/tiny/parts", &query, &[], &content(1, 1001));
    let etag = part.header("etag").unwrap().to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let refused = client.ask("POST", "/tiny/parts", &format!("uploadId={id}"), &[], list.as_bytes());
    assert!(refused.text().contains("EntityTooLarge"), "{}", refused.text());
    assert!(stand.store.head("tiny", "parts").is_err());
}

#[test]
fn bounds_are_kept() {
    let limits = Limits {
        head_time: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        object: 1000,
        ..Limits::default()
    };
    let stand = Stand::with(limits);
    let mut client = Client::new(stand.address, "MEDIA", "media-alone");
    let large = client.ask("PUT", "/media/large", "", &[], &content(1, 1001));
    assert_eq!(large.status, 400, "{}", large.text());
    assert!(large.text().contains("EntityTooLarge"));
    let padding = format!("GET / HTTP/1.1\r\nhost: a\r\nx-padding: {}\r\n\r\n", "x".repeat(64 << 10));
    assert_eq!(send(stand.address, &[padding.as_bytes()]).status, 431);
    // Heads that do not come, and bodies that stop coming.
    let mut slow = TcpStream::connect(stand.address).unwrap();
    slow.write_all(b"GET / HTT").unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    let head = client.head("PUT", "/media/slow", "", &[], sigv4::UNSIGNED_PAYLOAD, 500);
    let mut slow = TcpStream::connect(stand.address).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(b"some of it").unwrap();
    let _ = slow.read_to_end(&mut rest);
    assert!(stand.store.head("media", "slow").is_err());
    let without_length =
        "PUT /media/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n";
    assert_eq!(send(stand.address, &[without_length.as_bytes()]).status, 403, "nobody puts");
    let health = format!("GET {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", objects::HEALTH);
    assert_eq!(send(stand.address, &[health.as_bytes()]).status, 200);
    std::fs::remove_dir_all(stand.folder.path().join("temporary")).unwrap();
    assert_eq!(send(stand.address, &[health.as_bytes()]).status, 503);
}
