//! Every file that is made from the manifest.

use crate::Manifest;
use crate::accessor::accessor;
use crate::example::example;
use crate::id::EnvName;
use crate::matrix::matrix;
use crate::schema::schema;
use crate::tables::{EnvironmentTable, SERVICES};

/// A file to write as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Relative to the manifest.
    pub path: String,
    pub text: String,
}

/// All of them; the same manifest always makes the same.
pub fn generated(manifest: &Manifest) -> Vec<GeneratedFile> {
    let file = |path: String, text: String| GeneratedFile { path, text };
    let mut files = vec![file(".env.example".to_owned(), example(manifest, None))];
    for (name, app) in manifest.document.apps.in_order() {
        files.push(file(format!("{}/.env.example", app.path.0), example(manifest, Some(&name.value))));
        let types = app.types.as_ref().zip(accessor(manifest, &name.value));
        files.extend(types.map(|(path, text)| file(format!("{}/{}", app.path.0, path.0), text)));
    }
    let schema = serde_json::to_string_pretty(&schema()).expect("a JSON value has no other keys than texts");
    files.push(file("schema/roadbed.schema.json".to_owned(), schema + "\n"));
    files.push(file("docs/infra/environments.md".to_owned(), environments_page(manifest)));
    files
}

fn environments_page(manifest: &Manifest) -> String {
    let document = &manifest.document;
    let product = &document.product.name;
    let mut page =
        "<!-- Generated from roadbed.toml by `roadbed generate`; edit that. -->\n# Environments\n\n".to_owned();
    page += "Environments share nothing: each has its own processes, keys, ports, databases and secrets.\n\n";
    page += "| environment | deployed from | domain | visitors come in on |\n| --- | --- | --- | --- |\n";
    for (name, table) in document.environments.in_order() {
        page += &format!(
            "| {} | {} | {} | {} |\n",
            name.value,
            deployed_from(manifest, name, table),
            table.domain.of(None),
            ports(table)
        );
    }
    page += "\nNothing but the branch decides where a deploy goes.\n\n## Host names\n\n";
    page += "The first host of an app is canonical, the others redirect to it.\n\n";
    let names: Vec<String> = document.environments.in_order().iter().map(|(name, _)| name.value.to_string()).collect();
    page += &format!("| app | owner | {} |\n|{}\n", names.join(" | "), " --- |".repeat(2 + names.len()));
    for (app, table) in document.apps.in_order() {
        let hosts = document.environments.in_order().into_iter().map(|(_, environment)| {
            table.hosts.iter().map(|host| host.on(&environment.domain.of(None))).collect::<Vec<_>>().join(", ")
        });
        page += &format!("| {} | {} | {} |\n", app.value, table.owner.value, hosts.collect::<Vec<_>>().join(" | "));
    }
    page += "\n## Names of data\n\n";
    page +=
        "ENV is the name of the environment; a pull request's is `preview-pr-42`.\n\n| what | name |\n| --- | --- |\n";
    for service in SERVICES.into_iter().filter(|service| document.services.declares(*service)) {
        let (what, name) = match service {
            crate::environment::ServiceName::MongoDb => {
                ("MongoDB database", format!("{product}_ENV, with `_` for `-`"))
            }
            crate::environment::ServiceName::Redis => ("Redis keys start with", format!("{product}:ENV:")),
            crate::environment::ServiceName::Media => ("bucket", format!("{product}-ENV-NAME")),
        };
        page += &format!("| {what} | {name} |\n");
    }
    page += "\n## Owners\n\n| owner | answers for | contact |\n| --- | --- | --- |\n";
    for (name, owner) in document.owners.in_order() {
        page += &format!("| {} | {} | {} |\n", name.value, cell(&owner.description), cell(&owner.contact));
    }
    let matrix = matrix(manifest);
    page += &format!("\n## Variables\n\n{}\n", matrix.markdown());
    page += "| variable | what it is for |\n| --- | --- |\n";
    for row in &matrix.variables {
        page += &format!("| {} | {} |\n", row.name, cell(&row.description));
    }
    page
}

fn deployed_from(manifest: &Manifest, name: &EnvName, table: &EnvironmentTable) -> String {
    let branches = manifest.document.branches.iter().filter(|(_, target)| &target.value == name);
    let branches: Vec<String> = branches.map(|(branch, _)| format!("`{}`", branch.0)).collect();
    match &table.per {
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
