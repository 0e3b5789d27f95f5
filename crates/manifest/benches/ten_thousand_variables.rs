//! How long 10,000 variables take: `cargo bench --profile dist -p roadbed-manifest`. The promise is less than 100 ms.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock itself")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use manifest::{EnvRef, Manifest, Source, parse};

const VARIABLES: usize = 10_000;
const ROUNDS: usize = 20;

fn source() -> Source {
    let mut text = include_str!("../../../roadbed.toml").to_owned();
    for number in 0..VARIABLES {
        let origin = match number % 4 {
            0 => "class = \"secret\"\nsource = \"store\"\nexample = \"example-only\"",
            1 => "class = \"auth\"\nsource = \"generated\"\nrequired = [\"staging\", \"production\"]",
            2 => "class = \"internal\"\nvalue = \"${internal.api}/${environment}\"",
            _ => "class = \"internal\"\nvalue = \"info\"\nin.production.value = \"warn\"",
        };
        text += &format!(
            "\n[variables.V{number}]\ndescription = \"One of many\"\napps = [\"api\"]\nowner = \"backend\"\n{origin}\n"
        );
    }
    Source::new("roadbed.toml", text)
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let source = source();
    let production: EnvRef = "production".parse().expect("it is the name of an environment");
    let read = || -> Manifest { parse(black_box(&source)).0.expect("the manifest is sound") };
    let mut parsing = Vec::new();
    let mut resolving = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let manifest = read();
        parsing.push(start.elapsed());
        let start = Instant::now();
        let environment = manifest.resolve(&production).expect("production is declared");
        resolving.push(start.elapsed());
        assert!(black_box(environment).variables.len() > VARIABLES);
    }
    let (parsing, resolving) = (middle(parsing), middle(resolving));
    println!(
        "{VARIABLES} variables, {:.1} MiB: parse {parsing:.1} ms, resolve {resolving:.1} ms, together {:.1} ms (median of {ROUNDS})",
        source.text.len() as f64 / f64::from(1 << 20),
        parsing + resolving
    );
}
