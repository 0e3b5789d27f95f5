//! T5: pictures of public buckets are delivered. One is put into each and asked for as a visitor's browser would ask.

use std::sync::Arc;
use std::time::Duration;

use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact, Outcome};
use host::clock::Clock;
use manifest::environment::Access;
use manifest::{Bucket, Media};
use reconcile::Fault;
use secrets::Store;

use crate::checks::visitor::{Answer, Visitor};
use crate::object_requests::{Asked, Caller, operator};

pub(crate) const CLAIM: Claim = Claim {
    task: "T5",
    id: "media-variants-are-delivered",
    claim: "A picture in a public bucket is delivered in the width and format that a browser asks for, with headers that keep it \
            a picture, and in no other width",
    hint: "the observations name the bucket and what came; see `roadbed logs media` and `roadbed logs objects`",
    impact: Impact::Observes,
};

/// 320 by 240.
const PICTURE: &[u8] = include_bytes!("media-probe.png");

/// The delivery waits ten seconds for its origin, and fifteen for a worker.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks for pictures.
#[derive(Debug)]
pub struct VariantsAreDelivered {
    pub media: Media,
    pub visitor: Visitor,
    pub secrets: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    /// Where object storage listens on loopback.
    pub objects: u16,
}

impl Check for VariantsAreDelivered {
    fn claim(&self) -> &Claim {
        &CLAIM
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            match self.look().await {
                Ok(findings) => findings.outcome(),
                Err(fault) => Outcome::inconclusive(format!("{fault}: {}", fault.causes.join(": "))),
            }
        })
    }
}

impl VariantsAreDelivered {
    async fn look(&self) -> Result<Findings, Fault> {
        let mut findings = Findings::default();
        let caller = Caller { port: self.objects, key: operator(&self.secrets)?, now: self.clock.now() };
        for bucket in self.media.buckets.iter().filter(|bucket| bucket.access == Access::Public) {
            let path = format!("/{}/roadbed-probe/{}.png", bucket.full_name, std::process::id());
            let put = caller.ask(&Asked { method: "PUT", path: &path, body: PICTURE }).await;
            match put {
                Ok((200, _)) => {
                    self.of_bucket(bucket, &path, &mut findings).await;
                    let _ = caller.ask(&Asked { method: "DELETE", path: &path, body: b"" }).await;
                }
                Ok((status, said)) => {
                    findings.bad(format!("no picture can be put into {}: {status} {said}", bucket.name))
                }
                Err(error) => findings.bad(format!("object storage does not answer: {error}")),
            }
        }
        Ok(findings)
    }

    async fn of_bucket(&self, bucket: &Bucket, path: &str, findings: &mut Findings) {
        let Some(&width) = self.media.widths.first() else { return };
        let name = &bucket.name;
        let ask = async |accept: &str, width: u32| {
            let headers = [("accept".to_owned(), accept.to_owned())];
            self.visitor.get_showing(&self.media.host, &format!("{path}?w={width}"), &headers, PATIENCE).await
        };
        for (accept, kind) in [("image/webp,*/*", "image/webp"), ("image/png,image/jpeg", "image/jpeg")] {
            match ask(accept, width).await {
                Ok(answer) => match wrong(&answer, kind) {
                    None => findings.good(format!("{name}: {width} pixels wide as {kind}")),
                    Some(why) => findings.bad(format!("{name}: asked for {kind}, {width} pixels wide: {why}")),
                },
                Err(why) => findings.bad(format!("{name}: nothing is delivered: {why}")),
            }
        }
        let undeclared = (width..).find(|width| !self.media.widths.contains(width)).unwrap_or(u32::MAX);
        match ask("image/webp", undeclared).await {
            Ok(answer) if (400..500).contains(&answer.status) => {
                findings.good(format!("{name}: {undeclared} pixels, which nobody declared: {}", answer.status));
            }
            Ok(answer) => {
                findings.bad(format!("{name}: {undeclared} pixels, which nobody declared: {}", answer.status))
            }
            Err(why) => findings.bad(format!("{name}: nothing is delivered: {why}")),
        }
    }
}

/// What is wrong with an answer that is a picture of this kind.
fn wrong(answer: &Answer, kind: &str) -> Option<String> {
    let header = |name: &str| answer.headers.get(name).map_or("", String::as_str);
    if answer.status != 200 {
        return Some(format!("it answers {}", answer.status));
    }
    if header("content-type") != kind {
        return Some(format!("it is {}", header("content-type")));
    }
    if header("x-content-type-options") != "nosniff" {
        return Some("browsers may take it for something else: no nosniff".to_owned());
    }
    if answer.headers.contains_key("set-cookie") {
        return Some("it sets a cookie".to_owned());
    }
    let is_kept = header("cache-control").contains("max-age=") && !header("etag").is_empty();
    (!is_kept).then(|| format!("nobody keeps it: cache-control is {:?}", header("cache-control")))
}
