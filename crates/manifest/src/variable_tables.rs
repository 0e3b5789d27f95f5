//! Variables, as the manifest writes them.

use serde_json::{Value as Json, json};

use crate::environment::{Class, Delivery, Phase, Reach};
use crate::id::{AppName, EnvName, OwnerName};
use crate::record::{choice, record};
use crate::rotation::RotateTable;
use crate::shape::{Definitions, Reader, Shape, Table, Value};
use crate::source::At;
use crate::tables::{Document, Kind};
use crate::template::Text;
use crate::value::{Link, Pattern, Rule, ValueType};

choice! {
    /// Where a value that the manifest does not hold comes from.
    pub(crate) enum Origin {
        /// Made by Roadbed at first need and kept in the secret store.
        Generated = "generated",
        /// Set by a person in the secret store.
        Store = "store",
        /// Set by the system that builds, in its own settings. Only for what a build reads; no process of an environment receives it.
        Ci = "ci",
    }
}

record! {
    /// An environment variable. It has either a `value` or a `source`.
    pub(crate) struct VariableTable {
        /// What it is for.
        description: String,
        /// Where more is written about it.
        docs: Option<At<Link>>,
        /// Apps that receive it; no other does.
        apps: At<Vec<At<AppName>>>,
        /// How its value is written. Checked before a process starts, when a person sets it, and by the apps themselves.
        r#type: At<ValueType> = "string",
        /// The values it may have, for the type `enum`.
        choices: At<Vec<At<String>>> = [],
        /// A regular expression that describes the whole value.
        r#match: Option<At<Pattern>>,
        /// What kind of thing it holds; this alone decides whether it is treated as a secret.
        class: At<Class>,
        /// Who answers for its value.
        owner: At<OwnerName>,
        /// Which code may read it. Default: `client` if a static app receives it, otherwise `server`.
        reach: Option<At<Reach>>,
        /// When it is read.
        phase: At<Phase> = "runtime",
        /// How a process receives it.
        deliver: At<Delivery> = "env",
        /// Where an app does not start without it.
        required: At<Required> = "always",
        /// Environments in which it exists. Default: all of them.
        environments: Option<At<Vec<At<EnvName>>>>,
        /// Its value: a text, with facts of the environment filled in: `${url.APP}`, `${internal.APP}`, `${service.mongodb.url}`,
        /// `${service.redis.url}`, `${service.redis.cache.url}`, `${service.redis.sentinels}`, `${service.redis.prefix}`, `${service.redis.rest.url}`, `${service.redis.rest.token}`, `${service.redis.rest.read_only_token}`, `${errors.dsn}`, `${errors.public_dsn}`, `${environment}`, `${variable.NAME}`. `$${` stands for `${` itself.
        value: Option<At<Text>>,
        /// Where its value comes from, if it is not in the manifest.
        source: Option<At<Origin>>,
        /// How it is replaced by another value, and when. Every sensitive value has an age at which that is due.
        rotate: Option<At<RotateTable>>,
        /// How a value looks, for `.env.example`. For a sensitive variable a plain fake that contains the word "example".
        example: Option<At<String>>,
        /// What is different in an environment.
        r#in: Table<EnvName, VariableOverride>,
    }
}

record! {
    /// What is different for a variable in one environment.
    pub(crate) struct VariableOverride {
        /// Its value there.
        value: Option<At<Text>>,
        /// Where its value comes from there.
        source: Option<At<Origin>>,
        /// A regular expression that describes the whole value there.
        r#match: Option<At<Pattern>>,
    }
}

/// Where a variable is required.
#[derive(Clone, Debug)]
pub(crate) enum Required {
    Always,
    Never,
    In(Vec<At<EnvName>>),
}

impl Required {
    pub(crate) fn holds_in(&self, environment: &EnvName) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::In(environments) => environments.iter().any(|name| &name.value == environment),
        }
    }
}

impl Shape for Required {
    const WANTS: &'static str = "\"always\", \"never\" or a list of environments";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        match value.get_ref() {
            toml::de::DeValue::Array(_) => Self::In(Vec::decode(value, reader)),
            toml::de::DeValue::String(word) if word == "always" => Self::Always,
            toml::de::DeValue::String(word) if word == "never" => Self::Never,
            other => {
                let environment = other.as_str().unwrap_or("production");
                reader.wrong(value, Self::WANTS).hint(format!("for one environment write [{environment:?}]"));
                Self::stand_in()
            }
        }
    }

    fn stand_in() -> Self {
        Self::Never
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [{ "enum": ["always", "never"] }, Vec::<EnvName>::schema(definitions)] })
    }
}

impl VariableTable {
    pub(crate) fn exists_in(&self, environment: &EnvName) -> bool {
        self.environments.as_ref().is_none_or(|listed| listed.iter().any(|name| &name.value == environment))
    }

    /// Which code may read it: what is said, else what follows from who receives it.
    pub(crate) fn reach_in(&self, document: &Document) -> Reach {
        let is_static = |app: &At<AppName>| document.apps.get(&app.value).is_some_and(|app| app.kind == Kind::Static);
        match &self.reach {
            Some(reach) => reach.value,
            None if self.apps.iter().any(is_static) => Reach::Client,
            None => Reach::Server,
        }
    }

    /// What its value must be; `None` asks for what holds everywhere.
    pub(crate) fn rule_in(&self, environment: Option<&EnvName>) -> Rule {
        let own = environment.and_then(|environment| self.r#in.get(environment)).and_then(|own| own.r#match.as_ref());
        Rule {
            value_type: self.r#type.value,
            choices: self.choices.iter().map(|choice| choice.value.clone()).collect(),
            pattern: own.or(self.r#match.as_ref()).map(|pattern| pattern.value.clone()),
        }
    }

    /// Its value or source in one environment: the environment's own, else the general one.
    pub(crate) fn origin_in(&self, environment: &EnvName) -> Option<VariableOrigin<'_>> {
        let own = self.r#in.get(environment).and_then(|own| origin(own.value.as_ref(), own.source.as_ref()));
        own.or_else(|| self.general_origin())
    }

    /// Its value or source where an environment has none of its own.
    pub(crate) fn general_origin(&self) -> Option<VariableOrigin<'_>> {
        origin(self.value.as_ref(), self.source.as_ref())
    }
}

fn origin<'a>(value: Option<&'a At<Text>>, source: Option<&'a At<Origin>>) -> Option<VariableOrigin<'a>> {
    value.map(VariableOrigin::Value).or(source.map(VariableOrigin::Elsewhere))
}

/// See [`VariableTable::origin_in`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum VariableOrigin<'a> {
    Value(&'a At<Text>),
    Elsewhere(&'a At<Origin>),
}
