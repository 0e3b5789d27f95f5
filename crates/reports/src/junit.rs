//! Results as JUnit XML.

use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::{Case, Suite, Verdict};

/// The document, with the name of who reports.
pub fn junit(name: &str, suites: &[Suite]) -> Vec<u8> {
    let mut writer = Writer::new_with_indent(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec(), b' ', 2);
    write(&mut writer, name, suites).expect("writing into memory does not fail");
    let mut document = writer.into_inner();
    document.push(b'\n');
    document
}

fn write(writer: &mut Writer<Vec<u8>>, name: &str, suites: &[Suite]) -> io::Result<()> {
    let mut top = writer.create_element("testsuites").with_attribute(("name", name));
    for (name, value) in &counts(suites.iter().flat_map(|suite| &suite.cases)) {
        top = top.with_attribute((*name, value.as_str()));
    }
    top.write_inner_content(|writer| {
        for Suite { name, cases } in suites {
            let name = sound(name);
            let mut suite = writer.create_element("testsuite").with_attribute(("name", name.as_str()));
            for (name, value) in &counts(cases) {
                suite = suite.with_attribute((*name, value.as_str()));
            }
            suite.write_inner_content(|writer| cases.iter().try_for_each(|one| case(writer, &name, one)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn counts<'a>(cases: impl IntoIterator<Item = &'a Case>) -> [(&'static str, String); 5] {
    let (mut all, mut failed, mut skipped, mut took) = (0, 0, 0, Duration::ZERO);
    for case in cases {
        all += 1;
        took += case.took;
        match case.verdict {
            Verdict::Failed(_) => failed += 1,
            Verdict::Skipped(_) => skipped += 1,
            Verdict::Passed | Verdict::Flaky(_) => {}
        }
    }
    [
        ("tests", all.to_string()),
        ("failures", failed.to_string()),
        ("errors", "0".to_owned()),
        ("skipped", skipped.to_string()),
        ("time", seconds(took)),
    ]
}

fn case(writer: &mut Writer<Vec<u8>>, suite: &str, case: &Case) -> io::Result<()> {
    let (name, time, output) = (sound(&case.name), seconds(case.took), sound(&case.output));
    let element = writer.create_element("testcase");
    let element = element.with_attributes([("classname", suite), ("name", name.as_str()), ("time", time.as_str())]);
    element.write_inner_content(|writer| {
        match &case.verdict {
            Verdict::Failed(why) => {
                let failure = writer.create_element("failure").with_attribute(("message", sound(why).as_str()));
                failure.write_text_content(BytesText::new(&output))?;
            }
            Verdict::Skipped(why) => {
                writer.create_element("skipped").with_attribute(("message", sound(why).as_str())).write_empty()?;
            }
            // As Maven's Surefire says it, which others read.
            Verdict::Flaky(how) => {
                let flaky = writer.create_element("flakyFailure").with_attribute(("message", sound(how).as_str()));
                flaky.write_text_content(BytesText::new(""))?;
            }
            Verdict::Passed => {}
        }
        if !matches!(case.verdict, Verdict::Failed(_)) && !output.is_empty() {
            writer.create_element("system-out").write_text_content(BytesText::new(&output))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// Without what XML has no way to say at all.
fn sound(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_cases_and_text_stays_text() {
        let case = |name: &str, verdict| Case {
            name: name.into(),
            took: Duration::from_millis(1500),
            verdict,
            output: "a <b>\u{1} & c".into(),
        };
        let suite = Suite {
            name: "T3".into(),
            cases: vec![
                case("doors", Verdict::Failed("\"open\"".into())),
                case("rights", Verdict::Passed),
                case("later", Verdict::Skipped("no root".into())),
            ],
        };
        let text = String::from_utf8(junit("gate", &[suite])).unwrap();
        for expected in [
            "<testsuites name=\"gate\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"4.500\">",
            "<testcase classname=\"T3\" name=\"doors\" time=\"1.500\">",
            "<failure message=\"&quot;open&quot;\">a &lt;b&gt; &amp; c</failure>",
            "<skipped message=\"no root\"/>",
            "<system-out>a &lt;b&gt; &amp; c</system-out>",
        ] {
            assert!(text.contains(expected), "no {expected} in {text}");
        }
    }
}
