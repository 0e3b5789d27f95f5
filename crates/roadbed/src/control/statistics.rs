//! How full the data services are, as they say themselves.

use futures_util::future::try_join_all;
use reconcile::Fault;
use stores::redis::Purpose;
use stores::statistics::{Statistics, of_mongodb, of_redis};

use super::lending::lender;
use super::{Control, sleeping};

/// Asks each of them.
pub(super) async fn statistics(control: &Control) -> Result<Statistics, Fault> {
    sleeping::ensure_awake(control).await?;
    let lender = lender(control).await?;
    let in_mongodb = async {
        // Of somebody else's server its provider tells.
        match lender.mongodb.as_ref().and_then(|(settings, provider)| Some((settings, provider.members()?))) {
            Some((settings, members)) => of_mongodb(&lender.ground, settings, members).await.map(Some),
            None => Ok(None),
        }
    };
    // A sentinel holds nothing.
    let of_data = lender.redis.iter().filter(|(settings, _)| settings.purpose != Purpose::Sentinel);
    let in_redis = try_join_all(of_data.map(|(settings, port)| of_redis(&lender.ground, settings, *port)));
    let (mongodb, redis) = futures_util::try_join!(in_mongodb, in_redis)?;
    Ok(Statistics { mongodb, redis })
}
