//! The other end of the questions.

use hyper::Method;
use reconcile::Fault;
use url::form_urlencoded::Serializer;

use super::{Change, ErrorEvent, ErrorsHealth, Issue, IssueDetails, IssueFilter, MapsOfRelease, ReleaseHealth};
use crate::client::TelemetryClient;

impl TelemetryClient {
    /// Issues, the latest first.
    ///
    /// # Errors
    /// Where nobody answers, or the errors cannot be read.
    pub async fn issues(&self, filter: &IssueFilter) -> Result<Vec<Issue>, Fault> {
        let behind = filter.behind.map(|behind| behind.to_string());
        let limit = filter.limit.map(|limit| limit.to_string());
        let asked = [
            ("app", filter.app.as_deref()),
            ("status", filter.status.map(super::IssueStatus::as_str)),
            ("release", filter.release.as_deref()),
            ("search", filter.search.as_deref()),
            ("behind", behind.as_deref()),
            ("limit", limit.as_deref()),
        ];
        // Made before anything is waited for: what makes it belongs to one thread.
        let asked = asked.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = Serializer::new(String::new()).extend_pairs(asked).finish();
        self.get(&format!("/errors/issues?{query}")).await
    }

    /// # Errors
    /// As [`Self::issues`]; or where there is no such issue.
    pub async fn issue(&self, id: i64) -> Result<IssueDetails, Fault> {
        self.get(&format!("/errors/issues/{id}")).await
    }

    /// Decides what is to be done about an issue.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub async fn change_issue(&self, id: i64, change: &Change) -> Result<(), Fault> {
        self.post(&format!("/errors/issues/{id}"), change).await
    }

    /// Events of `request:ID`, `trace:ID` or `event:ID`.
    ///
    /// # Errors
    /// As [`Self::issues`].
    pub async fn error_events(&self, search: &str) -> Result<Vec<ErrorEvent>, Fault> {
        let query = Serializer::new(String::new()).append_pair("search", search).finish();
        self.get(&format!("/errors/events?{query}")).await
    }

    /// How releases are doing since a moment, in milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`Self::issues`].
    pub async fn release_health(&self, app: Option<&str>, since: i64) -> Result<Vec<ReleaseHealth>, Fault> {
        let since = since.to_string();
        let asked = std::iter::once(("since", since.as_str())).chain(app.map(|app| ("app", app)));
        let query = Serializer::new(String::new()).extend_pairs(asked).finish();
        self.get(&format!("/errors/releases?{query}")).await
    }

    /// # Errors
    /// As [`Self::issues`].
    pub async fn errors_health(&self) -> Result<ErrorsHealth, Fault> {
        self.get("/errors/health").await
    }

    /// Of which releases there are source maps.
    ///
    /// # Errors
    /// Where nobody answers, or they cannot be read.
    pub async fn source_maps(&self) -> Result<Vec<MapsOfRelease>, Fault> {
        self.get("/errors/maps").await
    }

    /// Brings the source map of a file of a release; `path` is where it lies in the build. Events that come from now on have their
    /// stacks as the sources have them.
    ///
    /// # Errors
    /// Where nobody answers, it is no source map, or it has more than 32 MiB.
    pub async fn keep_source_map(&self, app: &str, release: &str, path: &str, map: Vec<u8>) -> Result<(), Fault> {
        let pairs = [("app", app), ("release", release), ("path", path)];
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.ask(Method::PUT, &format!("/errors/maps?{query}"), map.into()).await
    }
}
