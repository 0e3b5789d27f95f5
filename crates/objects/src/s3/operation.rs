//! What a request asks for, by its method, host, path and query alone.

use http::Method;
use percent_encoding::percent_decode_str;

use super::fault::Refusal;

/// What is to be done, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    ListBuckets,
    HeadBucket,
    /// Buckets are declared, not made by requests; clients that make them first are told that it is there.
    CreateBucket,
    Location,
    ListObjects(ListQuery),
    ListUploads {
        prefix: String,
        key_marker: String,
        id_marker: String,
        limit: usize,
        is_url: bool,
    },
    DeleteObjects,
    Get {
        overrides: Vec<(&'static str, String)>,
    },
    Head {
        overrides: Vec<(&'static str, String)>,
    },
    Put,
    Delete,
    BeginUpload,
    PutPart {
        id: String,
        number: u32,
    },
    Complete {
        id: String,
    },
    Abort {
        id: String,
    },
    ListParts {
        id: String,
        after: u32,
        limit: usize,
        is_url: bool,
    },
}

/// What of a bucket is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub is_v2: bool,
    pub prefix: String,
    pub delimiter: Option<String>,
    /// `marker` or `start-after`.
    pub after: Option<String>,
    pub token: Option<String>,
    pub limit: usize,
    pub is_url: bool,
    pub wants_owner: bool,
}

/// A request's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Empty where all of the store is meant.
    pub bucket: String,
    /// Empty where the bucket is meant.
    pub key: String,
}

/// Lines of a list, as S3 has it.
const MOST: usize = 1000;

/// Headers that a signed request may have answered otherwise.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];

/// Which bucket and object a request names. A host is one of ours only where one is configured.
///
/// # Errors
/// Where the path is no text.
pub fn target(host: &str, base_host: Option<&str>, path: &str) -> Result<Target, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| Refusal::bad("InvalidURI", "the path is no UTF-8"))
    };
    let host = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let own = base_host.and_then(|base| {
        let (bucket, dot) = host.split_at_checked(host.len().checked_sub(base.len() + 1)?)?;
        (dot.starts_with('.') && dot[1..].eq_ignore_ascii_case(base) && !bucket.is_empty()).then_some(bucket)
    });
    match own {
        Some(bucket) => Ok(Target { bucket: bucket.to_ascii_lowercase(), key: decoded(path)? }),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            Ok(Target { bucket: decoded(bucket)?, key: decoded(key)? })
        }
    }
}

/// Parameters of the signature, which was judged; how some clients name the operation for their logs; and what changes nothing of what
/// is done, in addresses that were made of headers.
const OF_NO_ACCOUNT: &[&str] = &[
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Content-Sha256",
    "x-id",
    "x-amz-checksum-mode",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-user-agent",
];

/// The parameters of a query, each once.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in sigv4::decoded_pairs(query) {
            let text =
                |bytes| String::from_utf8(bytes).map_err(|_| Refusal::bad("InvalidURI", "the query is no UTF-8"));
            let (name, value) = (text(name)?, text(value)?);
            if OF_NO_ACCOUNT.contains(&name.as_str()) {
                continue;
            }
            if all.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::bad("InvalidArgument", format!("`{name}` is said twice")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn number(&mut self, name: &str, otherwise: usize) -> Result<usize, Refusal> {
        let Some(text) = self.take(name).filter(|text| !text.is_empty()) else { return Ok(otherwise) };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() < 10;
        text.parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(|| Refusal::bad("InvalidArgument", format!("`{name}` is no number")))
    }

    fn url(&mut self) -> Result<bool, Refusal> {
        match self.take("encoding-type").as_deref() {
            None | Some("") => Ok(false),
            Some("url") => Ok(true),
            Some(_) => Err(Refusal::bad("InvalidArgument", "`encoding-type` is `url` or nothing")),
        }
    }

    /// What nobody took is something that S3 does and this store does not.
    fn end(self) -> Result<(), Refusal> {
        match self.0.first() {
            Some((name, _)) => Err(Refusal::unknown(format_args!("`?{name}` with this method"))),
            None => Ok(()),
        }
    }
}

impl Operation {
    /// # Errors
    /// Where it is nothing that this store does.
    pub fn of(method: &Method, target: &Target, query: &str) -> Result<Self, Refusal> {
        let mut query = Query::read(query)?;
        let operation = match (target.bucket.is_empty(), target.key.is_empty()) {
            (true, _) if *method == Method::GET && target.key.is_empty() => Self::ListBuckets,
            (true, _) => return Err(Refusal::unknown(format_args!("{method} of no bucket"))),
            (false, true) => Self::of_bucket(method, &mut query)?,
            (false, false) => Self::of_object(method, &mut query)?,
        };
        query.end()?;
        Ok(operation)
    }

    fn of_bucket(method: &Method, query: &mut Query) -> Result<Self, Refusal> {
        Ok(match *method {
            Method::HEAD => Self::HeadBucket,
            Method::PUT => Self::CreateBucket,
            Method::POST if query.take("delete").is_some() => Self::DeleteObjects,
            Method::GET if query.take("location").is_some() => Self::Location,
            Method::GET if query.take("uploads").is_some() => Self::ListUploads {
                prefix: query.take("prefix").unwrap_or_default(),
                key_marker: query.take("key-marker").unwrap_or_default(),
                id_marker: query.take("upload-id-marker").unwrap_or_default(),
                limit: query.number("max-uploads", MOST)?.min(MOST),
                is_url: query.url()?,
            },
            Method::GET => {
                let is_v2 = match query.take("list-type").as_deref() {
                    None => false,
                    Some("2") => true,
                    Some(_) => return Err(Refusal::bad("InvalidArgument", "`list-type` is 2 or nothing")),
                };
                Self::ListObjects(ListQuery {
                    is_v2,
                    prefix: query.take("prefix").unwrap_or_default(),
                    delimiter: query.take("delimiter").filter(|delimiter| !delimiter.is_empty()),
                    after: query.take(if is_v2 { "start-after" } else { "marker" }).filter(|after| !after.is_empty()),
                    token: if is_v2 { query.take("continuation-token") } else { None },
                    limit: query.number("max-keys", MOST)?.min(MOST),
                    is_url: query.url()?,
                    wants_owner: is_v2 && query.take("fetch-owner").as_deref() == Some("true"),
                })
            }
            _ => return Err(Refusal::unknown(format_args!("{method} of a bucket"))),
        })
    }

    fn of_object(method: &Method, query: &mut Query) -> Result<Self, Refusal> {
        let id = query.take("uploadId");
        Ok(match (method, id) {
            (&Method::GET, None) => Self::Get { overrides: overrides(query) },
            (&Method::HEAD, None) => Self::Head { overrides: overrides(query) },
            (&Method::PUT, None) => Self::Put,
            (&Method::DELETE, None) => Self::Delete,
            (&Method::POST, None) if query.take("uploads").is_some() => Self::BeginUpload,
            (&Method::PUT, Some(id)) if query.has("partNumber") => {
                let number = u32::try_from(query.number("partNumber", 0)?).unwrap_or(0);
                if !(1..=crate::store::MOST_PARTS).contains(&number) {
                    return Err(Refusal::bad("InvalidArgument", "`partNumber` is between 1 and 10,000"));
                }
                Self::PutPart { id, number }
            }
            (&Method::POST, Some(id)) => Self::Complete { id },
            (&Method::DELETE, Some(id)) => Self::Abort { id },
            (&Method::GET, Some(id)) => Self::ListParts {
                id,
                after: u32::try_from(query.number("part-number-marker", 0)?).unwrap_or(u32::MAX),
                limit: query.number("max-parts", MOST)?.min(MOST),
                is_url: query.url()?,
            },
            _ => return Err(Refusal::unknown(format_args!("{method} of an object, with this query"))),
        })
    }
}

fn overrides(query: &mut Query) -> Vec<(&'static str, String)> {
    OVERRIDES.iter().filter_map(|(name, header)| Some((*header, query.take(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(method: &str, path: &str, query: &str) -> Result<Operation, Refusal> {
        Operation::of(&method.parse().unwrap(), &target("h", None, path).unwrap(), query)
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(host in "[a-z.:0-9]{0,12}", path in ".{0,20}", query in ".{0,30}") {
            for method in ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"] {
                if let Ok(target) = target(&host, Some("b.c"), &path) {
                    let _ = Operation::of(&method.parse().unwrap(), &target, &query);
                }
            }
        }
    }

    #[test]
    fn a_bucket_is_in_the_path_or_in_a_host_of_ours() {
        let named = |host: &str, path: &str| {
            let target = target(host, Some("media.example"), path).unwrap();
            (target.bucket, target.key)
        };
        let of = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned());
        assert_eq!(named("media.example:80", "/one/a/b"), of("one", "a/b"));
        assert_eq!(named("one.Media.example:80", "/a//b%2e"), of("one", "a//b."));
        assert_eq!(named("evilmedia.example", "/one/a"), of("one", "a"));
        assert_eq!(named("", "/one/../two/a"), of("one", "../two/a"), "and such a key is refused");
    }

    #[test]
    fn what_is_not_done_here_is_said_so() {
        for (method, path, query) in [
            ("GET", "/b", "acl"),
            ("GET", "/b", "versioning"),
            ("PUT", "/b", "policy"),
            ("PUT", "/b/k", "tagging"),
            ("GET", "/b/k", "versionId=1"),
            ("PUT", "/b/k", "uploadId=1"),
            ("PUT", "/b/k", "x-amz-acl=public-read"),
            ("DELETE", "/b", ""),
            ("POST", "/b", ""),
            ("PATCH", "/b/k", ""),
        ] {
            assert_eq!(of(method, path, query).unwrap_err().status, 501, "{method} {path}?{query}");
        }
        assert_eq!(of("GET", "/b", "prefix=a&prefix=b").unwrap_err().status, 400);
    }
}
