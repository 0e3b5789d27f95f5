//! Keys in order, with what lies between a prefix and a delimiter as one.

use super::gets::{HEAD_COLUMNS, head_row};
use super::{Head, Result, Store, buckets};

/// What of a bucket is to be listed.
#[derive(Clone, Debug, Default)]
pub struct List<'a> {
    pub prefix: &'a str,
    /// Keys that have it behind the prefix are listed as one, up to and with it.
    pub delimiter: Option<&'a str>,
    /// Only what is behind this.
    pub after: Option<&'a str>,
    /// Whether `after` is a common prefix of a page before, so that all that begins with it has been listed.
    pub after_is_prefix: bool,
    pub limit: usize,
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    Object(Box<Head>),
    Prefix(String),
}

impl Listed {
    /// What a next page begins behind.
    pub fn name(&self) -> &str {
        match self {
            Self::Object(head) => &head.key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub lines: Vec<Listed>,
    pub is_more: bool,
}

impl Store {
    /// A page of objects, in the order of their keys' bytes.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn list(&self, bucket: &str, list: &List<'_>) -> Result<Page> {
        self.read(|rows| {
            let bucket = buckets::find(rows, bucket)?.id;
            let mut page = Page::default();
            // `from` is what keys are compared with; whether one that is equal to it counts, says `strictly`.
            let (mut from, mut strictly) = match list.after {
                Some(after) if after >= list.prefix => (after.to_owned(), true),
                _ => (list.prefix.to_owned(), false),
            };
            // What begins with this has been listed.
            let mut seen = list.after.filter(|_| list.after_is_prefix).map(str::to_owned);
            if let Some(seen) = &seen {
                from = behind(seen);
            }
            let mut statement = rows.prepare_cached(&format!(
                "SELECT {HEAD_COLUMNS} FROM version WHERE bucket = ?1 AND gone IS NULL AND key >= ?2 ORDER BY key"
            ))?;
            'seek: loop {
                let mut found = statement.query((bucket, &from))?;
                while let Some(row) = found.next()? {
                    let key = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
                    if !key.starts_with(list.prefix) {
                        return Ok(page);
                    }
                    if (strictly && key == from) || seen.as_deref().is_some_and(|seen| key.starts_with(seen)) {
                        continue;
                    }
                    if page.lines.len() == list.limit {
                        page.is_more = true;
                        return Ok(page);
                    }
                    let rest = &key[list.prefix.len()..];
                    let cut = list.delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
                    match cut {
                        None => page.lines.push(Listed::Object(Box::new(head_row(row)?))),
                        Some(length) => {
                            let prefix = key[..list.prefix.len() + length].to_owned();
                            // All that begins so is passed over without being read.
                            (from, strictly) = (behind(&prefix), false);
                            page.lines.push(Listed::Prefix(prefix.clone()));
                            seen = Some(prefix);
                            continue 'seek;
                        }
                    }
                }
                return Ok(page);
            }
        })
    }
}

/// A text that all but a few of those that begin with `prefix` come before.
fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}
