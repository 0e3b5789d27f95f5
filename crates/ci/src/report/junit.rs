//! Results as JUnit XML: a suite for each package, a case for each task.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::attempt::lines;
use crate::jobs::Job;
use crate::run::{Done, Outcome};

/// Lines of a log that a case shows: readers put it all on one page.
const SHOWN: usize = 200;

/// The document.
pub fn junit(jobs: &[Job], done: &[Done]) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec(), b' ', 2);
    write(&mut writer, jobs, done).expect("writing into memory does not fail");
    let mut document = writer.into_inner();
    document.push(b'\n');
    document
}

fn write(writer: &mut Writer<Vec<u8>>, jobs: &[Job], done: &[Done]) -> io::Result<()> {
    let mut suites: BTreeMap<&str, Vec<(&Job, &Done)>> = BTreeMap::new();
    for (job, over) in jobs.iter().zip(done) {
        suites.entry(&job.package).or_default().push((job, over));
    }
    let counts = |of: &[(&Job, &Done)]| {
        let count =
            |outcomes: &[Outcome]| of.iter().filter(|(_, done)| outcomes.contains(&done.outcome)).count().to_string();
        let took: Duration = of.iter().map(|(_, done)| done.took).sum();
        [
            ("tests", of.len().to_string()),
            ("failures", count(&[Outcome::Failed])),
            ("errors", "0".to_owned()),
            ("skipped", count(&[Outcome::Skipped, Outcome::Stopped])),
            ("time", seconds(took)),
        ]
    };
    let all: Vec<(&Job, &Done)> = jobs.iter().zip(done).collect();
    let mut top = writer.create_element("testsuites").with_attribute(("name", "roadbed ci"));
    for (name, value) in &counts(&all) {
        top = top.with_attribute((*name, value.as_str()));
    }
    top.write_inner_content(|writer| {
        for (package, cases) in &suites {
            let name = sound(package);
            let mut suite = writer.create_element("testsuite").with_attribute(("name", name.as_str()));
            let counted = counts(cases);
            for (name, value) in &counted {
                suite = suite.with_attribute((*name, value.as_str()));
            }
            suite.write_inner_content(|writer| cases.iter().try_for_each(|(job, done)| case(writer, job, done)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, job: &Job, done: &Done) -> io::Result<()> {
    let (class, name, time) = (sound(&job.package), sound(&job.task), seconds(done.took));
    let case = writer.create_element("testcase");
    let case = case.with_attributes([("classname", class.as_str()), ("name", name.as_str()), ("time", time.as_str())]);
    let why = sound(done.why.as_deref().unwrap_or_default());
    let log = shown(&done.log);
    case.write_inner_content(|writer| {
        match done.outcome {
            Outcome::Failed => {
                let failure = writer.create_element("failure").with_attribute(("message", why.as_str()));
                failure.write_text_content(BytesText::new(&log))?;
            }
            Outcome::Skipped | Outcome::Stopped => {
                writer.create_element("skipped").with_attribute(("message", why.as_str())).write_empty()?;
            }
            // As Maven's Surefire says it, which others read.
            Outcome::Succeeded if done.is_flaky() => {
                let message = format!("it succeeded at attempt {}", done.attempts);
                let flaky = writer.create_element("flakyFailure").with_attribute(("message", message.as_str()));
                flaky.write_text_content(BytesText::new(""))?;
            }
            Outcome::Succeeded | Outcome::Cached => {}
        }
        if done.outcome != Outcome::Failed && !log.is_empty() {
            writer.create_element("system-out").write_text_content(BytesText::new(&log))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

fn shown(log: &[u8]) -> String {
    let mut last: Vec<String> = lines(log).rev().take(SHOWN).map(|line| sound(&line)).collect();
    last.reverse();
    last.join("\n")
}

/// Without what XML has no way to say at all.
fn sound(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
        .collect()
}
