//! What browsers report when a page's Content-Security-Policy refuses something: made into an event, so that it is found like one.

use serde_json::{Value, json};

/// An event for each report; browsers send one, or several by the Reporting API.
pub(crate) fn events(body: &[u8]) -> Vec<Value> {
    const MOST: usize = 10;
    let Ok(sent) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let reports = match sent {
        Value::Array(several) => several,
        one => vec![one],
    };
    reports.into_iter().take(MOST).filter_map(|report| event(&report)).collect()
}

fn event(report: &Value) -> Option<Value> {
    let details = report.get("csp-report").or_else(|| report.get("body"))?;
    let text = |names: [&str; 2]| names.iter().find_map(|name| details.get(*name)?.as_str()).unwrap_or("");
    let directive = text(["effective-directive", "effectiveDirective"]);
    let directive = if directive.is_empty() { text(["violated-directive", "violatedDirective"]) } else { directive };
    let directive = directive.split_whitespace().next()?;
    let blocked = origin(text(["blocked-uri", "blockedURL"]));
    let page = text(["document-uri", "documentURL"]);
    Some(json!({
        "event_id": super::event_id::fresh(),
        "level": "warning",
        "platform": "javascript",
        "logger": "csp",
        "message": format!("{directive} refused {blocked}"),
        "fingerprint": ["csp", directive, blocked],
        "transaction": page.split(['?', '#']).next().unwrap_or(page),
        "extra": { "report": details },
    }))
}

/// Where it came from, without what differs from visitor to visitor. `inline` and `eval` stay as they are.
fn origin(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ if address.is_empty() => "something".to_owned(),
        _ => address.chars().take(40).collect(),
    }
}
