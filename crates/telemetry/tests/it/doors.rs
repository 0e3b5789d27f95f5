//! Who gets in where.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::Place;

#[tokio::test]
async fn our_own_ask_by_the_socket_and_reports_come_in_on_loopback() {
    let place = Place::new();
    let role = place.start().await;
    let health = role.client.health().await.unwrap();
    assert_eq!(health.environment, "test");

    let mut stream = TcpStream::connect(("127.0.0.1", role.port)).await.unwrap();
    // What our own are told is told to nobody else.
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    role.stop().await;
}
