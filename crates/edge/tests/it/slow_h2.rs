//! As `slow`, for what HTTP/2 and TLS have of their own. The times are short ones; that nobody is let go before his time is asserted,
//! too.

use std::time::{Duration, Instant};

use edge::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::app::{App, full};
use crate::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, connected,
    fields, frame, goodbye, literals,
};
use crate::visitor::{closes_within, exchange, get, tcp, try_tls};
use crate::world::{SHOP, World, shop};

const SOON: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(400);

async fn stage(size: usize) -> (World, App) {
    let app = App::start(move |_| async move { full(vec![b'x'; size]) }).await;
    let limits = Limits {
        tls_handshake: MOMENT,
        first_byte: MOMENT,
        head: MOMENT,
        keep_alive: MOMENT * 2,
        upload_stall: MOMENT,
        write_stall: MOMENT,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    world.publish(vec![shop(app.port)]).await;
    (world, app)
}

/// The next frame that is not about the connection.
async fn next(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, u8, Vec<u8>)> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        if head[8] != 0 || head[3] == GOAWAY {
            return Some((head[3], head[8], payload));
        }
    }
}

/// SETTINGS_INITIAL_WINDOW_SIZE.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

#[tokio::test]
async fn a_stream_that_its_client_does_not_read_is_reset_and_the_others_go_on() {
    let (world, _app) = stage(4096).await;
    let mut stream = connected(&world).await;
    stream.write_all(&frame(SETTINGS, 0, 0, &NO_WINDOW)).await.unwrap();
    let began = Instant::now();
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields())).await.unwrap();
    let (kind, number, _) = timeout(SOON, next(&mut stream)).await.unwrap().unwrap();
    assert_eq!((kind, number), (HEADERS, 1));
    let (kind, number, reason) = timeout(SOON, next(&mut stream)).await.unwrap().unwrap();
    assert_eq!((kind, number, reason.as_slice()), (RST_STREAM, 1, &CANCEL[..]));
    assert!(began.elapsed() >= MOMENT, "let go after {:?}", began.elapsed());
    // Whoever opens a window is served by the same connection.
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &fields())).await.unwrap();
    stream.write_all(&frame(WINDOW_UPDATE, 0, 3, &10_000_u32.to_be_bytes())).await.unwrap();
    assert_eq!(timeout(SOON, next(&mut stream)).await.unwrap().unwrap().0, HEADERS);
    let (kind, number, data) = timeout(SOON, next(&mut stream)).await.unwrap().unwrap();
    assert_eq!((kind, number, data.len()), (DATA, 3, 4096));
}

#[tokio::test]
async fn a_client_that_stops_reading_in_the_middle_is_let_go_and_one_that_reads_slowly_is_not() {
    let (world, _app) = stage(300_000).await;
    let mut stream = connected(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields())).await.unwrap();
    let mut taken = 0;
    let mut windows = 8;
    loop {
        let (kind, _, payload) = timeout(SOON, next(&mut stream)).await.unwrap().unwrap();
        match kind {
            DATA => taken += payload.len(),
            RST_STREAM => break,
            _ => continue,
        }
        // Less than 65,535 at a time, each after a while; in the end none.
        if taken % 20_000 < 16_384 && windows > 0 {
            windows -= 1;
            sleep(MOMENT / 4).await;
            for number in [0, 1] {
                stream.write_all(&frame(WINDOW_UPDATE, 0, number, &16_384_u32.to_be_bytes())).await.unwrap();
            }
        }
    }
    assert!((100_000..300_000).contains(&taken), "{taken} bytes were taken");
}

#[tokio::test]
async fn headers_whose_rest_never_comes_do_not_hold_a_connection() {
    let (world, _app) = stage(1).await;
    let mut stream = connected(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &fields())).await.unwrap();
    timeout(SOON, goodbye(&mut stream)).await.expect("it ends");
}

#[tokio::test]
async fn a_body_that_stalls_in_a_stream_is_answered_408() {
    let (world, _app) = stage(1).await;
    let mut stream = connected(&world).await;
    let fields: [(&[u8], &[u8]); 4] =
        [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", SHOP.as_bytes()), (b":path", b"/")];
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &literals(fields))).await.unwrap();
    stream.write_all(&frame(DATA, 0, 1, b"hello")).await.unwrap();
    while timeout(SOON, next(&mut stream)).await.unwrap().is_some_and(|(kind, ..)| kind != HEADERS) {}
    let log = world.log(|lines| !lines.is_empty()).await;
    // The app may answer before it has read: then it is the answer that counts.
    assert!(log[0]["status"] == 408 || log[0]["status"] == 200, "{}", log[0]);
}

#[tokio::test]
async fn who_drips_its_handshake_is_let_go_in_its_time() {
    let (world, _app) = stage(1).await;
    let began = Instant::now();
    let mut dripping = tcp(world.https).await;
    // The beginning of a record with a ClientHello of 512 bytes, a byte at a time.
    let hello = [&[22, 3, 1, 2, 4, 1, 0, 2, 0, 3, 3][..], &[0; 501]].concat();
    for byte in hello {
        if dripping.write_all(&[byte]).await.is_err() || began.elapsed() > SOON {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= MOMENT && began.elapsed() < SOON, "{:?}", began.elapsed());
    // After the handshake: the preface, and nothing more.
    let began = Instant::now();
    let mut silent = try_tls(&world, SHOP, &[b"h2"]).await.unwrap();
    silent.write_all(PREFACE).await.unwrap();
    assert!(closes_within(&mut silent, SOON).await);
    assert!(began.elapsed() >= MOMENT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_holds_nothing() {
    let (world, _app) = stage(100).await;
    for begun in [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127",
        "",
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhi",
    ] {
        let mut stream = tcp(world.internal).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        // Our half is closed; the edge's is not, and we do not read for a while.
        stream.shutdown().await.unwrap();
        assert!(closes_within(&mut stream, SOON).await, "{begun:?}");
    }
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    let wire = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(exchange(&mut tcp(world.internal).await, wire.as_bytes()).await.unwrap().status, 200);
}
