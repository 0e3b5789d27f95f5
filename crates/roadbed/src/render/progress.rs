//! What goes on while an environment comes up: moving lines on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reconcile::Event;

use crate::render::fault;
use crate::render::paint::{Paint, printable};
use crate::render::span;

/// Draws events.
#[derive(Debug)]
pub enum Progress {
    Moving(Moving),
    Lines(Lines),
    /// Only what fails.
    Failures(Paint),
}

impl Progress {
    /// The lines to keep of an event; moving ones are drawn at once.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        match self {
            Self::Moving(moving) => moving.event(event),
            Self::Lines(lines) => lines.event(event),
            Self::Failures(paint) => {
                kept(event, *paint).filter(|_| matches!(event, Event::Failed { .. })).unwrap_or_default()
            }
        }
    }

    /// Prints lines through `print`, above the moving ones.
    pub fn show(&self, lines: &[String], print: impl Fn(&str)) {
        let all = || lines.iter().for_each(|line| print(line));
        match self {
            Self::Moving(moving) if !lines.is_empty() => moving.all.suspend(all),
            _ => all(),
        }
    }

    /// Takes the moving lines away.
    pub fn end(&mut self) {
        if let Self::Moving(moving) = self {
            moving.clear();
        }
    }
}

/// The lines that an event leaves behind, in every form of progress.
fn kept(event: &Event, paint: Paint) -> Option<Vec<String>> {
    match event {
        Event::Converged { resource, steps, took_ms } => {
            let what = match steps {
                0 => "as it should be".to_owned(),
                _ => format!("{}, {}", span::count(*steps as usize, "step"), span::time(*took_ms)),
            };
            Some(vec![format!("{} {resource}  {}", paint.good("✓"), paint.faint(what))])
        }
        Event::Failed { resource, fault } => {
            let mut lines = vec![format!("{} {resource}  {}", paint.bad("✗"), paint.strong(&fault.message))];
            lines.extend(fault::below(fault, paint));
            Some(lines)
        }
        Event::Skipped { resource, because } => {
            Some(vec![format!("{} {resource}  skipped, it needs {because}", paint.caution("-"))])
        }
        Event::Noted { note } => Some(vec![format!("{} {note}", paint.caution("!"))]),
        Event::Started { .. } | Event::Step { .. } | Event::Bytes { .. } | Event::Output { .. } => None,
    }
}

/// One line per resource that is being worked on.
#[derive(Debug)]
pub struct Moving {
    paint: Paint,
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

/// Fast enough to look alive, slow enough not to be seen in a profile.
const FRAME: Duration = Duration::from_millis(100);

impl Moving {
    pub fn new(paint: Paint) -> Self {
        Self { paint, all: MultiProgress::new(), bars: BTreeMap::new() }
    }

    fn event(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Started { resource } => {
                self.bar(resource);
            }
            Event::Step { resource, step } => {
                let bar = self.bar(resource);
                bar.set_style(spinner());
                bar.set_message(step.clone());
            }
            Event::Output { resource, line } => self.bar(resource).set_message(printable(line)),
            Event::Bytes { resource, done, total } => {
                let bar = self.bar(resource);
                if *total > 0 {
                    bar.set_style(transfer());
                    bar.set_length(*total);
                }
                bar.set_position(*done);
            }
            Event::Converged { resource, .. } | Event::Failed { resource, .. } | Event::Skipped { resource, .. } => {
                if let Some(bar) = self.bars.remove(resource) {
                    bar.finish_and_clear();
                }
            }
            Event::Noted { .. } => {}
        }
        kept(event, self.paint).unwrap_or_default()
    }

    fn bar(&mut self, resource: &str) -> &ProgressBar {
        self.bars.entry(resource.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner().with_style(spinner()).with_prefix(resource.to_owned()));
            bar.enable_steady_tick(FRAME);
            bar
        })
    }

    fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
        let _ = self.all.clear();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}").expect("the template is a constant")
}

fn transfer() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}  {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
        .expect("the template is a constant")
}

/// One line per thing that happened.
#[derive(Debug)]
pub struct Lines {
    paint: Paint,
    output: BuildOutput,
    /// Quarters of a transfer that were told.
    quarters: BTreeMap<String, u64>,
}

/// Whether lines of builds and installs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildOutput {
    Shown,
    Hidden,
}

impl Lines {
    pub fn new(paint: Paint, output: BuildOutput) -> Self {
        Self { paint, output, quarters: BTreeMap::new() }
    }

    fn event(&mut self, event: &Event) -> Vec<String> {
        match event {
            Event::Step { resource, step } => vec![format!("  {resource}: {step}")],
            Event::Bytes { resource, done, total } => self.bytes(resource, *done, *total),
            Event::Output { resource, line } if self.output == BuildOutput::Shown => {
                vec![self.paint.faint(format!("  {resource} | {}", printable(line)))]
            }
            Event::Started { .. } | Event::Output { .. } => Vec::new(),
            event => kept(event, self.paint).unwrap_or_default(),
        }
    }

    /// A log is no place for a moving bar: a quarter at a time.
    fn bytes(&mut self, resource: &str, done: u64, total: u64) -> Vec<String> {
        let Some(quarter) = (done.saturating_mul(4)).checked_div(total) else { return Vec::new() };
        let told = self.quarters.insert(resource.to_owned(), quarter);
        if quarter == 0 || told.is_some_and(|told| told >= quarter) {
            return Vec::new();
        }
        vec![format!("  {resource}: {} % of {}", quarter * 25, span::bytes(total))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::Fault;

    #[test]
    fn a_log_gets_a_line_per_step_and_a_few_per_transfer() {
        let mut lines = Lines::new(Paint::Plain, BuildOutput::Hidden);
        let resource = || "mongodb".to_owned();
        let mut told = lines.event(&Event::Started { resource: resource() });
        told.extend(lines.event(&Event::Step { resource: resource(), step: "fetch mongod 6.0.5".into() }));
        for done in 0..=100 {
            told.extend(lines.event(&Event::Bytes { resource: resource(), done: done << 20, total: 100 << 20 }));
        }
        told.extend(lines.event(&Event::Output { resource: resource(), line: "noise".into() }));
        told.extend(lines.event(&Event::Converged { resource: resource(), steps: 3, took_ms: 4_200 }));
        told.extend(lines.event(&Event::Failed {
            resource: "api".into(),
            fault: Fault::new("cannot start api").output(vec!["boom".into()]),
        }));
        told.extend(lines.event(&Event::Skipped { resource: "edge".into(), because: "api".into() }));
        assert_eq!(
            told,
            [
                "  mongodb: fetch mongod 6.0.5",
                "  mongodb: 25 % of 100.0 MiB",
                "  mongodb: 50 % of 100.0 MiB",
                "  mongodb: 75 % of 100.0 MiB",
                "  mongodb: 100 % of 100.0 MiB",
                "✓ mongodb  3 steps, 4.2 s",
                "✗ api  cannot start api",
                "  its last lines:",
                "    | boom",
                "- edge  skipped, it needs api",
            ]
        );
    }
}
