use std::process::ExitCode;

fn main() -> ExitCode {
    roadbed::cli::main()
}
