//! Data services that Roadbed orders at a provider: what is ordered, and what is never changed without a word.

use std::net::IpAddr;

use url::Url;

use crate::id::EnvName;
use crate::record::{choice, record};
use crate::scalars::Count;
use crate::shape::{self, text_shape};
use crate::source::At;
use crate::tables::{MongoDbTable, RedisTable};

choice! {
    /// Where a database of Upstash has its primary. As in the description of its Developer API; those of Google's cloud have no number
    /// after a second `-`.
    pub enum UpstashRegion {
        /// N. Virginia.
        UsEast1 = "us-east-1",
        /// Ohio.
        UsEast2 = "us-east-2",
        /// N. California.
        UsWest1 = "us-west-1",
        /// Oregon.
        UsWest2 = "us-west-2",
        /// Canada.
        CaCentral1 = "ca-central-1",
        /// Frankfurt.
        EuCentral1 = "eu-central-1",
        /// Ireland.
        EuWest1 = "eu-west-1",
        /// London.
        EuWest2 = "eu-west-2",
        /// São Paulo.
        SaEast1 = "sa-east-1",
        /// Mumbai.
        ApSouth1 = "ap-south-1",
        /// Tokyo.
        ApNortheast1 = "ap-northeast-1",
        /// Singapore.
        ApSoutheast1 = "ap-southeast-1",
        /// Sydney.
        ApSoutheast2 = "ap-southeast-2",
        /// Cape Town.
        AfSouth1 = "af-south-1",
        /// Iowa, Google.
        UsCentral1 = "us-central1",
        /// N. Virginia, Google.
        UsEast4 = "us-east4",
        /// Belgium, Google.
        EuropeWest1 = "europe-west1",
        /// Tokyo, Google.
        AsiaNortheast1 = "asia-northeast1",
    }
}

impl UpstashRegion {
    /// Whether it is in Google's cloud, and not in Amazon's.
    pub fn is_google(self) -> bool {
        matches!(self, Self::UsCentral1 | Self::UsEast4 | Self::EuropeWest1 | Self::AsiaNortheast1)
    }
}

choice! {
    /// How a database of Upstash is paid for.
    pub enum UpstashPlan {
        /// Nothing, within its limits.
        Free = "free",
        /// By request.
        Payg = "payg",
        /// By month, 250 MB.
        Fixed250Mb = "fixed_250mb",
        /// By month, 1 GB.
        Fixed1Gb = "fixed_1gb",
        /// By month, 5 GB.
        Fixed5Gb = "fixed_5gb",
        /// By month, 10 GB.
        Fixed10Gb = "fixed_10gb",
        /// By month, 50 GB.
        Fixed50Gb = "fixed_50gb",
        /// By month, 100 GB.
        Fixed100Gb = "fixed_100gb",
        /// By month, 500 GB.
        Fixed500Gb = "fixed_500gb",
    }
}

choice! {
    /// In whose cloud a cluster of Atlas lies.
    pub enum AtlasCloud {
        /// Amazon's.
        Aws = "AWS",
        /// Google's.
        Gcp = "GCP",
        /// Microsoft's.
        Azure = "AZURE",
    }
}

choice! {
    /// How large the nodes of a cluster are. Smaller ones are shared, and have neither continuous backup nor a schedule of their own.
    pub enum AtlasSize {
        /// 2 GB of memory.
        M10 = "M10",
        /// 4 GB.
        M20 = "M20",
        /// 8 GB.
        M30 = "M30",
        /// 16 GB.
        M40 = "M40",
        /// 32 GB.
        M50 = "M50",
        /// 64 GB.
        M60 = "M60",
        /// 128 GB.
        M80 = "M80",
    }
}

record! {
    /// A Redis that is ordered at Upstash; its cache is another database there. What opens the account is told to
    /// `roadbed secrets set redis/upstash`: `EMAIL:API_KEY`.
    pub(crate) struct UpstashTable {
        /// Where its primary is. Another one is another database: that is never changed.
        region: UpstashRegion,
        /// How it is paid for. Changed by you, at the provider.
        plan: UpstashPlan = "payg",
        /// What it may cost in a month, in whole dollars. Default: what the provider says.
        budget: Option<Dollars>,
        /// Whether the provider takes a backup each day, which it keeps for up to three. It is switched on, and never off.
        daily_backup: bool = true,
        /// The id of a database that is there already, to be taken over in place of ordering one.
        adopt: Option<DatabaseId>,
        /// Where the Developer API is.
        api: ApiUrl = "https://api.upstash.com/v2",
    }
}

record! {
    /// A MongoDB that is ordered at Atlas: a project of its own with one cluster. What opens the organization is told to
    /// `roadbed secrets set mongodb/atlas`: `CLIENT_ID:CLIENT_SECRET` of a service account.
    pub(crate) struct AtlasTable {
        /// Id of the organization in which the project is made.
        organization: ObjectId,
        /// In whose cloud.
        cloud: AtlasCloud = "AWS",
        /// Its region, as Atlas writes it. Another one is another cluster: that is never changed.
        region: AtlasRegion,
        /// How large the nodes are. Changed by you, at the provider.
        size: AtlasSize = "M10",
        /// From where it may be reached: addresses and networks of the apps' servers.
        allow: Vec<At<Network>>,
        /// For how many days at least a daily snapshot is kept. Never shortened: that would delete what is there.
        keep_days: Count = 7,
        /// The id of a project that is there already, to be taken over in place of making one.
        adopt: Option<ObjectId>,
        /// Where the Admin API is.
        api: ApiUrl = "https://cloud.mongodb.com",
    }
}

/// What is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    Upstash(Upstash),
    Atlas(Atlas),
}

/// A Redis at Upstash, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstash {
    /// What the database is called there: `urbancart-production-redis`.
    pub name: String,
    pub region: UpstashRegion,
    pub plan: UpstashPlan,
    /// Dollars a month.
    pub budget: Option<u32>,
    pub daily_backup: bool,
    /// Whether it drops keys when it is full.
    pub eviction: bool,
    /// Id of one that is taken over.
    pub adopt: Option<String>,
    pub api: String,
}

/// A MongoDB at Atlas, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atlas {
    /// What the project is called: `urbancart-production`. Its cluster is called as the environment.
    pub project: String,
    pub cluster: String,
    pub organization: String,
    pub cloud: AtlasCloud,
    pub region: String,
    pub size: AtlasSize,
    /// In CIDR notation.
    pub allow: Vec<String>,
    pub keep_days: u32,
    /// Id of a project that is taken over.
    pub adopt: Option<String>,
    pub api: String,
}

/// The table that holds in an environment.
pub(crate) fn upstash_table<'t>(table: &'t RedisTable, environment: &EnvName) -> Option<&'t UpstashTable> {
    let own = table.r#in.get(environment).and_then(|own| own.upstash.as_ref());
    own.or(table.upstash.as_ref()).map(|table| &table.value)
}

/// As [`upstash_table`].
pub(crate) fn atlas_table<'t>(table: &'t MongoDbTable, environment: &EnvName) -> Option<&'t AtlasTable> {
    let own = table.r#in.get(environment).and_then(|own| own.atlas.as_ref());
    own.or(table.atlas.as_ref()).map(|table| &table.value)
}

impl UpstashTable {
    /// `scope` is `urbancart-production`, `service` `redis` or `redis-cache`.
    pub(crate) fn resolve(&self, scope: &str, service: &str, eviction: bool) -> Upstash {
        Upstash {
            name: format!("{scope}-{service}"),
            region: self.region,
            plan: self.plan,
            budget: self.budget.map(|dollars| dollars.0),
            daily_backup: self.daily_backup,
            eviction,
            // There is one id and there are two databases: the cache can be made again.
            adopt: self.adopt.as_ref().filter(|_| service == "redis").map(|id| id.0.clone()),
            api: self.api.0.clone(),
        }
    }
}

impl AtlasTable {
    pub(crate) fn resolve(&self, scope: &str, environment: &EnvName) -> Atlas {
        Atlas {
            project: scope.to_owned(),
            cluster: environment.to_string(),
            organization: self.organization.0.clone(),
            cloud: self.cloud,
            region: self.region.0.clone(),
            size: self.size,
            allow: self.allow.iter().map(|network| network.value.0.clone()).collect(),
            keep_days: self.keep_days.0,
            adopt: self.adopt.as_ref().map(|id| id.0.clone()),
            api: self.api.0.clone(),
        }
    }
}

/// What something may cost in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) u32);

impl shape::Shape for Dollars {
    const WANTS: &'static str = "a whole number of dollars from 1 to 1000000";

    fn decode(value: &shape::Value<'_>, reader: &mut shape::Reader) -> Self {
        match crate::scalars::integer(value, 1..=1_000_000) {
            Some(number) => Self(number),
            None => {
                reader.wrong(value, Self::WANTS).hint("write a whole number without quotes");
                <Self as shape::Shape>::stand_in()
            }
        }
    }

    fn stand_in() -> Self {
        Self(1)
    }

    fn schema(_: &mut shape::Definitions) -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 })
    }
}

/// The id of a database at Upstash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseId(pub(crate) String);

impl shape::Text for DatabaseId {
    const WANTS: &'static str = "the id of a database, as its provider shows it";
    const PATTERN: Option<&'static str> = Some("^[0-9A-Za-z-]{8,64}$");

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_id = (8..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if is_id { Ok(Self(text.to_owned())) } else { Err(Some("it is not the database's name".to_owned())) }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}

/// An id at Atlas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectId(pub(crate) String);

impl shape::Text for ObjectId {
    const WANTS: &'static str = "an id of 24 hexadecimal digits";
    const PATTERN: Option<&'static str> = Some("^[0-9a-f]{24}$");
    const EXAMPLES: &'static [&'static str] = &["32b6e34b3d91647abb20e7b8"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("the settings of the organization show it".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("0".repeat(24))
    }
}

/// A region as Atlas writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AtlasRegion(pub(crate) String);

impl shape::Text for AtlasRegion {
    const WANTS: &'static str = "a region as Atlas writes it";
    const PATTERN: Option<&'static str> = Some("^[A-Z][A-Z0-9_]{2,39}$");
    const EXAMPLES: &'static [&'static str] = &["EU_CENTRAL_1", "WESTERN_EUROPE", "EUROPE_NORTH"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
        if begins && (3..=40).contains(&text.len()) && text.bytes().all(is_letter) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("for example \"EU_CENTRAL_1\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("UNREADABLE".to_owned())
    }
}

/// An address or a network, in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) String);

impl shape::Text for Network {
    const WANTS: &'static str = "an address, or a network in CIDR notation";
    const EXAMPLES: &'static [&'static str] = &["203.0.113.7", "203.0.113.0/24"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let hint = || Some("for example \"203.0.113.7\" or \"203.0.113.0/24\"".to_owned());
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| hint())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(whole), |length| length.parse::<u8>().map_err(|_| hint()))?;
        if length > whole {
            return Err(hint());
        }
        if length == 0 {
            return Err(Some("this is everybody: name the networks that the apps are in".to_owned()));
        }
        Ok(Self(format!("{address}/{length}")))
    }

    fn stand_in() -> Self {
        Self("192.0.2.1/32".to_owned())
    }
}

/// Where a provider's API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiUrl(pub(crate) String);

impl shape::Text for ApiUrl {
    const WANTS: &'static str = "an address that begins with https://";
    const PATTERN: Option<&'static str> = Some("^https?://");

    fn read(text: &str) -> Result<Self, Option<String>> {
        let hint = || Some("the key of the account is sent there; in the clear only to this machine".to_owned());
        let url = Url::parse(text).map_err(|_| hint())?;
        let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if is_safe && is_bare && url.has_host() { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(hint()) }
    }

    fn stand_in() -> Self {
        Self("https://unreadable.invalid".to_owned())
    }
}
text_shape!(DatabaseId, ObjectId, AtlasRegion, Network, ApiUrl);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Text as _;

    #[test]
    fn a_network_is_one_and_never_everybody() {
        assert_eq!(Network::read("203.0.113.7").unwrap().0, "203.0.113.7/32");
        assert_eq!(Network::read("2001:db8::/32").unwrap().0, "2001:db8::/32");
        for text in ["0.0.0.0/0", "::/0", "notacidr", "203.0.113.7/33", "203.0.113.7/x", ""] {
            assert!(Network::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_key_of_an_account_is_not_sent_in_the_clear() {
        assert_eq!(ApiUrl::read("https://api.upstash.com/v2/").unwrap().0, "https://api.upstash.com/v2");
        assert!(ApiUrl::read("http://127.0.0.1:1/v2").is_ok());
        for text in ["http://api.example", "https://a:b@api.example", "ftp://api.example", "https://x?y=1", "x"] {
            assert!(ApiUrl::read(text).is_err(), "{text}");
        }
    }
}
