//! What a page does while it renders, by the events of its browser. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use url::Url;

use crate::plan::Route;
use crate::report::Complaint;

/// What browsers ask for by themselves; that it is missing is no fault of the page.
const FAVICON: &str = "/favicon.ico";

/// A page that writes without end must not fill our memory.
const MOST_LINES: usize = 2_000;
const MOST_COMPLAINTS: usize = 50;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) url: Url,
    /// The page's own frame, as opposed to those within it.
    frame: String,
    /// Requests without an end yet, by Chromium's number.
    requests: BTreeMap<String, String>,
    urls: BTreeMap<String, String>,
    /// The document that the page shows, by Chromium's number, and those whose load came to its end. A fresh page loads
    /// `about:blank` first, and scripts may go on to another document.
    document: Option<String>,
    loads: BTreeSet<String>,
    pub(crate) crashed: bool,
    pub(crate) led_away: Option<String>,
    /// Of the page's own document.
    pub(crate) status: Option<u16>,
    /// Counts what the network did, so that whoever waits sees that something happened.
    pub(crate) activity: u64,
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) console: Vec<String>,
}

/// A command that an event asks for.
pub(crate) type Reaction = (&'static str, Value);

impl Observation {
    pub(crate) fn new(url: Url, frame: String) -> Self {
        Self {
            url,
            frame,
            requests: BTreeMap::new(),
            urls: BTreeMap::new(),
            document: None,
            loads: BTreeSet::new(),
            crashed: false,
            led_away: None,
            status: None,
            activity: 0,
            complaints: Vec::new(),
            console: Vec::new(),
        }
    }

    /// What the page still waits for.
    pub(crate) fn in_flight(&self) -> Vec<String> {
        self.requests.values().cloned().collect()
    }

    /// Takes one event in.
    pub(crate) fn take(&mut self, event: &str, params: &Value, routes: &[Route]) -> Option<Reaction> {
        match event {
            "Page.frameNavigated" => self.navigated(params),
            "Page.lifecycleEvent" if params["name"] == "load" && params["frameId"] == self.frame.as_str() => {
                self.loads.insert(text(params, "/loaderId"));
            }
            "Inspector.targetCrashed" => self.crashed = true,
            // A dialog would hold the page, and nobody is there to answer it.
            "Page.javascriptDialogOpening" => {
                self.line(format!("dialog: {}", text(params, "/message")));
                return Some(("Page.handleJavaScriptDialog", json!({ "accept": false })));
            }
            "Fetch.requestPaused" => return Some(go_on(params, routes)),
            "Network.requestWillBeSent" => self.request_begins(params),
            "Network.responseReceived" => self.response(params),
            "Network.loadingFinished" => self.request_ends(params),
            "Network.loadingFailed" => self.request_fails(params),
            "Runtime.exceptionThrown" => self.exception(params),
            "Runtime.consoleAPICalled" => self.console_call(params),
            "Log.entryAdded" => self.log_entry(params),
            _ => {}
        }
        None
    }

    /// Whether the document that it shows now was loaded to the end.
    pub(crate) fn is_loaded(&self) -> bool {
        self.document.as_ref().is_some_and(|document| self.loads.contains(document))
    }

    fn navigated(&mut self, params: &Value) {
        self.activity += 1;
        if text(params, "/frame/id") == self.frame && text(params, "/frame/url") != "about:blank" {
            self.document = Some(text(params, "/frame/loaderId"));
        }
    }

    fn request_begins(&mut self, params: &Value) {
        self.activity += 1;
        let (id, url) = (text(params, "/requestId"), text(params, "/request/url"));
        let is_page = text(params, "/type") == "Document" && text(params, "/frameId") == self.frame;
        if is_page && self.led_away.is_none() && !self.is_own(&url) && !url.starts_with("about:") {
            self.line(format!("leads to: {url}"));
            self.led_away = Some(url.clone());
        }
        self.urls.insert(id.clone(), url.clone());
        self.requests.insert(id, url);
    }

    fn response(&mut self, params: &Value) {
        self.activity += 1;
        let status = params.pointer("/response/status").and_then(Value::as_u64).unwrap_or(0);
        let url = text(params, "/response/url");
        if text(params, "/type") == "Document" && text(params, "/frameId") == self.frame {
            self.status = u16::try_from(status).ok();
        } else if status >= 400 {
            self.failed(&url, format!("answered {status}"));
        }
    }

    fn request_ends(&mut self, params: &Value) {
        self.activity += 1;
        self.requests.remove(&text(params, "/requestId"));
    }

    fn request_fails(&mut self, params: &Value) {
        self.request_ends(params);
        let Some(url) = self.urls.get(&text(params, "/requestId")).cloned() else { return };
        // The page itself gave it up, as it does when it goes elsewhere.
        if params["canceled"] == true || (text(params, "/type") == "Document" && url == self.url.as_str()) {
            return;
        }
        let blocked = text(params, "/blockedReason");
        let why = if blocked.is_empty() { text(params, "/errorText") } else { format!("blocked: {blocked}") };
        self.failed(&url, why);
    }

    fn failed(&mut self, url: &str, why: String) {
        self.line(format!("request: {url}: {why}"));
        let is_favicon = Url::parse(url).is_ok_and(|url| url.path() == FAVICON);
        if self.is_own(url) && !is_favicon {
            self.complain(Complaint::FailedRequest { url: url.to_owned(), why });
        }
    }

    fn exception(&mut self, params: &Value) {
        let described = text(params, "/exceptionDetails/exception/description");
        let said = if described.is_empty() {
            let value = params.pointer("/exceptionDetails/exception/value").map(plain).unwrap_or_default();
            format!("{} {value}", text(params, "/exceptionDetails/text"))
        } else {
            described
        };
        self.line(format!("exception: {said}"));
        self.complain(Complaint::Exception { text: first_lines(&said) });
    }

    fn console_call(&mut self, params: &Value) {
        let said: Vec<String> = params["args"].as_array().into_iter().flatten().map(shown).collect();
        self.said(&text(params, "/type"), &said.join(" "));
    }

    fn log_entry(&mut self, params: &Value) {
        let url = text(params, "/entry/url");
        let said = format!("{} {url}", text(params, "/entry/text"));
        // Requests are judged by their own events, which tell whose they are.
        let level = text(params, "/entry/level");
        let is_network = text(params, "/entry/source") == "network";
        self.said(if is_network && level == "error" { "network" } else { &level }, said.trim_end());
    }

    fn said(&mut self, level: &str, said: &str) {
        self.line(format!("{level}: {said}"));
        // `console.assert` that fails is an error by another name.
        if matches!(level, "error" | "assert") {
            self.complain(Complaint::ConsoleError { text: first_lines(said) });
        }
    }

    fn line(&mut self, line: String) {
        if self.console.len() < MOST_LINES {
            self.console.push(line);
        }
    }

    fn complain(&mut self, complaint: Complaint) {
        if self.complaints.len() < MOST_COMPLAINTS && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Whether an address is on the page's own host.
    fn is_own(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| url.origin() == self.url.origin())
    }
}

/// Lets a held request go on, with the headers of its route.
fn go_on(params: &Value, routes: &[Route]) -> Reaction {
    let id = &params["requestId"];
    let url = Url::parse(&text(params, "/request/url")).ok();
    let is_there = |route: &&Route| {
        url.as_ref()
            .is_some_and(|url| url.host_str() == Some(&route.host) && url.port_or_known_default() == Some(route.port))
    };
    let Some(route) = routes.iter().find(is_there) else {
        return ("Fetch.continueRequest", json!({ "requestId": id }));
    };
    let own = params.pointer("/request/headers").and_then(Value::as_object).into_iter().flatten();
    let own = own.map(|(name, value)| json!({ "name": name, "value": value }));
    let ours = route.headers.iter().map(|header| json!({ "name": header.name, "value": header.value }));
    let headers: Vec<Value> = own.chain(ours).collect();
    ("Fetch.continueRequest", json!({ "requestId": id, "headers": headers }))
}

fn text(params: &Value, pointer: &str) -> String {
    params.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An argument of `console.log` and its like.
fn shown(argument: &Value) -> String {
    match argument.get("value") {
        Some(value) => plain(value),
        None => text(argument, "/description"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An error with where it was thrown; the whole stack is in the console's file.
fn first_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().take(2).map(str::trim).collect();
    lines.join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Observation {
        Observation::new(Url::parse("https://shop.example/").unwrap(), "main".to_owned())
    }

    fn request(id: &str, kind: &str, url: &str) -> Value {
        json!({ "requestId": id, "type": kind, "frameId": "main", "request": { "url": url } })
    }

    #[test]
    fn only_requests_to_its_own_host_count_against_a_page() {
        let mut page = page();
        for (id, url) in [
            ("1", "https://shop.example/a.js"),
            ("2", "https://other.example/b.js"),
            ("3", "https://shop.example/favicon.ico"),
        ] {
            page.take("Network.requestWillBeSent", &request(id, "Script", url), &[]);
            let answered = json!({ "requestId": id, "type": "Script", "frameId": "main", "response": { "status": 404, "url": url } });
            page.take("Network.responseReceived", &answered, &[]);
            page.take("Network.loadingFinished", &json!({ "requestId": id }), &[]);
        }
        assert_eq!(
            page.complaints,
            [Complaint::FailedRequest { url: "https://shop.example/a.js".into(), why: "answered 404".into() }]
        );
        assert!(page.in_flight().is_empty());
    }

    #[test]
    fn a_page_that_goes_elsewhere_is_told_by_where_it_leads_and_a_frame_within_it_is_not() {
        let mut page = page();
        let mut frame = request("1", "Document", "https://video.example/");
        frame["frameId"] = "inner".into();
        page.take("Network.requestWillBeSent", &frame, &[]);
        assert_eq!(page.led_away, None);
        page.take("Network.requestWillBeSent", &request("2", "Document", "https://other.example/x"), &[]);
        assert_eq!(page.led_away.as_deref(), Some("https://other.example/x"));
    }

    #[test]
    fn headers_go_to_the_host_of_their_route_and_to_no_other() {
        let to = ([127, 0, 0, 1], 1).into();
        let headers = vec![crate::Header { name: "x-private".into(), value: "token".into() }];
        let routes = [Route { host: "shop.example".into(), port: 443, to, headers }];
        let paused = |url: &str| json!({ "requestId": "1", "request": { "url": url, "headers": { "accept": "*/*" } } });
        let (_, sent) = page().take("Fetch.requestPaused", &paused("https://shop.example/"), &routes).unwrap();
        assert_eq!(
            sent["headers"],
            json!([{ "name": "accept", "value": "*/*" }, { "name": "x-private", "value": "token" }])
        );
        for other in ["https://other.example/", "https://shop.example:8443/"] {
            let (_, sent) = page().take("Fetch.requestPaused", &paused(other), &routes).unwrap();
            assert_eq!(sent, json!({ "requestId": "1" }), "{other}");
        }
    }
}
