//! Apps: what they need, where they lie, what their kind allows.

use std::collections::HashMap;

use super::{cache, known_app, known_environment, known_owner};
use crate::findings::Findings;
use crate::id::AppName;
use crate::source::{At, Span};
use crate::tables::{AppTable, Document, Kind, NeedText, SERVICES};

/// Names of Roadbed's own processes; an app's instances stand in one list with them.
const RESERVED: [&str; 5] = ["keeper", "control", "edge", "telemetry", "roadbed"];

/// An instance is `NAME-3`, its internal listener `NAME-internal`, and both are names of at most 31 characters.
const LONGEST_NAME: usize = 31 - "-internal".len();

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let mut folders: HashMap<&str, &AppName> = HashMap::new();
    for (name, app) in document.apps.in_order() {
        app_name(name, document, findings);
        known_owner(&app.owner, document, findings);
        for (environment, _) in app.r#in.iter() {
            known_environment(environment, &document.environments, findings);
        }
        if let Some(first) = folders.insert(&app.path.0, &name.value) {
            findings
                .error(app.path.span, format!("\"{}\" lies in the folder of \"{first}\"", name.value))
                .hint("give each app a folder of its own");
        }
        needs(name, app, document, findings);
        smoke(app, findings);
        migrations(app, findings);
        match app.kind {
            Kind::Static => no_server(name, app, findings),
            Kind::Next | Kind::Node => server(name, app, findings),
        }
    }
    cycles(document, findings);
}

fn app_name(name: &At<AppName>, document: &Document, findings: &mut Findings) {
    let text = name.as_str();
    let is_service = SERVICES.iter().any(|service| service.as_str() == text);
    if is_service || RESERVED.contains(&text) {
        findings
            .error(name.span, format!("an app cannot be named \"{text}\": a process of Roadbed has that name"))
            .hint("give it another name");
    }
    if text.len() > LONGEST_NAME {
        findings
            .error(name.span, format!("the app's name \"{text}\" is longer than {LONGEST_NAME} characters"))
            .hint("instances and listeners are named after it, so it must leave them room");
    }
    if let Some((other, suffix)) = text.rsplit_once('-')
        && (suffix == "internal" || suffix.bytes().all(|byte| byte.is_ascii_digit()))
        && AppName::new(other).is_ok_and(|other| document.apps.has(&other))
    {
        findings
            .error(name.span, format!("the app \"{text}\" would be taken for a part of the app \"{other}\""))
            .hint("give it another name");
    }
}

fn needs(name: &At<AppName>, app: &AppTable, document: &Document, findings: &mut Findings) {
    for (at, need) in app.needs.iter().enumerate() {
        if app.needs[..at].iter().any(|earlier| earlier.value == need.value) {
            findings.error(need.span, format!("\"{}\" stands twice in this list", need.0)).hint("remove one");
        }
        match need.service() {
            Some(service) if !document.services.declares(service) => findings
                .absence(need.span, format!("\"{}\" needs {service}, which the manifest does not declare", name.value))
                .hint(format!("add the table [services.{service}]")),
            Some(_) => {}
            None if document.apps.has(&need.0) => {}
            None => {
                let apps = document.apps.in_order();
                let services = SERVICES.iter().map(|service| service.as_str());
                let candidates = apps.iter().map(|(name, _)| name.as_str()).chain(services);
                findings.absence(need.span, format!("there is no app or service \"{}\"", need.0)).did_you_mean(
                    need.0.as_str(),
                    candidates,
                    "there are",
                );
            }
        }
    }
}

/// What is only seen in a browser needs one.
fn smoke(app: &AppTable, findings: &mut Findings) {
    let asks = app.client_ca.is_some() || app.r#in.iter().any(|(_, own)| own.client_ca.is_some());
    for page in app.smoke.iter().filter(|page| page.render.value && asks) {
        findings
            .error(page.render.span, format!("no browser of ours has a certificate to show for {}", page.path.0))
            .hint("leave render out: pages of an app with client_ca are looked at without a browser");
    }
    for page in app.smoke.iter().filter(|page| !page.render.value) {
        let of_browsers = [("text", &page.text), ("elements", &page.elements), ("ignore_errors", &page.ignore_errors)];
        for (key, first) in of_browsers.iter().filter_map(|(key, all)| Some((key, all.first()?))) {
            findings
                .error(
                    first.span,
                    format!("\"{key}\" of {} is only seen in a browser, and it is not rendered", page.path.0),
                )
                .hint("add render = true; what the answer itself must have is `contains`");
        }
    }
}

/// What was run is known by its name.
fn migrations(app: &AppTable, findings: &mut Findings) {
    for (at, migration) in app.migrations.iter().enumerate() {
        if app.migrations[..at].iter().any(|earlier| earlier.name.value == migration.name.value) {
            findings
                .error(migration.name.span, format!("\"{}\" is the name of two migrations", migration.name.as_str()))
                .hint("what was run is known by its name: give the later one another");
        }
    }
}

fn server(name: &At<AppName>, app: &AppTable, findings: &mut Findings) {
    memory(app, findings);
    cache::check(name, app, findings);
    scale(app, findings);
    if app.kind == Kind::Node && app.start.is_none() {
        findings
            .absence(name.span, format!("\"{}\" does not say how its server is started", name.value))
            .hint("add, for example, start = [\"node\", \"dist/server.js\"]");
    }
    if let Some(fallback) = &app.spa_fallback {
        findings
            .error(fallback.span, format!("\"{}\" is a server: it answers every path itself", name.value))
            .hint("remove spa_fallback, or set kind = \"static\"");
    }
}

/// A number of instances is fixed or it is not.
fn scale(app: &AppTable, findings: &mut Findings) {
    let own = app.r#in.iter().map(|(_, own)| (own.replicas.as_ref(), own.scale.as_ref()));
    for (replicas, scale) in std::iter::once((app.replicas.as_ref(), app.scale.as_ref())).chain(own) {
        let Some(scale) = scale else { continue };
        if let Some(replicas) = replicas {
            findings
                .error(replicas.span, "replicas and scale cannot both say how many instances there are")
                .hint("remove replicas, or scale");
        }
        let (min, max) = (&scale.value.min, &scale.value.max);
        if min.value.0 > max.value.0 {
            findings
                .error(min.span, format!("min is {}, and max is {}", min.value.0, max.value.0))
                .hint("min is how many instances there are when nobody comes; lower it, or raise max");
        }
    }
}

/// A heap may grow to its limit only if the process may be larger than that.
fn memory(app: &AppTable, findings: &mut Findings) {
    let general = app.limits.as_ref().map(|limits| &limits.value);
    let own = app.r#in.iter().map(|(_, own)| own.limits.as_ref().map(|limits| &limits.value));
    let own = own.filter(Option::is_some);
    for own in std::iter::once(None).chain(own) {
        let heap = own.and_then(|own| own.memory).or_else(|| general?.memory);
        let all = own.and_then(|own| own.memory_max.as_ref()).or_else(|| general?.memory_max.as_ref());
        // What an environment only inherits is told where it stands.
        let is_new = own.is_none_or(|own| own.memory.is_some() || own.memory_max.is_some());
        if let (Some(heap), Some(all), true) = (heap, all, is_new)
            && all.value.0 <= heap.0
        {
            findings
                .error(
                    all.span,
                    "memory_max is all memory of an instance, and must be above the heap that memory allows",
                )
                .hint("Node needs about 128 MiB beside its heap, and more for what it buffers");
        }
    }
}

fn no_server(name: &At<AppName>, app: &AppTable, findings: &mut Findings) {
    let overrides = app.r#in.iter().flat_map(|(_, own)| {
        [
            ("replicas", own.replicas.as_ref().map(|at| at.span)),
            ("scale", own.scale.as_ref().map(|at| at.span)),
            ("limits", own.limits.as_ref().map(|at| at.span)),
        ]
    });
    let server_keys = [
        ("start", app.start.as_ref().map(|at| at.span)),
        ("health", app.health.as_ref().map(|at| at.span)),
        ("ready", app.ready.as_ref().map(|at| at.span)),
        ("replicas", app.replicas.as_ref().map(|at| at.span)),
        ("scale", app.scale.as_ref().map(|at| at.span)),
        ("internal", app.internal.as_ref().map(|at| at.span)),
        ("max_body", app.max_body.as_ref().map(|at| at.span)),
        ("cache", app.cache.as_ref().map(|at| at.span)),
        ("protocol", app.protocol.as_ref().map(|at| at.span)),
        ("deadlines", app.deadlines.as_ref().map(|at| at.span)),
        ("limits", app.limits.as_ref().map(|at| at.span)),
        ("migrations", app.migrations.first().map(|migration| migration.name.span)),
    ];
    for (key, span) in server_keys.into_iter().chain(overrides) {
        if let Some(span) = span {
            findings
                .error(span, format!("\"{}\" is static and has no process: {key} has no meaning", name.value))
                .hint(format!("remove {key}, or set kind = \"node\""));
        }
    }
}

/// Tells each cycle of needs once, at the need that closes it.
fn cycles(document: &Document, findings: &mut Findings) {
    // Apps that can be started, one after another; what is left over waits for itself.
    let mut left: Vec<(&AppName, Vec<&At<NeedText>>)> = document
        .apps
        .in_order()
        .into_iter()
        .map(|(name, app)| (&name.value, app.needs.iter().filter(|need| document.apps.has(&need.0)).collect()))
        .collect();
    loop {
        let waiting: Vec<&AppName> = left.iter().map(|(name, _)| *name).collect();
        let before = left.len();
        left.retain(|(_, needs)| needs.iter().any(|need| waiting.contains(&&need.0)));
        if left.len() == before {
            break;
        }
    }
    while let Some((start, _)) = left.first() {
        let mut path: Vec<&AppName> = vec![start];
        // Each that is left needs one that is left, so this walk comes back to where it was.
        let closing = loop {
            let last = path[path.len() - 1];
            let next = left
                .iter()
                .find(|(name, _)| *name == last)
                .and_then(|(_, needs)| needs.iter().find(|need| left.iter().any(|(name, _)| *name == &need.0)));
            let Some(next) = next else { break None };
            if let Some(at) = path.iter().position(|name| *name == &next.0) {
                path.drain(..at);
                break Some(next.span);
            }
            path.push(&next.0);
        };
        let cycle = path.clone();
        if let Some(span) = closing {
            tell_cycle(span, &cycle, findings);
        }
        left.retain(|(name, _)| !cycle.contains(name));
    }
}

fn tell_cycle(span: Span, cycle: &[&AppName], findings: &mut Findings) {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|name| name.as_str()).collect();
    let message = match cycle {
        [one] => format!("\"{one}\" needs itself"),
        _ => format!("these apps wait for each other: {}", names.join(" -> ")),
    };
    findings.error(span, message).hint("remove one need; apps may still call each other through ${internal.NAME}");
}

pub(super) fn internal_app(name: &AppName, span: Span, document: &Document, findings: &mut Findings) {
    if known_app(name, span, document, findings)
        && !document.apps.get(name).and_then(|app| app.internal.as_ref()).is_some_and(|internal| internal.value)
    {
        findings
            .error(span, format!("\"{name}\" has no internal address"))
            .hint(format!("add internal = true to [apps.{name}], or use ${{url.{name}}}"));
    }
}
