//! Requests with two meanings, on connections to an app that others' requests use next: whatever somebody sends, whoever comes
//! after him is given his own answer, and the app sees no request that nobody sent.

use crate::matrix::{CASES, Fate};
use crate::visitor::{Reply, Stream, exchange, get, tls};
use crate::witness::{Carried, Witness};
use crate::world::{SHOP, World, shop};

pub(crate) async fn stage() -> (World, Witness) {
    let witness = Witness::start().await;
    let world = World::new().await;
    world.publish(vec![shop(witness.address.port())]).await;
    (world, witness)
}

/// Somebody else asks, by a connection of his own to the edge. What the app has seen by then; what is wrong, if anything.
pub(crate) async fn innocent(world: &World, witness: &Witness, number: usize) -> (Vec<Carried>, Result<usize, String>) {
    let line = format!("GET /innocent/{number} HTTP/1.1");
    let reply: Reply = get(world, SHOP, &format!("/innocent/{number}"), "").await;
    let mut seen = witness.take();
    let connection = match seen.pop() {
        Some(Carried::Request { connection, line: last, body }) if last == line && body.is_empty() => connection,
        other => return (seen, Err(format!("the app saw {other:?} last"))),
    };
    if reply.status != 200 || reply.body != line.as_bytes() {
        return (seen, Err(format!("another's answer: {} {:?}", reply.status, String::from_utf8_lossy(&reply.body))));
    }
    (seen, Ok(connection))
}

/// Whether what the app saw is what became of the request, and nothing else.
pub(crate) fn is_as_it_should_be(seen: &[Carried], fate: &Fate) -> bool {
    match (fate, seen) {
        (Fate::Refused(_), []) => true,
        (Fate::Forwarded(line, body), [Carried::Request { line: seen, body: with, .. }]) => {
            line == seen && body.as_bytes() == with
        }
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_after_a_request_with_two_meanings_is_given_his_own_answer() {
    let (world, witness) = stage().await;
    let mut wrong = Vec::new();
    let mut shared = 0;
    for (number, (name, wire, fate)) in CASES.iter().enumerate() {
        let mut stream = tls(&world, SHOP).await;
        let wire = wire.replace("{H}", SHOP);
        let _ = exchange(&mut stream as &mut dyn Stream, wire.as_bytes()).await;
        let (seen, after) = innocent(&world, &witness, number).await;
        if !is_as_it_should_be(&seen, fate) {
            wrong.push(format!("{name}: the app saw {seen:?}"));
        }
        match (after, seen.as_slice()) {
            (Err(why), _) => wrong.push(format!("{name}: {why}")),
            (Ok(connection), [Carried::Request { connection: before, .. }]) => {
                shared += usize::from(connection == *before)
            }
            (Ok(_), _) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Otherwise nothing of this was a proof: each of them had a connection to the app of his own.
    let forwarded = CASES.iter().filter(|(_, _, fate)| matches!(fate, Fate::Forwarded(..))).count();
    assert_eq!(shared, forwarded, "requests by the connection that another's came by just before");
}

/// Answers with two meanings, and more than was asked for. With what is answered to who asked.
const ANSWERS: &[(&str, &str, &[u16])] = &[
    (
        "an answer too many",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        &[200],
    ),
    ("bytes too many", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", &[200]),
    ("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", &[204, 502]),
    ("304 with a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", &[304, 502]),
    (
        "chunks and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        &[200],
    ),
    (
        "a length beside chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        &[200, 502],
    ),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nevil", &[502]),
    (
        "an early hint too many",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 103 Early Hints\r\n\r\n",
        &[200],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_says_too_much_is_nobodys_answer() {
    let (world, witness) = stage().await;
    let mut wrong = Vec::new();
    for (number, (name, answer, expected)) in ANSWERS.iter().enumerate() {
        let path =
            format!("/raw/{}", percent_encoding::utf8_percent_encode(answer, percent_encoding::NON_ALPHANUMERIC));
        let mut stream = tls(&world, SHOP).await;
        let wire = format!("POST {path} HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
        let reply = exchange(&mut stream, wire.as_bytes()).await;
        let status = reply.as_ref().map(|reply| reply.status);
        if !status.is_some_and(|status| expected.contains(&status)) {
            wrong.push(format!("{name}: answered {status:?}"));
        }
        if let (_, Err(why)) = innocent(&world, &witness, number).await {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
