//! `roadbed env types`: a TypeScript module by which an app reads its variables, typed and checked, without a dependency.
//!
//! Roadbed checks values before a process starts. The module checks them again where they are used, so that an app that is
//! started by hand, in a test or in a container fails as early and as clearly. Its rules are those of `value`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::Manifest;
use crate::environment::{Delivery, Reach};
use crate::id::{AppName, EnvName};
use crate::source::At;
use crate::tables::{AppTable, Kind};
use crate::value::{Rule, ValueType};
use crate::variable_tables::VariableTable;

/// What Roadbed gives a server beside its variables, and an app's code reads: name, type, what it is. Frameworks read the rest
/// of `environment::GIVEN` themselves.
const GIVEN_TO_SERVERS: [(&str, ValueType, &str); 8] = [
    ("HOST", ValueType::Host, "Address to listen on"),
    ("PORT", ValueType::Port, "Port to listen on"),
    ENVIRONMENT,
    RELEASE,
    ("ROADBED_INSTANCE", ValueType::String, "Name of this instance, for example api-1"),
    ("ROADBED_KEEP_ALIVE_MS", ValueType::Int, "How long to keep an idle connection open, in milliseconds"),
    ("ROADBED_DRAIN_MS", ValueType::Int, "Longest graceful stop after SIGTERM, in milliseconds"),
    ("PUBLIC_URL", ValueType::Url, "This app's public address"),
];
const GIVEN_TO_PAGES: [(&str, ValueType, &str); 2] = [ENVIRONMENT, RELEASE];
const ENVIRONMENT: (&str, ValueType, &str) = ("ROADBED_ENVIRONMENT", ValueType::Enum, "Name of the environment");
const RELEASE: (&str, ValueType, &str) = ("ROADBED_RELEASE", ValueType::String, "Id of the release");

/// The module of one app; `None` if there is no such app.
pub fn accessor(manifest: &Manifest, app: &AppName) -> Option<String> {
    let table = manifest.document.apps.get(app)?;
    Some(Module::of(manifest, app, table).text())
}

/// One property of `Environment`.
struct Property {
    name: String,
    doc: String,
    value_type: ValueType,
    choices: Vec<String>,
    /// What the whole value matches: everywhere, and where an environment says otherwise.
    pattern: Option<String>,
    patterns: Vec<(String, String)>,
    presence: Presence,
    wants: String,
    delivery: Delivery,
}

enum Presence {
    Always,
    Never,
    In(Vec<EnvName>),
}

struct Module {
    app: String,
    is_static: bool,
    properties: Vec<Property>,
}

impl Module {
    fn of(manifest: &Manifest, app: &AppName, table: &AppTable) -> Self {
        let environments: Vec<String> = manifest.environments().iter().map(ToString::to_string).collect();
        let is_static = table.kind == Kind::Static;
        let given: &[(&str, ValueType, &str)] = if is_static { &GIVEN_TO_PAGES } else { &GIVEN_TO_SERVERS };
        let given = given.iter().map(|(name, value_type, doc)| {
            let choices = if *value_type == ValueType::Enum { environments.clone() } else { Vec::new() };
            Property::plain(name, doc, Rule { value_type: *value_type, choices, pattern: None })
        });
        let received = |(_, variable): &(&At<crate::VarName>, &VariableTable)| {
            let reads = variable.apps.iter().any(|name| &name.value == app) && variable.phase.value.is_at_run_time();
            reads && (!is_static || variable.reach_in(&manifest.document) == Reach::Client)
        };
        let variables = manifest.document.variables.in_order().into_iter().filter(received);
        let variables = variables.map(|(name, variable)| Property::of(name.value.as_str(), variable, manifest));
        Self { app: app.to_string(), is_static, properties: given.chain(variables).collect() }
    }

    fn text(&self) -> String {
        let app = &self.app;
        let whence = if self.is_static { ", in /config.json" } else { "" };
        let mut text = format!(
            "// Generated from roadbed.toml by `roadbed generate`; edit that.\n\
             // biome-ignore-all format: generated\n\
             // biome-ignore-all lint: generated\n\n\
             /** What \"{app}\" receives from Roadbed{whence}, typed and checked. */\n"
        );
        let has_files = self.properties.iter().any(|property| property.delivery == Delivery::File);
        if has_files {
            text += "import { readFileSync } from \"node:fs\";\n\n";
        }
        text += "export interface Environment {\n";
        for property in &self.properties {
            let optional = if matches!(property.presence, Presence::Always) { "" } else { " | undefined" };
            let _ = writeln!(text, "  /** {} */", property.doc.replace("*/", "* /"));
            let _ = writeln!(text, "  readonly {}: {}{optional};", property.name, property.typescript());
        }
        text += "}\n\n";
        if !self.is_static {
            text += EXIT_CONFIGURATION;
        }
        text += ERROR;
        text += if self.is_static { READ_CONFIG } else { READ_ENVIRONMENT };
        if has_files {
            text += FILE;
        }
        text += OPTIONAL;
        let required = self.properties.iter().any(|property| matches!(property.presence, Presence::Always));
        if required {
            text += REQUIRED;
        }
        if self.properties.iter().any(|property| matches!(property.presence, Presence::In(_))) {
            text += REQUIRED_IN;
        }
        text += "\n  const environment: Environment = {\n";
        for property in &self.properties {
            let _ = writeln!(text, "    {}: {},", property.name, property.reading());
        }
        text += "  };\n  if (faults.length > 0) throw new EnvironmentError(faults);\n  return environment;\n}\n";
        for parser in self.properties.iter().flat_map(Property::parsers).collect::<BTreeSet<_>>() {
            text.push('\n');
            text += parser;
        }
        text
    }
}

impl Property {
    fn plain(name: &str, doc: &str, rule: Rule) -> Self {
        Self {
            name: name.to_owned(),
            doc: doc.to_owned(),
            value_type: rule.value_type,
            wants: rule.wants(),
            choices: rule.choices,
            pattern: None,
            patterns: Vec::new(),
            presence: Presence::Always,
            delivery: Delivery::Env,
        }
    }

    fn of(name: &str, variable: &VariableTable, manifest: &Manifest) -> Self {
        let all = manifest.environments();
        let required: Vec<EnvName> =
            all.iter().filter(|name| variable.exists_in(name) && variable.required.holds_in(name)).cloned().collect();
        let own = variable.r#in.iter().filter_map(|(name, own)| {
            own.r#match.as_ref().map(|pattern| (name.value.to_string(), pattern.as_str().to_owned()))
        });
        Self {
            pattern: variable.r#match.as_ref().map(|pattern| pattern.as_str().to_owned()),
            patterns: own.collect(),
            presence: match required.len() {
                0 => Presence::Never,
                some if some == all.len() => Presence::Always,
                _ => Presence::In(required),
            },
            delivery: variable.deliver.value,
            ..Self::plain(name, &variable.description, variable.rule_in(None))
        }
    }

    fn typescript(&self) -> String {
        match self.value_type {
            ValueType::Int | ValueType::Port | ValueType::Duration | ValueType::Bytes => "number".to_owned(),
            ValueType::Bool => "boolean".to_owned(),
            ValueType::Json => "unknown".to_owned(),
            ValueType::Enum => self.choices.iter().map(|choice| literal(choice)).collect::<Vec<_>>().join(" | "),
            _ => "string".to_owned(),
        }
    }

    /// The expression that reads it.
    fn reading(&self) -> String {
        let name = literal(&self.name);
        let mut parse = match self.value_type {
            ValueType::Enum => {
                let choices: Vec<String> = self.choices.iter().map(|choice| literal(choice)).collect();
                format!("oneOf([{}])", choices.join(", "))
            }
            other => parser(other).0.to_owned(),
        };
        let mut wants = format!("be {}", self.wants);
        let everywhere = self.pattern.as_deref().map(regular_expression);
        if self.patterns.is_empty() {
            if let Some(pattern) = everywhere {
                wants = self.wants_match(&wants, self.pattern.as_deref().unwrap_or_default());
                parse = format!("matching({pattern}, {parse})");
            }
        } else {
            let own: Vec<String> =
                self.patterns.iter().map(|(name, text)| format!("{name}: {}", regular_expression(text))).collect();
            wants = format!("{wants} of the form that this environment wants");
            let everywhere = everywhere.unwrap_or_else(|| "undefined".to_owned());
            parse = format!("matchingIn({{ {} }}, {everywhere}, source.ROADBED_ENVIRONMENT, {parse})", own.join(", "));
        }
        let text = match self.delivery {
            Delivery::Env => format!("source.{}", self.name),
            Delivery::File => format!("file({name})"),
        };
        let wants = literal(&wants);
        match &self.presence {
            Presence::Always => format!("required({name}, {text}, {wants}, {parse})"),
            Presence::Never => format!("optional({name}, {text}, {wants}, {parse})"),
            Presence::In(environments) => {
                let names: Vec<String> = environments.iter().map(|name| literal(name.as_str())).collect();
                format!("requiredIn([{}], {name}, {text}, {wants}, {parse})", names.join(", "))
            }
        }
    }

    fn wants_match(&self, wants: &str, pattern: &str) -> String {
        match self.value_type {
            ValueType::String => format!("match {pattern}"),
            _ => format!("{wants} and match {pattern}"),
        }
    }

    /// The functions that its reading names.
    fn parsers(&self) -> Vec<&'static str> {
        let mut parsers = vec![parser(self.value_type).1];
        if !self.patterns.is_empty() {
            parsers.extend([MATCHING_IN, MATCHING]);
        } else if self.pattern.is_some() {
            parsers.push(MATCHING);
        }
        if self.value_type == ValueType::Port {
            parsers.push(INTEGER);
        }
        parsers
    }
}

/// A text as TypeScript writes it.
fn literal(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

fn regular_expression(pattern: &str) -> String {
    format!("/^(?:{})$/u", pattern.replace("\\/", "/").replace('/', "\\/"))
}

/// Name and text of the function that reads a type. It answers `undefined` for what is not such a value.
fn parser(value_type: ValueType) -> (&'static str, &'static str) {
    match value_type {
        ValueType::String => ("anyText", "const anyText = (text: string): string => text;\n"),
        ValueType::Int => ("integer", INTEGER),
        ValueType::Port => (
            "port",
            "function port(text: string): number | undefined {\n  const number = integer(text);\n  return number !== undefined && number >= 1 && number <= 65_535 ? number : undefined;\n}\n",
        ),
        ValueType::Bool => (
            "boolean",
            "function boolean(text: string): boolean | undefined {\n  return text === \"true\" ? true : text === \"false\" ? false : undefined;\n}\n",
        ),
        ValueType::Url => (
            "url",
            "function url(text: string): string | undefined {\n  return URL.canParse(text) && new URL(text).host !== \"\" ? text : undefined;\n}\n",
        ),
        ValueType::Host => (
            "host",
            "/** A host name, or an address of IPv4 or IPv6. */\nfunction host(text: string): string | undefined {\n  const name = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/iu;\n  return name.test(text) || (text.includes(\":\") && URL.canParse(`http://[${text}]/`)) ? text : undefined;\n}\n",
        ),
        ValueType::Enum => (
            "oneOf",
            "function oneOf<const Choice extends string>(choices: readonly Choice[]): (text: string) => Choice | undefined {\n  return (text) => choices.find((choice) => choice === text);\n}\n",
        ),
        ValueType::Json => (
            "json",
            "function json(text: string): unknown {\n  try {\n    return JSON.parse(text);\n  } catch {\n    return undefined;\n  }\n}\n",
        ),
        ValueType::Duration => (
            "duration",
            "/** In milliseconds. */\nfunction duration(text: string): number | undefined {\n  const [, number, unit = \"\"] = /^([1-9][0-9]*)(ms|s|m|h)$/u.exec(text) ?? [];\n  const milliseconds = Number(number) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? Number.NaN);\n  return milliseconds <= 86_400_000 ? milliseconds : undefined;\n}\n",
        ),
        ValueType::Bytes => (
            "bytes",
            "function bytes(text: string): number | undefined {\n  const [, number, unit = \"\"] = /^([1-9][0-9]*) (KiB|MiB|GiB|TiB)$/u.exec(text) ?? [];\n  const size = Number(number) * ({ KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }[unit] ?? Number.NaN);\n  return size <= 2 ** 50 ? size : undefined;\n}\n",
        ),
        ValueType::Pem => (
            "pem",
            "function pem(text: string): string | undefined {\n  return /^-----BEGIN ([A-Z0-9 ]+)-----\\r?\\n[A-Za-z0-9+/=\\s]+-----END \\1-----/mu.test(text) ? text : undefined;\n}\n",
        ),
        ValueType::Jwk => (
            "jwk",
            "/** A private key as RFC 8037 writes it, and the name of its public half. */\nfunction jwk(text: string): string | undefined {\n  try {\n    const { kty, crv, kid, x, d } = JSON.parse(text) as Record<string, unknown>;\n    const points = [x, d].every((point) => typeof point === \"string\" && /^[A-Za-z0-9_-]{43}$/u.test(point));\n    return kty === \"OKP\" && crv === \"Ed25519\" && typeof kid === \"string\" && kid !== \"\" && points ? text : undefined;\n  } catch {\n    return undefined;\n  }\n}\n",
        ),
        ValueType::Email => (
            "email",
            "function email(text: string): string | undefined {\n  return /^[^\\s@<>()[\\],;:\\\\\"]{1,64}@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/iu.test(text) ? text : undefined;\n}\n",
        ),
        ValueType::MongoUrl => (
            "mongoUrl",
            "/** Without a database in the path drivers silently pick \"test\". */\nfunction mongoUrl(text: string): string | undefined {\n  return /^mongodb(\\+srv)?:\\/\\/[^/\\s]+\\/[^/?\\s]+(\\?\\S*)?$/u.test(text) ? text : undefined;\n}\n",
        ),
        ValueType::RedisUrl => (
            "redisUrl",
            "function redisUrl(text: string): string | undefined {\n  return /^rediss?:\\/\\/[^/\\s]+/u.test(text) && URL.canParse(text) ? text : undefined;\n}\n",
        ),
    }
}

const INTEGER: &str = "function integer(text: string): number | undefined {\n  const number = Number(text);\n  return Number.isSafeInteger(number) && String(number) === text ? number : undefined;\n}\n";

const MATCHING: &str = "function matching<T>(pattern: RegExp, parse: (text: string) => T | undefined): (text: string) => T | undefined {\n  return (text) => (pattern.test(text) ? parse(text) : undefined);\n}\n";

const MATCHING_IN: &str = "/** Environments may want more of a value than others. */\nfunction matchingIn<T>(\n  own: Partial<Record<string, RegExp>>,\n  everywhere: RegExp | undefined,\n  environment: string | undefined,\n  parse: (text: string) => T | undefined,\n): (text: string) => T | undefined {\n  return matching(own[environment ?? \"\"] ?? everywhere ?? /^/u, parse);\n}\n";

const EXIT_CONFIGURATION: &str = "/** What sysexits.h calls EX_CONFIG: a restart will not help, so a supervisor must not try. */\nexport const EXIT_CONFIGURATION = 78;\n\n";

const ERROR: &str = "export class EnvironmentError extends Error {
  readonly faults: string[];

  constructor(faults: string[]) {
    super(`the environment has ${faults.length} fault${faults.length === 1 ? \"\" : \"s\"}`);
    this.name = \"EnvironmentError\";
    this.faults = faults;
  }
}

/** Reports every fault at once: an operator who mends one variable per restart loses an evening. No value is ever quoted. */
";

const READ_ENVIRONMENT: &str =
    "export function readEnvironment(source: Record<string, string | undefined> = process.env): Environment {
  const faults: string[] = [];

";

const READ_CONFIG: &str = "export function readEnvironment(json: unknown): Environment {
  const faults: string[] = [];
  const source = (typeof json === \"object\" && json !== null ? json : {}) as Record<string, string | undefined>;

";

const FILE: &str = "  /** The file is in memory and this process's alone. */
  const file = (name: string): string | undefined => {
    const path = source[`${name}_FILE`];
    try {
      return path ? readFileSync(path, \"utf8\") : source[name];
    } catch {
      faults.push(`${name}_FILE cannot be read`);
      return undefined;
    }
  };

";

const OPTIONAL: &str = "  type Parse<T> = (text: string) => T | undefined;
  const optional = <T>(name: string, text: string | undefined, wants: string, parse: Parse<T>): T | undefined => {
    // An empty text is not set.
    const value = text ? parse(text) : undefined;
    if (text && value === undefined) faults.push(`${name} must ${wants}`);
    return value;
  };
";

const REQUIRED: &str =
    "  const required = <T>(name: string, text: string | undefined, wants: string, parse: Parse<T>): T => {
    if (!text) faults.push(`${name} is not set`);
    return optional(name, text, wants, parse) as T;
  };
";

const REQUIRED_IN: &str = "  const requiredIn = <T>(environments: string[], name: string, text: string | undefined, wants: string, parse: Parse<T>) => {
    if (!text && environments.includes(source.ROADBED_ENVIRONMENT ?? \"\")) faults.push(`${name} is not set`);
    return optional(name, text, wants, parse);
  };
";
