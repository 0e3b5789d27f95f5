//! Variables: who receives them, where they exist, and that nothing sensitive can leak by declaration.

use super::{
    apps::internal_app, environments::LOCAL, known_app, known_environment, known_environments, known_owner,
    no_repetition, rotation, values,
};
use crate::driver::Driver;
use crate::environment::{Class, Fact, GIVEN, ServiceName};
use crate::findings::Findings;
use crate::id::{AppName, BucketName, VarName};
use crate::source::At;
use crate::tables::{Document, Kind};
use crate::template::Text;
use crate::variable_tables::{Origin, Required, VariableOrigin, VariableTable};

pub(super) fn check(document: &Document, findings: &mut Findings) {
    for (name, variable) in document.variables.iter() {
        if let Some((_, meaning)) = GIVEN.iter().find(|(given, _)| *given == name.as_str()) {
            findings
                .error(name.span, format!("{} is given by Roadbed itself: {meaning}", name.value))
                .hint("remove the table; every server process receives it");
        }
        known_owner(&variable.owner, document, findings);
        receivers(name, variable, document, findings);
        environments(name, variable, document, findings);
        origin(name, variable, document, findings);
        example(name, variable, findings);
        values::check(name, variable, document, findings);
        rotation::check(name, variable, &document.rotation, findings);
        let own = variable.r#in.iter().filter_map(|(_, own)| own.value.as_ref());
        for text in variable.value.iter().chain(own) {
            value(name, variable, text, document, findings);
            whom_to_trust(name, text, variable, document, findings);
        }
        let own = variable.r#in.iter().filter_map(|(_, own)| own.source.as_ref());
        for source in variable.source.iter().chain(own).filter(|_| variable.class.value == Class::Public) {
            let how = match source.value {
                Origin::Store => "cannot come from the secret store",
                Origin::Generated => "cannot be generated",
                Origin::Ci => continue,
            };
            findings
                .error(source.span, format!("{} is public: its value {how}", name.value))
                .hint("give it a value here, or another class");
        }
    }
}

fn receivers(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    if variable.apps.is_empty() {
        findings
            .error(variable.apps.span, format!("no app receives {}", name.value))
            .hint("name the apps that read it, or remove the variable");
    }
    no_repetition(&variable.apps, findings);
    for app in &variable.apps.value {
        known_app(&app.value, app.span, document, findings);
        let is_static = document.apps.get(&app.value).is_some_and(|table| table.kind == Kind::Static);
        // What only its build reads does not reach its visitors: `env check` sees to that.
        let reaches_visitors = variable.phase.value.is_at_run_time();
        if is_static && reaches_visitors && variable.class.value > Class::Public {
            findings
                .error(
                    app.span,
                    format!(
                        "\"{}\" is static, so every visitor sees what it receives, but {} is {}",
                        app.value, name.value, variable.class.value
                    ),
                )
                .hint("only public variables may go to a static app");
        }
    }
}

fn environments(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    if let Some(listed) = &variable.environments {
        known_environments(&listed.value, &document.environments, findings);
        no_repetition(listed, findings);
        if listed.is_empty() {
            findings
                .error(listed.span, format!("{} exists in no environment", name.value))
                .hint("name its environments, or remove the key: then it exists in all of them");
        }
    }
    let absent = |environment: &At<crate::EnvName>| !variable.exists_in(&environment.value);
    if let Required::In(required) = &variable.required.value {
        no_repetition(required, findings);
        for environment in required {
            if known_environment(environment, &document.environments, findings) && absent(environment) {
                findings
                    .error(
                        environment.span,
                        format!("{} is required in {}, where it does not exist", name.value, environment.value),
                    )
                    .hint("add it to environments as well");
            }
        }
    }
    for (environment, _) in variable.r#in.iter() {
        if known_environment(environment, &document.environments, findings) && absent(environment) {
            findings
                .error(
                    environment.span,
                    format!(
                        "{} does not exist in {}, so nothing can be different there",
                        name.value, environment.value
                    ),
                )
                .hint("add it to environments, or remove this table");
        }
    }
    if variable.class.value == Class::Payment {
        payment(name, variable, document, findings);
        payment_for_tests(name, variable, document, findings);
    }
}

/// Whoever can open a pull request can run code in its environment: nothing there may move money.
fn payment(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    for (environment, _) in document.environments.iter().filter(|(_, table)| table.per.is_some()) {
        if !variable.exists_in(&environment.value) {
            continue;
        }
        let listed = variable
            .environments
            .as_ref()
            .and_then(|listed| listed.iter().find(|name| name.value == environment.value));
        let span = listed.map_or(variable.class.span, |listed| listed.span);
        let others = document.environments.in_order();
        let others: Vec<String> = others
            .iter()
            .filter(|(_, table)| table.per.is_none())
            .map(|(name, _)| format!("\"{}\"", name.value))
            .collect();
        findings
            .error(span, format!("{} is of class payment and must not exist in {}", name.value, environment.value))
            .hint(format!("set environments = [{}]", others.join(", ")));
    }
}

/// On a developer's machine the store keeps a payment key only if it is declared to be one for tests.
fn payment_for_tests(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    let is_local = |name: &crate::EnvName| name.as_str() == LOCAL;
    let Some((local, _)) = document.environments.in_order().into_iter().find(|(name, _)| is_local(&name.value)) else {
        return;
    };
    let is_kept = matches!(
        variable.origin_in(&local.value),
        Some(VariableOrigin::Elsewhere(source)) if source.value == Origin::Store
    );
    if variable.exists_in(&local.value) && is_kept && !variable.rule_in(Some(&local.value)).is_for_tests() {
        findings
            .error(
                variable.class.span,
                format!(
                    "{} is of class payment, and nothing says that its value in {LOCAL} is one for tests",
                    name.value
                ),
            )
            .hint("set match to what the provider's test keys look like, such as \"sk_test_[A-Za-z0-9]+\"");
    }
}

fn origin(name: &At<VarName>, variable: &VariableTable, document: &Document, findings: &mut Findings) {
    let own = variable.r#in.iter().map(|(_, own)| (&own.value, &own.source));
    for (value, source) in std::iter::once((&variable.value, &variable.source)).chain(own) {
        if let (Some(_), Some(source)) = (value, source) {
            findings
                .error(source.span, format!("{} has both a value and a source", name.value))
                .hint("keep one: a value is in the manifest, a source says that it is not");
        }
    }
    let without: Vec<&str> = document
        .environments
        .in_order()
        .into_iter()
        .map(|(environment, _)| &environment.value)
        .filter(|environment| variable.exists_in(environment) && variable.origin_in(environment).is_none())
        .map(crate::EnvName::as_str)
        .collect();
    if !without.is_empty() {
        let place = if without.len() == document.environments.iter().count() {
            String::new()
        } else {
            format!(" in {}", without.join(", "))
        };
        findings
            .absence(name.span, format!("nothing says where the value of {} comes from{place}", name.value))
            .hint("add value = \"…\", or source = \"store\", \"generated\" or \"ci\"");
    }
}

fn example(name: &At<VarName>, variable: &VariableTable, findings: &mut Findings) {
    match &variable.example {
        // A reader, and a scanner for leaked secrets, must see at once that it opens nothing.
        Some(example) if variable.class.is_sensitive() && !example.to_ascii_lowercase().contains("example") => findings
            .error(example.span, format!("the example of {} could be a real secret", name.value))
            .hint("write a plain fake that contains the word \"example\""),
        None if variable.source.as_ref().is_some_and(|source| source.value == Origin::Store) => findings
            .absence(name.span, format!("{} is set by a person, who needs an example of its value", name.value))
            .hint("add example = \"…\""),
        _ => {}
    }
}

fn value(name: &At<VarName>, variable: &VariableTable, text: &At<Text>, document: &Document, findings: &mut Findings) {
    let class = variable.class.value;
    if class.is_sensitive() && !text.facts().any(Fact::is_sensitive) {
        findings
            .error(text.span, format!("{} is {class}, but its value stands in the manifest for everyone to read", name.value))
            .hint("set source = \"store\" or \"generated\" instead of the value, or class = \"internal\" if it opens nothing");
    }
    for fact in text.facts() {
        if fact.is_sensitive() && !class.is_sensitive() {
            findings
                .error(text.span, format!("{} is {class}, but {fact} holds a password", name.value))
                .hint("set class = \"secret\"");
        } else if class == Class::Public && !fact.is_public() {
            findings
                .error(text.span, format!("{} is public, but {fact} is not for visitors", name.value))
                .hint("set class = \"internal\"");
        }
        match fact {
            Fact::Url(app) => {
                known_app(app, text.span, document, findings);
            }
            Fact::Internal(app) => internal_app(app, text.span, document, findings),
            Fact::MongoUrl => needed(ServiceName::MongoDb, variable, text, document, findings),
            Fact::RedisUrl | Fact::RedisPrefix | Fact::RedisSentinels => {
                needed(ServiceName::Redis, variable, text, document, findings)
            }
            Fact::RedisCacheUrl => {
                needed(ServiceName::Redis, variable, text, document, findings);
                has_a_cache(text, document, findings);
            }
            Fact::RedisRestUrl | Fact::RedisRestToken | Fact::RedisRestReadOnlyToken => {
                needed(ServiceName::Redis, variable, text, document, findings);
                has_rest(fact, text, document, findings);
            }
            Fact::MediaUrl if class == Class::Public => {
                has_media(text, document, findings);
            }
            Fact::MediaBucket(bucket) => {
                needed(ServiceName::Media, variable, text, document, findings);
                has_bucket(bucket, text, document, findings);
            }
            Fact::MediaEndpoint
            | Fact::MediaPublicEndpoint
            | Fact::MediaUrl
            | Fact::MediaInternalUrl
            | Fact::MediaAccessKeyId
            | Fact::MediaSecretAccessKey => needed(ServiceName::Media, variable, text, document, findings),
            Fact::ServiceCa => needs_a_store(variable, text, document, findings),
            Fact::ErrorsPublicDsn => needs_a_host(variable, text, document, findings),
            Fact::ErrorsDsn | Fact::EnvironmentName => {}
        }
    }
}

fn has_a_cache(text: &At<Text>, document: &Document, findings: &mut Findings) {
    if document.services.redis.as_ref().is_some_and(|redis| redis.cache.is_none()) {
        findings
            .error(text.span, format!("{} is of a cache that Redis does not have", Fact::RedisCacheUrl))
            .hint("add cache = { memory = \"32 MiB\" } to [services.redis]");
    }
}

fn has_rest(fact: &Fact, text: &At<Text>, document: &Document, findings: &mut Findings) {
    if document.services.redis.as_ref().is_some_and(|redis| !redis.rest.value) {
        findings
            .error(text.span, format!("{fact} is of a gateway that Redis does not have"))
            .hint("add rest = true to [services.redis]");
    }
}

/// Whose pages show pictures need not talk to the storage.
fn has_media(text: &At<Text>, document: &Document, findings: &mut Findings) {
    if document.services.media.is_none() {
        findings
            .error(text.span, format!("{} is of object storage, and there is none", Fact::MediaUrl))
            .hint("add a bucket: [services.media.buckets.NAME]");
    }
}

fn has_bucket(bucket: &BucketName, text: &At<Text>, document: &Document, findings: &mut Findings) {
    let Some(media) = &document.services.media else { return };
    if media.buckets.get(bucket).is_none() {
        let known: Vec<&str> = media.buckets.in_order().iter().map(|(name, _)| name.as_str()).collect();
        findings.error(text.span, format!("there is no bucket \"{bucket}\"")).hint(format!(
            "the buckets are: {}; another is one more table, [services.media.buckets.{bucket}]",
            known.join(", ")
        ));
    }
}

/// Pages report by the host that they come from.
fn needs_a_host(variable: &VariableTable, text: &At<Text>, document: &Document, findings: &mut Findings) {
    for app in &variable.apps.value {
        if document.apps.get(&app.value).is_some_and(|table| table.hosts.is_empty()) {
            findings
                .error(text.span, format!("pages of \"{}\" report errors by its host, but it has none", app.value))
                .hint(format!("add hosts to [apps.{}], or take the app off the variable", app.value));
        }
    }
}

/// Only who talks to a data service has to know whom to trust there.
fn needs_a_store(variable: &VariableTable, text: &At<Text>, document: &Document, findings: &mut Findings) {
    for app in &variable.apps.value {
        let Some(table) = document.apps.get(&app.value) else { continue };
        let is_store = |service| matches!(service, ServiceName::MongoDb | ServiceName::Redis);
        if !table.needs.iter().any(|need| need.service().is_some_and(is_store)) {
            findings
                .error(text.span, format!("\"{}\" is told whom data services are signed by, but needs none", app.value))
                .hint(format!("add one to needs of [apps.{}], or take the app off the variable", app.value));
        }
    }
}

/// Data services speak TLS alone, by an authority of the environment's own: who has an address and not that cannot connect.
fn whom_to_trust(
    name: &At<VarName>,
    text: &At<Text>,
    variable: &VariableTable,
    document: &Document,
    findings: &mut Findings,
) {
    let Some(address) = text.facts().find(|fact| fact.opens_a_service()) else { return };
    let services = &document.services;
    let is_ours = match address {
        Fact::MongoUrl => services.mongodb.as_ref().is_some_and(|table| table.driver.value == Driver::Process),
        _ => services.redis.as_ref().is_some_and(|table| table.driver.value == Driver::Process),
    };
    let tells = |variable: &VariableTable, app: &AppName| {
        let own = variable.r#in.iter().filter_map(|(_, own)| own.value.as_ref());
        let mut texts = variable.value.iter().chain(own);
        variable.apps.value.iter().any(|one| one.value == *app)
            && texts.any(|text| text.facts().any(|fact| *fact == Fact::ServiceCa))
    };
    for app in variable.apps.value.iter().filter(|_| is_ours) {
        if !document.variables.iter().any(|(_, variable)| tells(variable, &app.value)) {
            findings
                .warning(text.span, format!("\"{}\" gets {}, and nothing says whom it can trust there", app.value, name.value))
                .hint("add a variable with value = \"${service.ca}\" and deliver = \"file\": data services speak TLS alone");
        }
    }
}

/// An app has credentials for a service only if it says that it needs it.
fn needed(
    service: ServiceName,
    variable: &VariableTable,
    text: &At<Text>,
    document: &Document,
    findings: &mut Findings,
) {
    for app in &variable.apps.value {
        let Some(table) = document.apps.get(&app.value) else { continue };
        if !table.needs.iter().any(|need| need.service() == Some(service)) {
            findings
                .error(text.span, format!("\"{}\" receives an address of {service}, but does not need it", app.value))
                .hint(format!("add \"{service}\" to needs of [apps.{}], or take the app off the variable", app.value));
        }
    }
}
