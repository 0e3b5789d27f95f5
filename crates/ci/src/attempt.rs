//! One run of one task: its output redacted and counted as it comes, its processes ended with it.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use host::process::{self, Process, ProcessFault, Run, Signal, Stream};
use regex::Regex;
use secrets::redact::Needles;

use crate::evidence::Counter;

/// What of an output is kept from its beginning. A test that writes a gigabyte says what matters before, or at its end.
const MOST_LOG: usize = 4 << 20;

/// Lines that are kept of its end beyond that.
const LAST_LINES: usize = 200;

/// Beyond the beginning one in so many is shown while it runs.
const SHOWN_OF_REST: u64 = 1000;

/// Says to every process of a task whose it is. What it starts inherits it, also in a session of its own.
const MARK: &str = "ROADBED_CI_TASK";

static COLOURS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").expect("the pattern is constant"));

/// What is run.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    pub deadline: Duration,
    pub needles: Arc<Needles>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Why it failed; `None` is a success.
    pub failure: Option<String>,
    pub tests: Option<u64>,
    /// What it wrote, redacted, without colours.
    pub log: Vec<u8>,
}

impl Attempt {
    /// Runs it; `on_line` gets what it writes, redacted. When this future is dropped all of its processes are killed.
    pub async fn run(&self, on_line: &mut (dyn FnMut(&str) + Send)) -> Ended {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = Process::open(host::own::pid()).map_or(0, |own| own.identity().start_time);
        let mark = format!("{}-{start}-{number}", host::own::pid());
        let mut env = self.env.clone();
        env.insert(MARK.to_owned(), mark.clone());
        let run = Run {
            program: self.program.clone(),
            args: self.args.clone(),
            cwd: self.cwd.clone(),
            env,
            deadline: self.deadline,
        };
        let strays = Strays { mark };
        let (mut log, mut counter) = (Log::default(), Counter::default());
        let finished = process::run(&run, &mut |_: Stream, line: &str| {
            if log.is_full() {
                // A flood: looking closely at hundreds of millions of lines, of which some hundred are kept, takes minutes.
                counter.line(&without_colours(line));
                log.rest(line);
                if log.rest.is_multiple_of(SHOWN_OF_REST) {
                    on_line(&without_colours(&self.needles.redact(line)));
                }
                return;
            }
            let redacted = self.needles.redact(line);
            let plain = without_colours(&redacted);
            counter.line(&plain);
            log.line(&plain);
            on_line(&plain);
        })
        .await;
        drop(strays);
        let failure = match finished {
            Ok(finished) if finished.success() => None,
            Ok(finished) => Some(format!("it ended with {}", finished.describe())),
            Err(ProcessFault::Deadline { deadline, .. }) => Some(format!(
                "it did not end within {} s and was killed, with all that it started",
                deadline.as_secs_f32()
            )),
            Err(fault) => Some(reconcile::Fault::because(fault.to_string(), &fault).causes.join(": ")),
        };
        Ended { failure, tests: counter.ran(), log: log.finish(&self.needles) }
    }
}

fn without_colours(line: &str) -> Cow<'_, str> {
    if line.contains('\x1b') { COLOURS.replace_all(line, "") } else { Cow::Borrowed(line) }
}

/// Beginning and end of an output.
#[derive(Debug, Default)]
struct Log {
    beginning: Vec<u8>,
    is_full: bool,
    /// As they came: only those that are left at the end are looked at.
    last: VecDeque<String>,
    /// Lines beyond the beginning.
    rest: u64,
}

impl Log {
    /// Whether only the end is kept from here on.
    fn is_full(&self) -> bool {
        self.is_full
    }

    fn line(&mut self, line: &str) {
        self.beginning.extend_from_slice(line.as_bytes());
        self.beginning.push(b'\n');
        self.is_full = self.beginning.len() >= MOST_LOG;
    }

    fn rest(&mut self, line: &str) {
        self.rest += 1;
        // A flood makes no text of its own for each line.
        let mut kept = match self.last.len() {
            LAST_LINES => self.last.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        kept.clear();
        kept.push_str(line);
        self.last.push_back(kept);
    }

    fn finish(mut self, needles: &Needles) -> Vec<u8> {
        let left_out = self.rest - self.last.len() as u64;
        if left_out > 0 {
            self.beginning.extend_from_slice(format!("… {left_out} lines left out …\n").as_bytes());
        }
        for line in self.last {
            self.beginning.extend_from_slice(without_colours(&needles.redact(&line)).as_bytes());
            self.beginning.push(b'\n');
        }
        self.beginning
    }
}

/// Processes of a task that left its group. They end with it.
#[derive(Debug)]
struct Strays {
    mark: String,
}

impl Drop for Strays {
    fn drop(&mut self) {
        // Who starts others while we look is seen the next time; who starts others without end is not stopped by looking for ever.
        for _ in 0..5 {
            // Held before it is looked at, so that its number can be nobody else's.
            let all = process::table::entries().into_iter().filter(|entry| entry.pid != host::own::pid());
            let found: Vec<Process> = all
                .filter_map(|entry| Process::open(entry.pid).ok())
                .filter(|held| process::table::environment(held.pid()).get(MARK) == Some(&self.mark) && held.is_alive())
                .collect();
            if found.is_empty() {
                return;
            }
            found.iter().for_each(|process| drop(process.signal(Signal::KILL)));
        }
    }
}

/// Lines of a log.
pub fn lines(log: &[u8]) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
    log.strip_suffix(b"\n").unwrap_or(log).split(|byte| *byte == b'\n').map(String::from_utf8_lossy)
}
