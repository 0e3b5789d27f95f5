//! A kept answer, and what of it somebody is given.

use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, RANGE, TRAILER,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::conditional;
use crate::freshness::{Freshness, Now, State};
use crate::range::{self, Part};
use crate::request::Request;
use crate::storable::Storable;
use crate::vary::{Selected, Vary};

/// An answer as the app gave it, whole.
#[derive(Debug)]
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) freshness: Freshness,
    pub(crate) vary: Vary,
    pub(crate) selected: Selected,
}

/// What is sent.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// About the body that is there, which "not modified" does not change (RFC 9111, section 3.2), or about what was said just then.
const NEVER_RENEWED: [HeaderName; 6] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
];

/// What an answer costs beside its bytes: the tables, and around each field.
const AROUND: usize = 256;
const AROUND_FIELD: usize = 64;

impl Answer {
    pub(crate) fn new(
        request: &Request,
        status: StatusCode,
        mut headers: HeaderMap,
        body: Bytes,
        storable: Storable,
    ) -> Self {
        // Meant for the next hop; nothing follows what is sent from here.
        for name in ["proxy-authentication-info", "proxy-authenticate", "proxy-authorization", TRAILER.as_str()] {
            headers.remove(name);
        }
        let Storable { freshness, vary } = storable;
        let selected = vary.select(&request.headers);
        Self { status, headers, body, freshness, vary, selected }
    }

    pub(crate) fn fits(&self, request: &Request) -> bool {
        self.vary.select(&request.headers) == self.selected
    }

    pub fn state(&self, request: &Request, now: Now) -> State {
        self.freshness.state(&request.directives, now)
    }

    /// Whether it may stand in for an error of the app.
    pub fn helps_in_error(&self, now: Now) -> bool {
        self.freshness.helps_in_error(now)
    }

    /// Seconds that are left; negative: since it is over.
    pub fn left(&self, now: Now) -> i64 {
        self.freshness.left(now)
    }

    /// Makes a request ask the app whether this answer is still right. False: there is nothing to ask by.
    pub fn ask_about(&self, request: &mut HeaderMap) -> bool {
        conditional::ask_about(request, &self.headers)
    }

    pub fn has_validator(&self) -> bool {
        self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED)
    }

    pub(crate) fn bytes(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_FIELD);
        self.body.len() + self.selected.len() + fields.sum::<usize>() + AROUND
    }

    /// The same with other fields, for whoever asked alone.
    pub(crate) fn with(&self, headers: HeaderMap) -> Self {
        let Self { status, body, freshness, vary, selected, .. } = self;
        let (body, freshness) = (body.clone(), freshness.clone());
        Self { status: *status, headers, body, freshness, vary: vary.clone(), selected: selected.clone() }
    }

    /// The fields with what an app says beside "not modified".
    pub(crate) fn renewed(&self, said: &HeaderMap) -> HeaderMap {
        let mut headers = self.headers.clone();
        // An age is of the answer that had it.
        headers.remove(AGE);
        for name in said.keys().filter(|name| !NEVER_RENEWED.contains(name)) {
            headers.remove(name);
            for value in said.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers
    }

    /// What of it is for this request: all, a part, its head, or that nothing has changed.
    pub fn to(&self, request: &Request, now: Now) -> Reply {
        let mut headers = self.headers.clone();
        headers.insert(AGE, HeaderValue::from(self.freshness.age(now).as_secs()));
        let is_whole = self.status == StatusCode::OK;
        if is_whole && conditional::is_unchanged(&request.headers, &self.headers) {
            for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE] {
                headers.remove(name);
            }
            return Reply { status: StatusCode::NOT_MODIFIED, headers, body: Bytes::new() };
        }
        let has_body = !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        if has_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        if request.is_head {
            return Reply { status: self.status, headers, body: Bytes::new() };
        }
        let length = self.body.len();
        match if is_whole { self.part_for(request) } else { Part::Whole } {
            Part::Whole => Reply { status: self.status, headers, body: self.body.clone() },
            Part::Bytes { first, last } => {
                let at = |place: u64| usize::try_from(place).expect("a part lies inside the body");
                let body = self.body.slice(at(first)..=at(last));
                headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                headers.insert(CONTENT_RANGE, text(&format!("bytes {first}-{last}/{length}")));
                Reply { status: StatusCode::PARTIAL_CONTENT, headers, body }
            }
            Part::None => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
                headers.insert(CONTENT_RANGE, text(&format!("bytes */{length}")));
                Reply { status: StatusCode::RANGE_NOT_SATISFIABLE, headers, body: Bytes::new() }
            }
        }
    }

    fn part_for(&self, request: &Request) -> Part {
        let mut ranges = request.headers.get_all(RANGE).iter();
        match (ranges.next().and_then(|range| range.to_str().ok()), ranges.next()) {
            (Some(asked), None) if conditional::is_of_range(&request.headers, &self.headers) => {
                range::part(asked, self.body.len() as u64)
            }
            _ => Part::Whole,
        }
    }
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("numbers and words are fit for a header")
}
