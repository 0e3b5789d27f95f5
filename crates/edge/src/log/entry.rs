//! What is known about one request, filled in while it runs and written down when it is over, however it ends.

use std::sync::Arc;
use std::time::Instant;

use host::clock::{Clock, Timestamp};
use http::{HeaderValue, Method, Request, StatusCode, Version};

use crate::connection::{Door, Visitor};
use crate::edge::Edge;
use crate::guard::Asked;
use crate::log::AccessLog;
use crate::refusal::Refusal;
use crate::trace::Trace;

/// The record of one request. Dropping it writes the line, so that no way out of the pipeline is without one.
#[derive(Debug)]
pub struct Entry {
    record: Option<Box<Record>>,
    log: AccessLog,
    clock: Arc<dyn Clock>,
    is_complete: bool,
}

#[derive(Debug)]
pub(super) struct Record {
    pub time: Timestamp,
    pub started: Instant,
    pub request_id: HeaderValue,
    /// `None`: it was never read as far.
    pub trace: Option<Trace>,
    pub method: Method,
    pub scheme: &'static str,
    pub host: String,
    pub path: String,
    pub protocol: &'static str,
    pub client: std::net::IpAddr,
    pub app: Option<String>,
    pub release: Option<HeaderValue>,
    /// The class of its limit: what of an app was asked for, in as many words as the manifest has.
    pub route: Option<String>,
    pub upstream: Option<String>,
    /// What became of it in the cache of its site.
    pub cache: Option<&'static str>,
    pub status: u16,
    pub bytes: u64,
    pub error: Option<&'static str>,
    pub limited: Option<Limited>,
    /// Who it was, where somebody had to say so.
    pub user: Option<String>,
    pub judged: Option<Judged>,
    pub fingerprint: Option<u64>,
}

/// What was concluded about a visitor.
#[derive(Debug)]
pub struct Judged {
    /// Which rule: `listed`, `scanner-path`, `honeypot`, `fake-crawler`, `kept-out`, `challenge`.
    pub rule: &'static str,
    /// `refused`, or `would-refuse` in shadow.
    pub outcome: &'static str,
    /// The network and the operator's reason.
    pub about: Option<String>,
}

/// What a limit had to do with a request.
#[derive(Debug)]
pub struct Limited {
    pub class: String,
    /// Which bucket of the class.
    pub rule: &'static str,
    /// `refused`, `would-refuse` where the class only looks on, `fell-back` where this edge alone had to decide.
    pub outcome: &'static str,
}

/// What the log says of a request whose visitor left before there was an answer: no such status is ever sent.
const CLIENT_GONE: u16 = 499;

impl Entry {
    pub fn begin<B>(edge: &Edge, visitor: &Visitor, request: &Request<B>, (id, trace): (&HeaderValue, &Trace)) -> Self {
        let host = request.headers().get(http::header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let record = Record {
            time: edge.clock.now(),
            started: edge.clock.instant(),
            request_id: id.clone(),
            trace: Some(trace.clone()),
            method: request.method().clone(),
            scheme: scheme_of(&visitor.door),
            // Replaced by what the guard makes of it; until then, what it looks like.
            host: String::from_utf8_lossy(host).into_owned(),
            path: path_without_values(request.uri().path(), request.uri().query()),
            protocol: protocol_of(request.version()),
            client: visitor.peer.ip(),
            app: None,
            release: None,
            route: None,
            upstream: None,
            cache: None,
            status: CLIENT_GONE,
            bytes: 0,
            error: None,
            limited: None,
            user: None,
            judged: None,
            fingerprint: None,
        };
        let (log, clock) = (edge.log.clone(), Arc::clone(&edge.clock));
        Self { record: Some(Box::new(record)), log, clock, is_complete: false }
    }

    /// Of a question that no visitor asked: nothing of it is written.
    pub fn of_nobody(edge: &Edge) -> Self {
        Self { record: None, log: edge.log.clone(), clock: Arc::clone(&edge.clock), is_complete: true }
    }

    /// For somebody who outlives the request: this one writes nothing any more, the other does.
    pub fn take_over(&mut self) -> Self {
        let (log, clock) = (self.log.clone(), Arc::clone(&self.clock));
        Self { record: self.record.take(), log, clock, is_complete: self.is_complete }
    }

    pub fn asked(&mut self, asked: &Asked) {
        self.change(|record| {
            record.host.clone_from(&asked.host);
            record.client = asked.client;
        });
    }

    pub fn app(&mut self, app: &str, release: Option<&HeaderValue>) {
        self.change(|record| {
            record.app = Some(app.to_owned());
            record.release = release.cloned();
        });
    }

    pub fn route(&mut self, class: &str) {
        self.change(|record| record.route = Some(class.to_owned()));
    }

    pub fn upstream(&mut self, instance: &str) {
        self.change(|record| record.upstream = Some(instance.to_owned()));
    }

    pub fn cache(&mut self, word: &'static str) {
        self.change(|record| record.cache = Some(word));
    }

    pub fn refused(&mut self, refusal: Refusal) {
        self.failed(refusal.code());
    }

    pub fn judged(&mut self, judged: Judged) {
        self.change(|record| record.judged = Some(judged));
    }

    pub fn fingerprint(&mut self, fingerprint: u64) {
        self.change(|record| record.fingerprint = Some(fingerprint));
    }

    pub fn user(&mut self, user: &str) {
        self.change(|record| record.user = Some(user.to_owned()));
    }

    pub fn limited(&mut self, limited: Limited) {
        self.change(|record| record.limited = Some(limited));
    }

    pub fn failed(&mut self, error: &'static str) {
        self.change(|record| record.error = Some(error));
    }

    pub fn answered(&mut self, status: StatusCode) {
        self.change(|record| record.status = status.as_u16());
    }

    pub fn sent(&mut self, bytes: u64) {
        self.change(|record| record.bytes += bytes);
    }

    /// Nothing more is to come. Without this, whoever drops the entry gave up on the visitor, or he on us.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// A HEAD is complete when its head is.
    pub fn is_head(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.method == Method::HEAD)
    }

    fn change(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        if !self.is_complete {
            record.error.get_or_insert("client-gone");
        }
        let took = self.clock.instant().saturating_duration_since(record.started);
        self.log.send(record, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

pub(super) fn scheme_of(door: &Door) -> &'static str {
    match door {
        Door::Https => "https",
        Door::Candidate => "candidate",
        Door::Http => "http",
        Door::Internal(_) => "internal",
    }
}

fn protocol_of(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Queries hold search words, mail addresses and tokens: that there was one is enough.
fn path_without_values(path: &str, query: Option<&str>) -> String {
    // Longer paths are someone trying; a log line needs their beginning.
    const LONGEST: usize = 1024;
    let mut text = path[..path.floor_char_boundary(LONGEST)].to_owned();
    if query.is_some() {
        text.push_str("?…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_leaves_no_value_in_the_log() {
        assert_eq!(path_without_values("/reset", Some("token=s3cret")), "/reset?…");
        assert_eq!(path_without_values("/", None), "/");
    }
}
