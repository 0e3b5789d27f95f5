//! Somebody with a browser at the console, as far as cookies and forms go.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Answer, Client, wait_until};

/// What a person waits for who has just seen an error.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// A session of the console.
#[derive(Debug)]
pub struct Person {
    client: Client,
    home: String,
    cookies: BTreeMap<String, String>,
}

impl Person {
    /// Uses a link of `roadbed console` up.
    ///
    /// # Panics
    /// Where it lets nobody in.
    #[track_caller]
    pub fn by_link(client: Client, link: &str) -> Self {
        let mut person = Self::at(client, link);
        let inside = person.enter(link);
        assert_eq!(inside.status, 303, "{inside:?}");
        person
    }

    /// Somebody at the console's door, who is not in.
    ///
    /// # Panics
    /// Where the link is none.
    pub fn at(client: Client, link: &str) -> Self {
        let (home, _) = link.split_once("/.roadbed/").expect("a link of the console");
        Self { client, home: home.to_owned(), cookies: BTreeMap::new() }
    }

    /// Opens the link and says yes; returns the answer to that.
    ///
    /// # Panics
    /// Where the console does not answer.
    #[track_caller]
    pub fn enter(&mut self, link: &str) -> Answer {
        let page = self.ask("GET", &link[self.home.len()..], &[], "");
        assert_eq!(page.status, 200, "{page:?}");
        let (_, token) = link.split_once("token=").expect("a link has a token");
        let form = format!("token={token}&form={}", self.cookies["__Host-roadbed-form"]);
        self.ask("POST", "/.roadbed/enter", &[], &form)
    }

    /// The console's address.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// # Panics
    /// Where nobody answers.
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = vec![("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        all.extend_from_slice(headers);
        let answer = self.client.request(method, &format!("{}{path}", self.home), &all, form).unwrap();
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// # Panics
    /// Where the page is not shown.
    #[track_caller]
    pub fn see(&mut self, path: &str) -> String {
        let page = self.ask("GET", path, &[], "");
        assert_eq!(page.status, 200, "{path}: {page:?}");
        page.body
    }

    /// Waits for a page that shows all of it.
    ///
    /// # Panics
    /// Where it does not come in time.
    #[track_caller]
    pub fn sees(&mut self, path: &str, parts: &[&str]) -> String {
        wait_until(&format!("{path} shows {parts:?}"), SHOWN_WITHIN, || {
            let page = self.see(path);
            match parts.iter().find(|part| !page.contains(**part)) {
                None => Ok(page),
                Some(part) => Err(format!("no {part:?}")),
            }
        })
    }

    /// The token of the forms of a page.
    ///
    /// # Panics
    /// Where the page has no form.
    #[track_caller]
    pub fn form_token(&mut self, path: &str) -> String {
        field(&self.see(path), "token").unwrap_or_else(|| panic!("{path} has no form"))
    }
}

/// The first field of this name of a page's forms.
pub fn field(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
