//! An app that has its address and nothing else.

use std::time::Duration;

fn carry(order: u32) -> Result<u32, std::num::ParseIntError> {
    format!("no weight for order {order}").parse()
}

fn main() {
    // Reads SENTRY_DSN, SENTRY_RELEASE and SENTRY_ENVIRONMENT itself.
    let mut options = sentry::ClientOptions::default();
    options.release = sentry::release_name!();
    let client = sentry::init(options);
    sentry::start_session();
    sentry::configure_scope(|scope| scope.set_tag("request_id", "req-rust"));
    if let Err(error) = carry(4711) {
        sentry::capture_error(&error);
    }
    sentry::configure_scope(|scope| scope.set_tag("request_id", "req-rust-panic"));
    let panicked = std::thread::Builder::new().name("packer".into()).spawn(|| {
        sentry::configure_scope(|scope| scope.set_tag("request_id", "req-rust-panic"));
        let orders: Vec<u32> = Vec::new();
        orders[4711]
    });
    assert!(panicked.expect("a thread").join().is_err());
    sentry::end_session();
    assert!(client.close(Some(Duration::from_secs(5))), "what was told is not sent");
}
