//! Limits that would limit nothing, or the wrong ones.

use super::known_app;
use crate::findings::Findings;
use crate::rate_limit::RateLimitKey;
use crate::tables::Document;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut seen: Vec<(String, &'static str)> = Vec::new();
    for (class, table) in document.rate_limits.classes() {
        match (class, table.routes.is_empty()) {
            ("default", false) => {
                findings
                    .error(table.routes[0].path.span, "the class default has what no other class has a route for")
                    .hint("leave `routes` out");
            }
            ("default", true) | (_, false) => {}
            (_, true) => {
                findings
                    .error(table.span, format!("the class {class} has no routes, so nothing is of it"))
                    .hint("add routes = [{ app = …, path = … }]");
            }
        }
        for route in &table.routes {
            known_app(&route.app.value, route.app.span, document, findings);
            let methods: Vec<&str> = route.methods.iter().map(|method| method.0.as_str()).collect();
            let written = format!("{} {} {}", route.app.value, methods.join(","), route.path.0);
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == written) {
                findings
                    .error(route.path.span, format!("this route is of the class {other} already"))
                    .hint("a request is of one class: remove one of them");
            }
            seen.push((written, class));
        }
        match (&table.cookie, table.key.value) {
            (None, RateLimitKey::Account) => {
                findings
                    .error(table.key.span, "nobody knows by which cookie an account is told")
                    .hint("add cookie = \"…\", the name of the session's cookie");
            }
            (Some(cookie), key) if key != RateLimitKey::Account => {
                findings
                    .error(cookie.span, format!("a cookie tells nothing where the key is {key}"))
                    .hint("write key = \"account\" beside it");
            }
            _ => {}
        }
        if let Some(failures) = table.failures.as_ref().filter(|_| class != "auth") {
            findings
                .error(failures.span, format!("no logins are of the class {class}"))
                .hint("`failures` belongs to [rate_limits.auth]");
        }
        if let Some(shared) = table.shared.as_ref().filter(|shared| shared.value && document.services.redis.is_none()) {
            findings
                .error(shared.span, "there is no Redis in which edges could count together")
                .hint("add [services.redis], or leave `shared` out");
        }
    }
    stricter_than_the_default(document, findings);
    changes_of_nothing(document, findings);
}

/// What guards accounts and money is worth nothing where anything else is let through less often.
fn stricter_than_the_default(document: &Document, findings: &mut Findings) {
    for (name, _) in document.environments.iter() {
        let limits = document.rate_limits_in(&name.value);
        let Some(default) = limits.iter().find(|limit| limit.class == "default") else { continue };
        for limit in limits.iter().filter(|limit| limit.is_strict() && !limit.is_stricter_than(default)) {
            let table = document.rate_limits.classes().find(|(class, _)| *class == limit.class);
            let Some((class, table)) = table else { continue };
            let environment = &name.value;
            let (rate, burst) = (limit.rate, limit.burst);
            findings
                .error(
                    table.rate.span,
                    format!(
                        "in {environment} the class {class} lets through {rate} and {burst} at once, which is no less than \
                         default"
                    ),
                )
                .hint("lower its rate and its burst, or raise those of [rate_limits.default]");
        }
    }
}

fn changes_of_nothing(document: &Document, findings: &mut Findings) {
    let declared: Vec<&str> = document.rate_limits.classes().map(|(class, _)| class).collect();
    for (_, environment) in document.environments.iter() {
        for class in ["default", "auth", "payment", "admin", "webhook"] {
            if let Some(changed) = environment.rate_limits.of(class).filter(|_| !declared.contains(&class)) {
                findings
                    .error(changed.span, format!("there is no class {class} that could be different here"))
                    .hint(format!("declare [rate_limits.{class}] first"));
            }
        }
    }
}
