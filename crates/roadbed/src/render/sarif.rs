//! Findings as SARIF 2.1.0, which code hosts and editors show beside the code.

use manifest::Severity;
use serde::Serialize;
use usage::{Finding, Id};

/// The document.
#[derive(Debug, Serialize)]
pub struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    /// Ours count characters, not UTF-16 units.
    column_kind: &'static str,
    results: Vec<SarifResult>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Message,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
    /// Stays the same when lines move, so that a finding is not taken for a new one.
    partial_fingerprints: Fingerprints,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    uri_base_id: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
}

#[derive(Debug, Serialize)]
struct Fingerprints {
    #[serde(rename = "roadbedFinding/v1")]
    finding: String,
}

/// The findings of one look at code.
pub fn log(findings: &[Finding]) -> Log {
    let rules = Id::ALL
        .into_iter()
        .map(|id| Rule { id: id.as_str().to_owned(), short_description: Message { text: id.meaning().to_owned() } })
        .collect();
    of(rules, findings.iter().map(result).collect())
}

/// The findings of one search for secrets.
pub fn leaks(findings: &[leaks::Finding], known: &leaks::Rules) -> Log {
    let rule = |id: &str, text: &str| Rule { id: id.to_owned(), short_description: Message { text: text.to_owned() } };
    let rules = known.all().iter().map(|known| rule(&known.id, &known.description));
    let rules: Vec<Rule> =
        std::iter::once(rule(leaks::STORE_VALUE, "A value of the secret store")).chain(rules).collect();
    let results = findings.iter().map(|finding| leak(finding, &rules)).collect();
    of(rules, results)
}

/// A task of `roadbed ci run` that failed.
#[derive(Debug)]
pub struct FailedTask {
    pub task: String,
    pub package: String,
    /// Where it stands if it names no place.
    pub file: String,
    pub why: String,
    pub places: Vec<ci::places::Place>,
}

/// What failed tasks complain about, and where.
pub fn tasks(failed: &[FailedTask]) -> Log {
    let mut names: Vec<&str> = failed.iter().map(|failed| failed.task.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let rule = |name: &&str| Rule {
        id: format!("ci/{name}"),
        short_description: Message { text: format!("The task {name} failed") },
    };
    let rules: Vec<Rule> = names.iter().map(rule).collect();
    let results = failed.iter().flat_map(|failed| {
        let rule_index = names.iter().position(|name| *name == failed.task).expect("each task has its rule");
        let result = move |file: &str, line: u32, column: u32, text: String| SarifResult {
            rule_id: format!("ci/{}", failed.task),
            rule_index,
            level: "error",
            locations: [Location {
                physical_location: PhysicalLocation {
                    artifact_location: ArtifactLocation { uri: uri(file), uri_base_id: "%SRCROOT%" },
                    region: Region { start_line: line, start_column: column },
                },
            }],
            partial_fingerprints: Fingerprints { finding: format!("{}:{file}:{text}", failed.task) },
            message: Message { text },
        };
        let whole = failed
            .places
            .is_empty()
            .then(|| result(&failed.file, 1, 1, format!("{} {}: {}", failed.package, failed.task, failed.why)));
        let each =
            failed.places.iter().map(move |place| result(&place.file, place.line, place.column, place.message.clone()));
        whole.into_iter().chain(each).collect::<Vec<_>>()
    });
    of(rules, results.collect())
}

/// The promises of the gate that do not hold. They have no place in the code but the manifest, which says what is promised.
pub fn promises(report: &gate::Report) -> Log {
    let rule = |evidence: &gate::Evidence| Rule {
        id: evidence.id.clone(),
        short_description: Message { text: evidence.claim.clone() },
    };
    let broken = report.checks.iter().enumerate().filter(|(_, evidence)| evidence.verdict != gate::Verdict::Holds);
    let result = |(rule_index, evidence): (usize, &gate::Evidence)| SarifResult {
        rule_id: evidence.id.clone(),
        rule_index,
        level: match evidence.verdict {
            gate::Verdict::Fails => "error",
            gate::Verdict::Inconclusive | gate::Verdict::Holds => "warning",
        },
        message: Message {
            text: format!(
                "{} in {}: {}. Hint: {}",
                evidence.task,
                report.environment,
                evidence.observed.join("; "),
                evidence.hint.as_deref().unwrap_or("look at what was seen")
            ),
        },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation {
                    uri: uri(crate::cli::session::MANIFEST),
                    uri_base_id: "%SRCROOT%",
                },
                region: Region { start_line: 1, start_column: 1 },
            },
        }],
        partial_fingerprints: Fingerprints { finding: format!("{}:{}", report.environment, evidence.id) },
    };
    of(report.checks.iter().map(rule).collect(), broken.map(result).collect())
}

fn of(rules: Vec<Rule>, results: Vec<SarifResult>) -> Log {
    let driver = Driver { name: "roadbed", version: env!("CARGO_PKG_VERSION"), rules };
    Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results }],
    }
}

fn leak(finding: &leaks::Finding, rules: &[Rule]) -> SarifResult {
    let history = match (&finding.first_commit, &finding.last_commit) {
        (Some(first), Some(last)) => format!(", in commits {first} to {last}"),
        _ => String::new(),
    };
    SarifResult {
        rule_id: finding.rule.clone(),
        rule_index: rules.iter().position(|rule| rule.id == finding.rule).expect("what finds is a known rule"),
        level: match finding.confidence {
            leaks::Confidence::Low => "warning",
            leaks::Confidence::Medium | leaks::Confidence::High => "error",
        },
        message: Message { text: format!("{}{history}: {}", finding.description, finding.excerpt) },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(&finding.file), uri_base_id: "%SRCROOT%" },
                region: Region { start_line: finding.line, start_column: finding.column },
            },
        }],
        partial_fingerprints: Fingerprints { finding: format!("{}:{}:{}", finding.rule, finding.value, finding.file) },
    }
}

fn result(finding: &Finding) -> SarifResult {
    let Finding { id, name, place, severity, message, hint, .. } = finding;
    SarifResult {
        rule_id: id.as_str().to_owned(),
        rule_index: Id::ALL.iter().position(|known| known == id).expect("ALL has every id"),
        level: match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: Message { text: format!("{message}. Hint: {hint}") },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(&place.file), uri_base_id: "%SRCROOT%" },
                region: Region { start_line: place.line, start_column: place.column },
            },
        }],
        partial_fingerprints: Fingerprints { finding: format!("{id}:{name}:{}", place.file) },
    }
}

/// A path as a reference: `[slug]` and blanks are escaped, `/` is not.
fn uri(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    utf8_percent_encode(path, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::FindingKind;
    use serde_json::Value;
    use usage::Place;

    /// What the standard requires of a log, a run, a result and a rule, as far as we write them.
    #[test]
    fn the_document_has_the_shape_that_the_standard_requires() {
        let finding = |id: Id, severity: Severity| Finding {
            id,
            name: "API_URL".to_owned(),
            app: None,
            place: Place { file: "apps/web/src/[slug]/a page.ts".to_owned(), line: 3, column: 7 },
            severity,
            message: "API_URL is read here".to_owned(),
            hint: "declare it".to_owned(),
        };
        let findings: Vec<Finding> = Id::ALL
            .into_iter()
            .map(|id| finding(id, Severity::Error))
            .chain([finding(Id::Use(FindingKind::Write), Severity::Warning)])
            .collect();
        let log: Value = serde_json::to_value(log(&findings)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
        let runs = log["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1);
        let driver = &runs[0]["tool"]["driver"];
        assert!(!driver["name"].as_str().unwrap().is_empty());
        let rules = driver["rules"].as_array().unwrap();
        for rule in rules {
            assert!(
                !rule["id"].as_str().unwrap().is_empty()
                    && !rule["shortDescription"]["text"].as_str().unwrap().is_empty()
            );
        }
        let results = runs[0]["results"].as_array().unwrap();
        assert_eq!(results.len(), findings.len());
        for result in results {
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "apps/web/src/%5Bslug%5D/a%20page.ts");
            assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
            assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
        }
        // Nothing beyond what the standard knows for these objects: its schema forbids other keys.
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&log), ["$schema", "version", "runs"]);
        assert_eq!(keys(&runs[0]), ["tool", "columnKind", "results"]);
        assert_eq!(keys(&results[0]), ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"]);
    }
}
