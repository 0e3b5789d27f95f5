//! Clients that keep HTTP/2's rules to the letter and mean harm: what each costs is bounded, and others are served meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::app::App;
use crate::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM,
    WINDOW_UPDATE, connected, fields, frame, goodbye,
};
use crate::visitor::get;
use crate::world::{SHOP, World, shop};

async fn stage() -> (World, App) {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    (world, app)
}

/// Sends `next` over and over, until the edge has had enough of it.
async fn is_stopped(world: &World, most: u32, mut next: impl FnMut(u32) -> Vec<u8> + Send) {
    let (mut read, mut write) = tokio::io::split(connected(world).await);
    let flooding = async {
        for at in 0..most {
            if write.write_all(&next(at)).await.is_err() {
                return;
            }
        }
        // Everything was taken: only now could it be too late.
        std::future::pending::<()>().await;
    };
    let stopped = async {
        tokio::select! {
            reason = goodbye(&mut read) => reason,
            () = flooding => None,
        }
    };
    let reason = timeout(Duration::from_secs(20), stopped).await.expect("the edge ends such a connection");
    assert_ne!(reason, Some(0), "it is told that something is wrong");
    assert_eq!(get(world, SHOP, "/", "").await.text(), "shop", "others are served");
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let (world, _app) = stage().await;
    is_stopped(&world, 100_000, |at| {
        let stream = at * 2 + 1;
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields()), frame(RST_STREAM, 0, stream, &CANCEL)].concat()
    })
    .await;
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let (world, _app) = stage().await;
    // A literal that is not to be indexed: one byte of name, one of value.
    let more = [0x10, 1, b'x', 1, b'y'].repeat(3000);
    is_stopped(&world, 100_000, move |at| match at {
        0 => frame(HEADERS, END_STREAM, 1, &fields()),
        _ => frame(CONTINUATION, 0, 1, &more),
    })
    .await;
}

#[tokio::test]
async fn a_few_bytes_that_unpack_to_many_are_refused() {
    let (world, _app) = stage().await;
    let mut stream = connected(&world).await;
    // One field of 3 KiB is put into the table, and named a thousand times: 3 MiB in 4 KiB.
    let value = vec![b'y'; 3000];
    let mut block = fields();
    // Literal with indexing, name `x`, a length in two more bytes (127 + 57 + 22 * 128).
    block.extend([0x40, 1, b'x', 0x7f, 0x80 | 57, 22]);
    block.extend(&value);
    block.extend(std::iter::repeat_n(0x80 | 62, 1000));
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.unwrap();
    let refused = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return true;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                RST_STREAM | GOAWAY => return true,
                // `:status 431` is a literal; 200 is index 8.
                HEADERS => return payload.first() != Some(&0x88),
                DATA => return false,
                _ => {}
            }
        }
    };
    assert!(timeout(Duration::from_secs(20), refused).await.expect("an end"));
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "shop");
}

#[tokio::test]
async fn pings_without_end_do_not_pile_up_answers() {
    let (world, _app) = stage().await;
    let (mut read, mut write) = tokio::io::split(connected(&world).await);
    // Nobody reads the answers: the edge stops reading instead of keeping them.
    let ping = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let all_taken = async {
        for _ in 0..20_000 {
            write.write_all(&ping).await?;
        }
        std::io::Result::Ok(())
    };
    let taken = timeout(Duration::from_secs(5), all_taken).await;
    assert!(!matches!(taken, Ok(Ok(()))), "340 MB of pings were taken by an edge whose answers nobody reads");
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "shop");
    drop(write);
    let _ = timeout(Duration::from_secs(1), read.read(&mut [0; 1])).await;
}

#[tokio::test]
async fn a_client_that_pushes_is_sent_away() {
    let (world, _app) = stage().await;
    is_stopped(&world, 1, |_| frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], &fields()].concat()))
        .await;
}

#[tokio::test]
async fn requests_that_we_are_made_to_reset_end_the_connection() {
    let (world, _app) = stage().await;
    // A window that grows by nothing is an error of the stream, so it is we who take the request back.
    is_stopped(&world, 100_000, |at| {
        let stream = at * 2 + 1;
        [frame(HEADERS, END_HEADERS, stream, &fields()), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    })
    .await;
}
