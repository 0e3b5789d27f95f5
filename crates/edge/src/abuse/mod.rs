//! Visitors who are up to no good: networks that are kept out, paths that only scanners ask for, crawlers that are not who they say.
//!
//! Everything here has a bound that is written beside it, and what the edge concludes by itself begins in shadow: the access log says
//! what would have been done.

pub mod lists;
pub mod top;
