//! Tells the program for which machine it is built.

fn main() {
    #[expect(clippy::print_stdout, reason = "that is how cargo is told")]
    let tell = |name: &str, value: &str| println!("cargo::rustc-env={name}={value}");
    tell("XTASK_HOST", &std::env::var("TARGET").expect("cargo says for which machine it builds"));
}
