//! The driver of Docker against a real daemon: every case of the conformance suite.

#[test]
fn probe() {
    let engine = testkit::DockerEngine::start("probe");
    println!("{:?}", engine);
    engine.kill_daemon();
    engine.start_daemon();
}
