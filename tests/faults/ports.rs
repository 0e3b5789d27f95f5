//! Ports that somebody else has.

use std::net::{Ipv4Addr, TcpListener};

use crate::stage::Stage;

/// A listener of somebody else's.
fn stranger(port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_port_asked_for_that_is_taken_is_refused_with_the_way_to_find_out_who_has_it() {
    let stage = Stage::new();
    let (taken, number) = stranger(0);
    for name in ["https", "http"] {
        stage.roadbed(&format!("up --detach --no-gate --{name}-port {number}")).refuses(
            1,
            &[&format!("cannot listen on 127.0.0.1:{number} for {name}"), "Address already in use", "ss -ltnp"],
        );
    }
    // Nothing came up, so nothing is left behind.
    stage.is_empty();
    drop(taken);
    stage.roadbed(&format!("up --detach --no-gate --https-port {number}")).exits(0).says(&[&format!(":{number}")]);
    stage.is_whole();
}

#[test]
fn a_port_asked_for_that_is_taken_leaves_what_runs_as_it_is() {
    let stage = Stage::new();
    stage.up();
    let before = stage.url();
    let (_taken, number) = stranger(0);
    stage.roadbed(&format!("up --detach --no-gate --https-port {number}")).refuses(1, &["Address already in use"]);
    stage.answers();
    assert_eq!(stage.url(), before);
    stage.up();
    stage.is_whole();
}

#[test]
fn a_remembered_port_that_a_stranger_took_is_replaced_and_that_is_said() {
    let stage = Stage::new();
    stage.up();
    let before = stage.url();
    stage.roadbed("down").exits(0);
    let (_taken, number) = stranger(port(&before));
    stage.up().says(&[&format!("port {number} of https was taken by another program")]);
    assert_ne!(stage.url(), before);
    stage.is_whole();
    // The new one is kept from now on.
    let now = stage.url();
    stage.roadbed("down").exits(0);
    stage.up().says_not("was taken");
    assert_eq!(stage.url(), now);
}

#[test]
fn a_port_that_a_stranger_takes_between_its_choice_and_its_use_is_replaced_by_the_same_up() {
    let stage = Stage::new();
    // Ports are chosen before anything is built, and the app listens after that.
    let build = include_str!("project/web/build.sh");
    stage.write("web/build.sh", &format!("until [ -e ../taken ]; do sleep 0.05; done\n{build}"));
    let up = stage.begin("up --detach --no-gate");
    up.wait_for("build/web: build");
    let book = std::fs::read(stage.folder().join("root/state/ports.json")).unwrap();
    let book: serde_json::Value = serde_json::from_slice(&book).unwrap();
    let number = u16::try_from(book["ports"]["web-1"].as_u64().unwrap()).unwrap();
    let _taken = stranger(number);
    stage.write("taken", "");
    up.end().exits(0).says(&[&format!("port {number} of web-1 was taken by another program")]);
    stage.is_whole();
}

#[test]
fn a_declared_port_that_is_taken_is_refused_with_the_way_to_rehearse() {
    let stage = Stage::new();
    let (_taken, number) = stranger(0);
    stage.edit("domain = \"tiny.example\"", &format!("domain = \"tiny.example\"\nports = {{ https = {number} }}"));
    stage
        .roadbed("up --detach --no-gate --env production")
        .refuses(1, &[&format!("cannot listen on 0.0.0.0:{number} for https"), "--free-ports"]);
    stage.is_empty();
    let up = "up --detach --no-gate --env production --free-ports";
    stage.roadbed(up).exits(0).says(&["--resolve www.tiny.example:"]);
    stage.is_whole();
    let before = stage.url();
    stage.roadbed("plan --env production --free-ports").exits(0).says(&["nothing to change"]);
    stage.roadbed("down").exits(0);
    stage.roadbed(up).exits(0);
    assert_eq!(stage.url(), before, "a rehearsal keeps its ports");
}
