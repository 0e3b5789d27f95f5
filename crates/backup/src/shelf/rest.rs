//! restic's REST protocol, second version: what `rest-server` and `rclone serve restic` speak.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rustic_core::{FileType, Id};
use serde::Deserialize;
use ureq::http::{Method, StatusCode};
use zeroize::Zeroizing;

use super::http::{Answer, Http, unmet};
use super::{Because, Pace, Shelf, Unmet, id_of, size};

const SECOND_VERSION: &str = "application/vnd.x.restic.rest.v2";

pub(crate) struct Rest {
    url: String,
    /// The value of the header that says who asks.
    who: Option<Zeroizing<String>>,
    http: Http,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    size: u64,
}

impl Rest {
    pub(crate) fn new(url: &str, who: Option<(String, Zeroizing<String>)>, http: Http) -> Self {
        let who = who.map(|(name, password)| {
            let pair = Zeroizing::new(format!("{name}:{}", *password));
            Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
        });
        Self { url: url.to_owned(), who, http }
    }

    /// Packs are not in folders here: the server sees to that.
    fn path(kind: FileType, id: &Id) -> String {
        match kind {
            FileType::Config => "config".to_owned(),
            _ => format!("{}/{}", kind.dirname(), id.to_hex().as_str()),
        }
    }

    fn ask(
        &self,
        method: &Method,
        path: &str,
        header: Option<(&str, String)>,
        content: Option<(&[u8], &Pace)>,
    ) -> Result<Answer, Unmet> {
        let mut headers: Vec<(&str, String)> = header.into_iter().collect();
        headers.extend(self.who.iter().map(|who| ("authorization", who.as_str().to_owned())));
        let url = format!("{}{path}", self.url);
        let answer = self.http.ask(method, &url, &headers, content)?;
        if answer.status.is_success() { Ok(answer) } else { Err(unmet(&format!("{method} {url}"), &answer)) }
    }
}

impl Shelf for Rest {
    fn shown(&self) -> String {
        format!("rest:{}", self.url)
    }

    fn has_repository(&self) -> Result<bool, Unmet> {
        match self.ask(&Method::HEAD, "config", None, None) {
            Ok(_) => Ok(true),
            Err(unmet) if unmet.because == Because::Absent => Ok(false),
            Err(unmet) => Err(unmet),
        }
    }

    fn create(&self) -> Result<(), Unmet> {
        self.ask(&Method::POST, "?create=true", None, Some((&[], &Pace::default()))).map(drop)
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Unmet> {
        if kind == FileType::Config {
            return Ok(if self.has_repository()? { vec![(Id::default(), 0)] } else { Vec::new() });
        }
        let path = format!("{}/", kind.dirname());
        let answer = match self.ask(&Method::GET, &path, Some(("accept", SECOND_VERSION.to_owned())), None) {
            // As some servers say that there is no file yet.
            Err(unmet) if unmet.because == Because::Absent => return Ok(Vec::new()),
            answer => answer?,
        };
        let listed: Vec<Listed> = serde_json::from_slice(&answer.body).map_err(|error| {
            Unmet::new(
                format!("{}{path} is no list of files as restic's servers give it: {error}", self.url),
                Because::Else,
            )
        })?;
        Ok(listed.into_iter().filter_map(|file| Some((id_of(&file.name)?, size(file.size)))).collect())
    }

    fn read(&self, kind: FileType, id: &Id, part: Option<(u32, u32)>) -> Result<Bytes, Unmet> {
        let range = part.map(|(offset, length)| {
            let end = u64::from(offset) + u64::from(length).saturating_sub(1);
            ("range", format!("bytes={offset}-{end}"))
        });
        let answer = self.ask(&Method::GET, &Self::path(kind, id), range, None)?;
        match part {
            // All of it came.
            Some((offset, _)) if answer.status == StatusCode::OK => {
                Ok(answer.body.slice((offset as usize).min(answer.body.len())..))
            }
            _ => Ok(answer.body),
        }
    }

    fn write(&self, kind: FileType, id: &Id, content: &[u8], pace: &Pace) -> Result<(), Unmet> {
        self.ask(&Method::POST, &Self::path(kind, id), None, Some((content, pace))).map(drop)
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Unmet> {
        match self.ask(&Method::DELETE, &Self::path(kind, id), None, None) {
            Err(unmet) if unmet.because == Because::Absent => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
