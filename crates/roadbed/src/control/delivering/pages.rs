//! The pages of a release as its visitors get them, asked for again and again while it is watched.

use std::time::Duration;

use futures_util::future::join_all;
use reconcile::Fault;

use crate::checks::Visitor;
use crate::world::deployable::Page;

/// A page that takes longer is no page.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at every page. The fault says what is wrong with each that is not as it should be.
pub(super) async fn look(visitor: &Visitor, pages: &[Page], release: &str) -> Result<usize, Fault> {
    let looked = join_all(pages.iter().map(|page| one(visitor, page, release))).await;
    let wrong: Vec<String> = looked.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() {
        return Ok(pages.len());
    }
    let mut fault =
        Fault::new(format!("{} of {} pages of {release} are not as they should be", wrong.len(), pages.len()))
            .hint("`roadbed logs APP` shows what its instances say");
    fault.causes = wrong;
    Err(fault)
}

async fn one(visitor: &Visitor, page: &Page, release: &str) -> Result<(), String> {
    let Page { host, path, contains, login } = page;
    let url = visitor.https_url(host, path);
    let answer = match login {
        Some((user, password)) => visitor.get_as(host, path, user, password, PATIENCE).await,
        None => visitor.get(host, path, PATIENCE).await,
    };
    let answer = answer.map_err(|why| format!("{url}: {why}"))?;
    if answer.status != 200 {
        return Err(format!("{url} answered {} and not 200", answer.status));
    }
    match answer.headers.get(reconcile::ports::RELEASE_HEADER) {
        Some(found) if found == release => {}
        found => {
            return Err(format!("{url} is of {} and not of {release}", found.map_or("no release", String::as_str)));
        }
    }
    match contains {
        Some(text) if !answer.body.contains(text.as_str()) => Err(format!("{url} does not contain {text:?}")),
        _ => Ok(()),
    }
}
