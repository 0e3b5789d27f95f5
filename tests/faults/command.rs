//! One run of the program: begun, watched line by line, signalled, waited for. Nothing waits without a deadline.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// No command of these tests takes this long, also on a machine that is busy elsewhere.
const DEADLINE: Duration = Duration::from_secs(45);

/// Lines of both streams, in the order in which they came.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Heard>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    out: Vec<String>,
    err: Vec<String>,
    open: usize,
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    said: Arc<Said>,
    began: Instant,
}

/// How a command ended and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    name: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
    pub(crate) took: Duration,
}

/// What commands said, line by line, as far as anybody collects it.
pub(crate) type Collected = Arc<Mutex<String>>;

pub(crate) fn begin(name: String, command: Command) -> Running {
    begin_collected(name, command, &Collected::default())
}

pub(crate) fn begin_collected(name: String, command: Command, collected: &Collected) -> Running {
    begin_reading(name, command, Stdio::null(), collected)
}

pub(crate) fn begin_reading(name: String, mut command: Command, from: Stdio, collected: &Collected) -> Running {
    let mut child = command.stdin(from).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = Arc::new(Said { lines: Mutex::new(Heard { open: 2, ..Heard::default() }), more: Condvar::new() });
    listen(child.stdout.take().unwrap(), &said, collected, |heard| &mut heard.out);
    listen(child.stderr.take().unwrap(), &said, collected, |heard| &mut heard.err);
    Running { name, child, said, began: Instant::now() }
}

fn listen(
    stream: impl Read + Send + 'static,
    said: &Arc<Said>,
    collected: &Collected,
    to: fn(&mut Heard) -> &mut Vec<String>,
) {
    let (said, collected) = (Arc::clone(said), Arc::clone(collected));
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            collected.lock().unwrap().extend([line.as_str(), "\n"]);
            to(&mut said.lines.lock().unwrap()).push(line);
            said.more.notify_all();
        }
        said.lines.lock().unwrap().open -= 1;
        said.more.notify_all();
    });
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of either stream contains `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let said = self.comes_to_say(text);
        let heard = self.said.lines.lock().unwrap();
        assert!(said, "`{}` never said {text:?}:\n{}\n{}", self.name, heard.out.join("\n"), heard.err.join("\n"));
    }

    /// Whether it says so before it ends.
    pub(crate) fn comes_to_say(&self, text: &str) -> bool {
        let says = |heard: &Heard| heard.out.iter().chain(&heard.err).any(|line| line.contains(text));
        let heard = self.said.lines.lock().unwrap();
        let (heard, _) =
            self.said.more.wait_timeout_while(heard, DEADLINE, |heard| !says(heard) && heard.open > 0).unwrap();
        says(&heard)
    }

    /// How many lines contain `text` by now.
    pub(crate) fn count(&self, text: &str) -> usize {
        let heard = self.said.lines.lock().unwrap();
        heard.out.iter().chain(&heard.err).filter(|line| line.contains(text)).count()
    }

    pub(crate) fn signal(&self, signal: &str) {
        super::stage::signal(self.pid(), signal);
    }

    pub(crate) fn end(mut self) -> Answer {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.began.elapsed() > DEADLINE {
                self.child.kill().unwrap();
                let said = {
                    let heard = self.said.lines.lock().unwrap();
                    format!("{}\n{}", heard.out.join("\n"), heard.err.join("\n"))
                };
                panic!("`{}` did not end:\n{said}", self.name);
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.began.elapsed();
        let heard = self.said.lines.lock().unwrap();
        let (mut heard, waited) = self.said.more.wait_timeout_while(heard, DEADLINE, |heard| heard.open > 0).unwrap();
        assert!(!waited.timed_out(), "`{}` ended, and somebody it started keeps its output open", self.name);
        let (out, err) = (std::mem::take(&mut heard.out), std::mem::take(&mut heard.err));
        let answer = Answer { name: self.name, code: status.code(), out, err, took };
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{answer}");
        }
        answer
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Every text is said, each in one line of either stream.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.iter().chain(&self.err).any(|line| line.contains(text)), "{text:?} is missing in\n{self}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn says_not(self, text: &str) -> Self {
        assert!(!self.out.iter().chain(&self.err).any(|line| line.contains(text)), "{text:?} should not be in\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "took {:?}, more than {limit:?}\n{self}", self.took);
        self
    }

    /// A refusal in house form: one hint at least, and no debugging output.
    #[track_caller]
    pub(crate) fn refuses(self, code: i32, texts: &[&str]) -> Self {
        let answer = self.exits(code).says(texts).says(&["hint: "]);
        for noise in ["panicked", "RUST_BACKTRACE", "Err(", "Some("] {
            assert!(!answer.err.iter().any(|line| line.contains(noise)), "{noise:?} is no word for people\n{answer}");
        }
        answer
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}   exit {:?} after {:?}", self.name, self.code, self.took)?;
        self.out.iter().try_for_each(|line| writeln!(f, "1| {line}"))?;
        self.err.iter().try_for_each(|line| writeln!(f, "2| {line}"))
    }
}
