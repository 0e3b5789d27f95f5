//! Values with facts of the environment in them: reading and filling.

use crate::environment::{Fact, Piece, Template};
use crate::id::{AppName, BucketName, VarName};
use crate::shape::{self, text_shape};

/// A value as the manifest writes it: it may also refer to other variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<Chunk>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Plain(String),
    Fact(Fact),
    Variable(VarName),
}

impl Text {
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.0.iter().filter_map(|chunk| if let Chunk::Fact(fact) = chunk { Some(fact) } else { None })
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &VarName> {
        self.0.iter().filter_map(|chunk| if let Chunk::Variable(name) = chunk { Some(name) } else { None })
    }
}

impl shape::Text for Text {
    const WANTS: &'static str = "a text, perhaps with ${facts} in it";
    const EXAMPLES: &'static [&'static str] = &["info", "${url.api}", "${service.mongodb.url}"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if text.is_empty() {
            return Err(Some("an empty text means that it is not set: leave the variable out instead".to_owned()));
        }
        let mut chunks = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                plain += &rest[..at];
                plain.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            plain += &rest[..at];
            let Some(length) = rest[at..].find('}') else {
                return Err(Some("a \"${\" has no \"}\"; write \"$${\" for a plain \"${\"".to_owned()));
            };
            let reference = reference(&rest[at + 2..at + length])?;
            if !plain.is_empty() {
                chunks.push(Chunk::Plain(std::mem::take(&mut plain)));
            }
            chunks.push(reference);
            rest = &rest[at + length + 1..];
        }
        plain += rest;
        if !plain.is_empty() {
            chunks.push(Chunk::Plain(plain));
        }
        Ok(Self(chunks))
    }

    fn stand_in() -> Self {
        Self(Vec::new())
    }
}
text_shape!(Text);

/// What comes before the name of a bucket, after `service.`.
const MEDIA_BUCKET: &str = "media.bucket.";

const FACTS: &str = "the facts are ${url.APP}, ${internal.APP}, ${service.mongodb.url}, ${service.redis.url}, \
                     ${service.redis.cache.url}, ${service.redis.sentinels}, ${service.redis.prefix}, \
                     ${service.redis.rest.url}, ${service.redis.rest.token}, ${service.redis.rest.read_only_token}, \
                     ${service.media.endpoint}, ${service.media.public_endpoint}, ${service.media.url}, ${service.media.internal_url}, \
                     ${service.media.bucket.NAME}, \
                     ${service.media.access_key_id}, ${service.media.secret_access_key}, ${service.ca}, \
                     ${errors.dsn}, ${errors.public_dsn}, ${environment}, ${variable.NAME}";

fn reference(name: &str) -> Result<Chunk, Option<String>> {
    let fact = match name.split_once('.') {
        None if name == "environment" => Some(Fact::EnvironmentName),
        Some(("url", app)) => AppName::new(app).ok().map(Fact::Url),
        Some(("internal", app)) => AppName::new(app).ok().map(Fact::Internal),
        Some(("service", "mongodb.url")) => Some(Fact::MongoUrl),
        Some(("service", "redis.url")) => Some(Fact::RedisUrl),
        Some(("service", "redis.cache.url")) => Some(Fact::RedisCacheUrl),
        Some(("service", "redis.sentinels")) => Some(Fact::RedisSentinels),
        Some(("service", "redis.prefix")) => Some(Fact::RedisPrefix),
        Some(("service", "redis.rest.url")) => Some(Fact::RedisRestUrl),
        Some(("service", "redis.rest.token")) => Some(Fact::RedisRestToken),
        Some(("service", "redis.rest.read_only_token")) => Some(Fact::RedisRestReadOnlyToken),
        Some(("service", "media.endpoint")) => Some(Fact::MediaEndpoint),
        Some(("service", "media.public_endpoint")) => Some(Fact::MediaPublicEndpoint),
        Some(("service", "media.url")) => Some(Fact::MediaUrl),
        Some(("service", "media.internal_url")) => Some(Fact::MediaInternalUrl),
        Some(("service", "media.access_key_id")) => Some(Fact::MediaAccessKeyId),
        Some(("service", "media.secret_access_key")) => Some(Fact::MediaSecretAccessKey),
        Some(("service", bucket)) if bucket.starts_with(MEDIA_BUCKET) => {
            BucketName::new(&bucket[MEDIA_BUCKET.len()..]).ok().map(Fact::MediaBucket)
        }
        Some(("service", "ca")) => Some(Fact::ServiceCa),
        Some(("errors", "dsn")) => Some(Fact::ErrorsDsn),
        Some(("errors", "public_dsn")) => Some(Fact::ErrorsPublicDsn),
        Some(("variable", variable)) => {
            return VarName::new(variable).map(Chunk::Variable).map_err(|fault| Some(fault.to_string()));
        }
        _ => None,
    };
    fact.map(Chunk::Fact).ok_or_else(|| Some(format!("\"${{{name}}}\" is no fact; {FACTS}")))
}

impl Fact {
    /// Whether its value opens something.
    pub fn is_sensitive(&self) -> bool {
        let is_token = matches!(self, Self::RedisRestToken | Self::RedisRestReadOnlyToken | Self::MediaSecretAccessKey);
        is_token || matches!(self, Self::MongoUrl | Self::RedisUrl | Self::RedisCacheUrl | Self::ErrorsDsn)
    }

    /// Whether it has an app's credentials for a data service that speaks TLS.
    pub fn opens_a_service(&self) -> bool {
        matches!(self, Self::MongoUrl | Self::RedisUrl | Self::RedisCacheUrl)
    }

    /// Whether it tells of a data service.
    pub fn is_of_a_service(&self) -> bool {
        self.opens_a_service()
            || self.is_of_rest()
            || self.is_of_media()
            || matches!(self, Self::RedisSentinels | Self::RedisPrefix | Self::ServiceCa)
    }

    /// Whether it tells of the gateway that speaks Upstash's REST.
    pub fn is_of_rest(&self) -> bool {
        matches!(self, Self::RedisRestUrl | Self::RedisRestToken | Self::RedisRestReadOnlyToken)
    }

    /// Whether it tells of object storage.
    pub fn is_of_media(&self) -> bool {
        matches!(
            self,
            Self::MediaEndpoint
                | Self::MediaPublicEndpoint
                | Self::MediaUrl
                | Self::MediaInternalUrl
                | Self::MediaBucket(_)
                | Self::MediaAccessKeyId
                | Self::MediaSecretAccessKey
        )
    }

    /// Whether visitors may know it.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Url(_) | Self::MediaUrl | Self::ErrorsPublicDsn | Self::EnvironmentName)
    }
}

impl std::fmt::Display for Fact {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(app) => write!(f, "${{url.{app}}}"),
            Self::Internal(app) => write!(f, "${{internal.{app}}}"),
            Self::MongoUrl => f.write_str("${service.mongodb.url}"),
            Self::RedisUrl => f.write_str("${service.redis.url}"),
            Self::RedisCacheUrl => f.write_str("${service.redis.cache.url}"),
            Self::RedisSentinels => f.write_str("${service.redis.sentinels}"),
            Self::RedisPrefix => f.write_str("${service.redis.prefix}"),
            Self::RedisRestUrl => f.write_str("${service.redis.rest.url}"),
            Self::RedisRestToken => f.write_str("${service.redis.rest.token}"),
            Self::RedisRestReadOnlyToken => f.write_str("${service.redis.rest.read_only_token}"),
            Self::MediaEndpoint => f.write_str("${service.media.endpoint}"),
            Self::MediaPublicEndpoint => f.write_str("${service.media.public_endpoint}"),
            Self::MediaUrl => f.write_str("${service.media.url}"),
            Self::MediaInternalUrl => f.write_str("${service.media.internal_url}"),
            Self::MediaBucket(bucket) => write!(f, "${{service.{MEDIA_BUCKET}{bucket}}}"),
            Self::MediaAccessKeyId => f.write_str("${service.media.access_key_id}"),
            Self::MediaSecretAccessKey => f.write_str("${service.media.secret_access_key}"),
            Self::ServiceCa => f.write_str("${service.ca}"),
            Self::ErrorsDsn => f.write_str("${errors.dsn}"),
            Self::ErrorsPublicDsn => f.write_str("${errors.public_dsn}"),
            Self::EnvironmentName => f.write_str("${environment}"),
        }
    }
}

/// A fact that nobody could tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {fact} is not known")]
pub struct MissingFact {
    pub fact: Fact,
}

impl Template {
    /// The text with all facts filled in.
    pub fn fill(&self, lookup: impl Fn(&Fact) -> Option<String>) -> Result<String, MissingFact> {
        self.pieces.iter().try_fold(String::new(), |text, piece| match piece {
            Piece::Text(plain) => Ok(text + plain),
            Piece::Fact(fact) => {
                lookup(fact).map(|value| text + &value).ok_or_else(|| MissingFact { fact: fact.clone() })
            }
        })
    }

    /// The facts it needs.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.pieces.iter().filter_map(|piece| if let Piece::Fact(fact) = piece { Some(fact) } else { None })
    }
}

impl std::fmt::Display for Template {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(plain) => f.write_str(plain),
            Piece::Fact(fact) => write!(f, "{fact}"),
        })
    }
}
