//! `docs/infra/environments.md`: what a new developer of an app needs on the first day, from the manifest.

use crate::Manifest;
use crate::diff::mebibytes;
use crate::driver::Driver;
use crate::environment::{Delivery, ServiceName};
use crate::id::EnvName;
use crate::matrix::{Row, matrix};
use crate::naming::Names;
use crate::resolve::driver_of_mongodb;
use crate::tables::{EnvironmentTable, Kind, Per, SERVICES};
use crate::target::EnvRef;

/// The page, with the section of who may do what to whose data.
pub(crate) fn environments_page(manifest: &Manifest, access: &str) -> String {
    let document = &manifest.document;
    let mut page =
        "<!-- Generated from roadbed.toml by `roadbed generate`; edit that. -->\n# Environments\n\n".to_owned();
    page += FIRST_DAY;
    page += &where_it_runs(manifest);
    page += &host_names(manifest);
    page += &names_of_data(manifest);
    page += &members_of_databases(manifest);
    page += &redis_by_environment(manifest);
    page += access;
    page += "\n## Owners\n\nWho answers for an app or a variable, and how to ask.\n\n";
    page += "| owner | answers for | contact |\n| --- | --- | --- |\n";
    for (name, owner) in document.owners.in_order() {
        page += &format!("| {} | {} | {} |\n", name.value, cell(&owner.description), cell(&owner.contact));
    }
    page += &variables(manifest);
    page
}

const FIRST_DAY: &str = "\
Environments share nothing: each has its own processes, keys, ports, databases and secrets. Nothing is set up by hand: all of it
follows from `roadbed.toml`, and `roadbed ready` proves it on the running system.

## The first day

```sh
./setup              # what building needs, once
roadbed up           # the environment `local`: databases, apps, HTTPS; ends with the addresses and the gate
roadbed up --dev APP # as above, with the development server of an app: what you edit shows in the browser
roadbed logs -f      # what everything says
roadbed down         # stops it, keeps the data
```

You need no credentials for `local`: Roadbed makes those of the databases and every `generated` variable. What people must set
(`store`) is asked for by name, with its owner, when an app starts without it:

```sh
roadbed secrets set NAME < file          # read from stdin or a prompt, never an argument
roadbed secrets list                     # which have a value; never the value
```

## Reading a variable

Apps read variables by the module that `types` in their table of the manifest names, never from the process by hand:

```ts
import { readEnvironment } from \"./environment.ts\";
const { LOG_LEVEL } = readEnvironment();
```

It is generated, typed, has no dependencies and reports every fault at once. An app receives its own variables and no others. An
empty text is the same as not set.

## Adding a variable

1. Declare it in `roadbed.toml`: `[variables.NAME]` with description, apps, class, owner, type, and a value or a source.
   What a visitor may see is `public`; what opens something is `secret`, `auth`, `pii` or `payment`, and its value is never in the
   manifest. `payment` does not exist in environments of pull requests, where whoever opens one runs code.
2. `roadbed manifest check` tells every fault at once, then `roadbed generate` writes what follows: this page, the `.env.example`
   files, the accessors.
3. Read it in code; `roadbed env check` finds what is read and not declared, declared and not read, or readable by browsers.
4. For `store`: have its owner set it in each environment that requires it.

`roadbed env matrix` shows who receives what from where, `roadbed env diff staging production` what two environments have
different.

";

fn where_it_runs(manifest: &Manifest) -> String {
    let mut page = "## Where it runs\n\n".to_owned();
    page += "| environment | deployed from | domain | visitors come in on |\n| --- | --- | --- | --- |\n";
    for (name, table) in manifest.document.environments.in_order() {
        page += &format!(
            "| {} | {} | {} | {} |\n",
            name.value,
            deployed_from(manifest, name, table),
            table.domain.of(None),
            ports(table)
        );
    }
    page + "\nNothing but the branch decides where a deploy goes; `roadbed target` tells it for yours.\n"
}

fn host_names(manifest: &Manifest) -> String {
    let document = &manifest.document;
    let mut page =
        "\n## Host names\n\nThe first host of an app is canonical, the others redirect to it.\n\n".to_owned();
    let names: Vec<String> = document.environments.in_order().iter().map(|(name, _)| name.value.to_string()).collect();
    page += &format!("| app | owner | {} |\n|{}\n", names.join(" | "), " --- |".repeat(2 + names.len()));
    for (app, table) in document.apps.in_order() {
        let hosts = document.environments.in_order().into_iter().map(|(_, environment)| {
            table.hosts.iter().map(|host| host.on(&environment.domain.of(None))).collect::<Vec<_>>().join(", ")
        });
        page += &format!("| {} | {} | {} |\n", app.value, table.owner.value, hosts.collect::<Vec<_>>().join(" | "));
    }
    page + "\nBrowsers and curl know names under `.localhost` as this machine; certificates there come from an authority of your \
            own (`roadbed trust`).\n"
}

fn names_of_data(manifest: &Manifest) -> String {
    let document = &manifest.document;
    let product = &document.product.name;
    let mut page = "\n## Names of data\n\n".to_owned();
    page +=
        "ENV is the name of the environment; a pull request's is `preview-pr-42`.\n\n| what | name |\n| --- | --- |\n";
    for service in SERVICES.into_iter().filter(|service| document.services.declares(*service)) {
        let (what, name) = match service {
            ServiceName::MongoDb => ("MongoDB database", format!("{product}_ENV, with `_` for `-`")),
            ServiceName::Redis => ("Redis keys start with", format!("{product}:ENV:")),
            ServiceName::Media => ("bucket", format!("{product}-ENV-NAME")),
        };
        page += &format!("| {what} | {name} |\n");
    }
    page
}

/// Nothing where every environment has one server.
fn members_of_databases(manifest: &Manifest) -> String {
    let document = &manifest.document;
    let Some(mongodb) = &document.services.mongodb else { return String::new() };
    let members = |environment: &EnvName| match driver_of_mongodb(mongodb, environment) {
        Driver::External | Driver::Atlas | Driver::Upstash => 0,
        Driver::Process => mongodb.r#in.get(environment).and_then(|own| own.members).unwrap_or(mongodb.members).0,
    };
    let names: Vec<&EnvName> = document.environments.in_order().iter().map(|(name, _)| &name.value).collect();
    if names.iter().all(|name| members(name) == 1) {
        return String::new();
    }
    let mut page = "\n### Servers of MongoDB\n\nEach holds all data; more than half of them must live.\n\n".to_owned();
    page += "| environment | servers | survives the loss of |\n| --- | --- | --- |\n";
    for name in names {
        page += &match members(name) {
            0 => format!("| {name} | somebody else's | what they say |\n"),
            all => format!("| {name} | {all} | {} |\n", (all - 1) / 2),
        };
    }
    page
}

fn redis_by_environment(manifest: &Manifest) -> String {
    let Some(table) = &manifest.document.services.redis else { return String::new() };
    let mut page = "\n## Redis\n\nWhat holds sessions is written to disk each second. The cache drops what is asked for least, and \
                    keeps nothing over a restart.\n\n"
        .to_owned();
    page += "| environment | memory | when it is full | cache | replicas |\n| --- | --- | --- | --- | --- |\n";
    for (name, _) in manifest.document.environments.in_order() {
        let environment = EnvRef::new(name.value.clone());
        let names = Names::of(&manifest.document.product.name, &environment);
        let redis = crate::resolve::redis(table, &name.value, &names, Vec::new());
        let cache = redis.cache_memory.map_or_else(|| "none".to_owned(), mebibytes);
        let memory = mebibytes(redis.max_memory);
        page += &format!("| {} | {memory} | {} | {cache} | {} |\n", name.value, redis.eviction, redis.replicas);
    }
    page
}

fn variables(manifest: &Manifest) -> String {
    let matrix = matrix(manifest);
    let mut page = format!("\n## Variables\n\n{}", matrix.markdown());
    for (app, table) in manifest.document.apps.in_order() {
        let received: Vec<&Row> = matrix.variables.iter().filter(|row| row.consumers.contains(&app.value)).collect();
        page += &format!("\n### What {} receives\n\n", app.value);
        page += match table.kind {
            Kind::Static => "In `/config.json`, which every visitor can read.\n",
            Kind::Next | Kind::Node => "In its process, beside `HOST`, `PORT` and what begins with `ROADBED_`.\n",
        };
        page += "\n| variable | what it is for | type | class | owner | required in |\n|";
        page += &" --- |".repeat(6);
        page += "\n";
        for row in received {
            let docs = row.docs.as_ref().map(|link| format!(" ([more]({link}))")).unwrap_or_default();
            page += &format!(
                "| {} | {}{docs} | {} | {} | {} | {} |\n",
                row.name,
                cell(&row.description),
                cell(&type_of(row)),
                row.class,
                row.owner,
                required_in(row)
            );
        }
    }
    page
}

/// `enum: debug, info`, `string, matches [0-9]+`, `url, in a file`
fn type_of(row: &Row) -> String {
    let mut text = row.value_type.to_string();
    if !row.choices.is_empty() {
        text += &format!(": {}", row.choices.join(", "));
    }
    if let Some(pattern) = &row.pattern {
        text += &format!(", matches `{pattern}`");
    }
    if row.delivery == Delivery::File {
        text += &format!(", in the file that {}_FILE names", row.name);
    }
    text
}

fn required_in(row: &Row) -> String {
    match row.required.len() {
        0 => "none".to_owned(),
        some if some == row.environments.len() => "all".to_owned(),
        _ => row.required.iter().map(EnvName::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn deployed_from(manifest: &Manifest, name: &EnvName, table: &EnvironmentTable) -> String {
    let branches = manifest.document.branches.iter().filter(|(_, target)| &target.value == name);
    let branches: Vec<String> = branches.map(|(branch, _)| format!("`{}`", branch.0)).collect();
    match &table.per {
        Some(per) if per.value == Per::Branch => "every other branch".to_owned(),
        Some(_) => "every pull request".to_owned(),
        None if branches.is_empty() => "nothing; runs with `roadbed up`".to_owned(),
        None => branches.join(", "),
    }
}

fn ports(table: &EnvironmentTable) -> String {
    let port = |port: Option<u16>| port.map_or_else(|| "a free port".to_owned(), |port| port.to_string());
    let ports = table.ports.as_ref();
    let https = ports.and_then(|ports| ports.https.as_ref()).map(|port| port.0);
    let http = ports.and_then(|ports| ports.http.as_ref()).map(|port| port.0);
    format!("HTTPS on {}, HTTP on {} (redirects)", port(https), port(http))
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
