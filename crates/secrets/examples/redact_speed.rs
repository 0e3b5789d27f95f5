//! How fast output is redacted: `cargo run --profile dist -p roadbed-secrets --example redact_speed [SECRETS]`.

#![allow(clippy::print_stdout, reason = "an example")]
#![allow(clippy::unwrap_used, reason = "an example")]
#![allow(clippy::disallowed_methods, reason = "an example times itself")]

use std::sync::Arc;
use std::time::Instant;

use secrets::generate;
use secrets::redact::{Needles, Redactor, encodings};

fn main() {
    let count: usize = std::env::args().nth(1).map_or(500, |text| text.parse().unwrap());
    let secrets: Vec<_> = (0..count).map(|_| generate::credential().unwrap()).collect();
    let needles: usize = secrets.iter().map(|secret| encodings(secret).len()).sum();
    let start = Instant::now();
    let set = Arc::new(Needles::new(secrets.iter().enumerate().map(|(at, one)| (format!("S{at}@1"), one))).unwrap());
    let built = start.elapsed();

    // Log lines of an app, one in a hundred with a secret.
    let mut text = String::new();
    let mut at = 0;
    while text.len() < 64 << 20 {
        text.push_str("{\"time\":\"2026-11-26T04:00:00.000Z\",\"level\":\"info\",\"msg\":\"GET /products\",\"status\":200,\"ms\":3}\n");
        if at % 100 == 0 {
            text.push_str(secrets[at / 100 % count].expose());
        }
        at += 1;
    }
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut redactor = Redactor::new(Arc::clone(&set));
    let start = Instant::now();
    for chunk in text.as_bytes().chunks(64 << 10) {
        redactor.push(chunk, &mut out);
    }
    redactor.flush(&mut out);
    let streamed = start.elapsed();
    let start = Instant::now();
    let lines: usize = text.lines().map(|line| set.redact(line).len()).sum();
    let by_line = start.elapsed();
    let rate = |took: std::time::Duration| text.len() as f64 / 1e6 / took.as_secs_f64();
    println!("{count} secrets, {needles} needles, automaton built in {built:?}");
    println!(
        "{:.0} MB/s in chunks of 64 KiB, {:.0} MB/s line by line with guesses ({lines} bytes)",
        rate(streamed),
        rate(by_line)
    );
    println!("{} found", set.found().map(|(_, found)| found).sum::<u64>());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
