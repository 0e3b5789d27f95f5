//! The role on its own, for its tests and for `benches/media.py`.
//!
//! ```text
//!   media worker
//!   media render FILE WIDTH FORMAT QUALITY TIMES OUTPUT   milliseconds of the processor for each
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a tool of tests and benches")]

use std::io;

use media::image::{Bounds, Target, Task, render};
use media::{Fit, Format};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // By any name that begins so: a test finds its own by it.
        [role] if role.starts_with("worker") => media::worker::main(io::stdin().lock(), io::stdout().lock()),
        // A worker that was taken over: what it gets at where it only should compute.
        ["escape"] => {
            let parent = rustix::process::getppid().unwrap();
            media::worker::main(io::stdin().lock(), io::stdout().lock())?;
            let got = [
                ("read a file", std::fs::File::open("/etc/passwd").is_ok()),
                ("wrote a file", std::fs::write("/tmp/roadbed-media-escape", "").is_ok()),
                ("opened a socket", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
                ("started a process", std::process::Command::new("/bin/true").spawn().is_ok()),
                ("started a thread", std::thread::Builder::new().spawn(|| ()).is_ok()),
                ("saw its parent", rustix::process::test_kill_process(parent).is_ok()),
                ("read a variable", std::env::vars().next().is_some()),
            ];
            let got: Vec<&str> = got.iter().filter(|(_, got)| *got).map(|(what, _)| *what).collect();
            println!("{}", got.join(", "));
            Ok(())
        }
        // Takes a request and never answers.
        [role] if role.starts_with("hang") => loop {
            std::thread::park();
        },
        ["render", file, width, format, quality, times, output] => {
            let format = Format::ALL.into_iter().find(|known| known.name() == format).unwrap();
            let task = Task {
                width: Some(width.parse().unwrap()),
                height: None,
                fit: Fit::Inside,
                format: Target::As(format),
                quality: quality.parse().unwrap(),
                bounds: Bounds { pixels: 100_000_000, side: 8192 },
            };
            let bytes = std::fs::read(file)?;
            let mut made = render(&bytes, &task).unwrap();
            let used = || {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
                std::time::Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
            };
            let before = used();
            let times: u32 = times.parse().unwrap();
            for _ in 0..times {
                made = render(&bytes, &task).unwrap();
            }
            println!("{:.3}", ((used() - before) / times).as_secs_f64() * 1000.0);
            std::fs::write(output, made.bytes)
        }
        _ => Err(io::Error::other("unknown arguments")),
    }
}
