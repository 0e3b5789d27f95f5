//! How values are rotated: that the kind fits where the value comes from, and that its times and commands make sense.

use std::time::Duration;

use crate::environment::Fact;
use crate::findings::Findings;
use crate::id::VarName;
use crate::rotation::{RotateTable, RotationKind, RotationTable};
use crate::scalars::Age;
use crate::source::At;
use crate::value::ValueType;
use crate::variable_tables::{Origin, VariableTable};

pub(super) fn check(name: &At<VarName>, variable: &VariableTable, schedule: &RotationTable, findings: &mut Findings) {
    let is_key = variable.r#type.value == ValueType::Jwk;
    if is_key && !comes_from(variable, Origin::Generated) {
        findings
            .error(variable.r#type.span, format!("{} is a signing key, which Roadbed makes itself", name.value))
            .hint("set source = \"generated\"");
    }
    let Some(rotate) = &variable.rotate else { return };
    if !variable.class.value.is_sensitive() {
        findings
            .error(rotate.span, format!("{} is {}: there is nothing to rotate", name.value, variable.class.value))
            .hint("remove rotate, or set class = \"secret\"");
        return;
    }
    if let Some(kind) = &rotate.kind
        && let Some(wants) = misfit(kind.value, variable)
    {
        findings
            .error(kind.span, format!("{} cannot be rotated as {}: that wants {wants}", name.value, kind.value))
            .hint("change the kind, or leave it out: then it follows from where the value comes from");
    }
    if is_key && let Some(kind) = rotate.kind.as_ref().filter(|kind| kind.value != RotationKind::Jwks) {
        findings
            .error(kind.span, format!("{} is a signing key, whose kind is jwks", name.value))
            .hint("set kind = \"jwks\", or leave it out");
    }
    times(name, variable, rotate, schedule.age(variable.class.value), findings);
    commands(name, rotate, findings);
}

/// What a kind wants of a variable that does not have it.
fn misfit(kind: RotationKind, variable: &VariableTable) -> Option<&'static str> {
    let names = |fact: &Fact| variable.value.iter().any(|text| text.facts().any(|named| named == fact));
    match kind {
        RotationKind::MongoAb if !names(&Fact::MongoUrl) => Some("a value with ${service.mongodb.url}"),
        RotationKind::RedisDual
            if [Fact::RedisUrl, Fact::RedisCacheUrl, Fact::RedisRestToken, Fact::RedisRestReadOnlyToken]
                .iter()
                .all(|fact| !names(fact)) =>
        {
            Some("a value with ${service.redis.url}")
        }
        RotationKind::MediaDual if !names(&Fact::MediaSecretAccessKey) => {
            Some("a value with ${service.media.secret_access_key}")
        }
        RotationKind::ErrorsDual if !names(&Fact::ErrorsDsn) => Some("a value with ${errors.dsn}"),
        RotationKind::Jwks if variable.r#type.value != ValueType::Jwk => Some("type = \"jwk\""),
        RotationKind::Keyring if !comes_from(variable, Origin::Generated) => Some("source = \"generated\""),
        RotationKind::WebhookList if variable.source.is_none() => Some("source = \"store\" or \"generated\""),
        RotationKind::ProviderDual if !comes_from(variable, Origin::Store) => Some("source = \"store\""),
        _ => None,
    }
}

fn comes_from(variable: &VariableTable, origin: Origin) -> bool {
    variable.source.as_ref().is_some_and(|source| source.value == origin)
}

fn times(
    name: &At<VarName>,
    variable: &VariableTable,
    rotate: &RotateTable,
    of_class: Duration,
    findings: &mut Findings,
) {
    let every = rotate.every.as_ref().map_or(of_class, |every| every.0);
    let longer = |age: &Option<At<Age>>, than: Duration| age.as_ref().is_some_and(|age| age.0 >= than);
    if let Some(overlap) = rotate.overlap.as_ref().filter(|_| longer(&rotate.overlap, every)) {
        findings
            .error(overlap.span, format!("{} would be due again before its old value is retired", name.value))
            .hint("make overlap shorter than every");
    }
    let kind = rotate.kind.as_ref().map(|kind| kind.value);
    if let Some(max_age) = &rotate.max_age
        && (kind.is_some_and(|kind| kind != RotationKind::Jwks) || variable.r#type.value != ValueType::Jwk)
    {
        findings
            .error(max_age.span, format!("{} has no key set, so nobody keeps one", name.value))
            .hint("remove max_age: it belongs to kind = \"jwks\"");
    }
}

fn commands(name: &At<VarName>, rotate: &RotateTable, findings: &mut Findings) {
    let kind = rotate.kind.as_ref().map_or(RotationKind::Manual, |kind| kind.value);
    let is_provider = kind == RotationKind::ProviderDual;
    if is_provider && rotate.create.is_none() {
        let span = rotate.kind.as_ref().map_or(name.span, |kind| kind.span);
        findings
            .absence(span, format!("nothing says how the provider makes the next {}", name.value))
            .hint("add create = [\"…\"], a command that writes the new value to its standard output");
    }
    let may_create = is_provider || kind == RotationKind::WebhookList;
    let useless = [(&rotate.create, may_create, "create"), (&rotate.revoke, is_provider, "revoke")];
    for (command, _, key) in useless.into_iter().filter(|(_, may, _)| !may) {
        if let Some(command) = command {
            findings
                .error(command.span, format!("{} is rotated as {kind}, which runs no command", name.value))
                .hint(format!("remove {key}, or set kind = \"provider-dual\""));
        }
    }
}
