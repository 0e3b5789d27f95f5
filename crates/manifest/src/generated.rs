//! Every file that is made from the manifest.

use crate::Manifest;
use crate::accessor::accessor;
use crate::environments_page::environments_page;
use crate::example::example;
use crate::schema::schema;

/// A file to write as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Relative to the manifest.
    pub path: String,
    pub text: String,
}

/// All of them; the same manifest always makes the same. `access` is the section of who may do what to whose data: who runs the data
/// services knows it.
pub fn generated(manifest: &Manifest, access: &str) -> Vec<GeneratedFile> {
    let file = |path: String, text: String| GeneratedFile { path, text };
    let mut files = vec![file(".env.example".to_owned(), example(manifest, None))];
    for (name, app) in manifest.document.apps.in_order() {
        files.push(file(app.path.join(".env.example"), example(manifest, Some(&name.value))));
        let types = app.types.as_ref().zip(accessor(manifest, &name.value));
        files.extend(types.map(|(path, text)| file(app.path.join(&path.0), text)));
    }
    let schema = serde_json::to_string_pretty(&schema()).expect("a JSON value has no other keys than texts");
    files.push(file("schema/roadbed.schema.json".to_owned(), schema + "\n"));
    files.push(file("docs/infra/environments.md".to_owned(), environments_page(manifest, access)));
    files
}
