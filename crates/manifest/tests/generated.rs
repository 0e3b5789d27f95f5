//! What is made from the manifest: the schema and the manifest agree, and the texts say what they must.

use manifest::{AppName, Manifest, Presence, Source, SourceKind, example, generated, matrix, parse, schema};
use serde_json::{Value, json};

fn urbancart() -> Manifest {
    parse(&Source::new("roadbed.toml", include_str!("../../../roadbed.toml"))).0.expect("UrbanCart's manifest is sound")
}

/// The text of a manifest as JSON, the way an editor sees it when it holds it against the schema.
fn as_json(text: &str) -> Value {
    toml::from_str::<Value>(text).expect("it is TOML")
}

/// As much of JSON Schema as ours uses, but for patterns; says where the value breaks it.
fn breaks(schema: &Value, root: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut out = Vec::new();
    let list = |wanted: &Value| wanted.as_array().cloned().expect("this word has a list");
    for (word, wanted) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$ref" => {
                let name =
                    wanted.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("it refers to a definition");
                out.extend(breaks(&root["$defs"][name], root, value, at));
            }
            "type" => {
                let kind = match value {
                    Value::Object(_) => "object",
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::Null => "null",
                };
                if wanted != kind {
                    out.push(format!("{at} is of type {kind}"));
                    return out;
                }
            }
            "enum" if !list(wanted).contains(value) => out.push(format!("{at} is none of the choices")),
            "anyOf" => {
                if list(wanted).iter().all(|choice| !breaks(choice, root, value, at).is_empty()) {
                    out.push(format!("{at} fits nothing"));
                }
            }
            "required" => {
                for key in list(wanted).iter().filter_map(Value::as_str) {
                    if value.get(key).is_none() {
                        out.push(format!("{at}.{key} is missing"));
                    }
                }
            }
            "properties" | "additionalProperties" | "items" | "description" | "default" | "examples" => {}
            "minimum" if value.as_i64() < wanted.as_i64() => out.push(format!("{at} is too small")),
            "maximum" if value.as_i64() > wanted.as_i64() => out.push(format!("{at} is too large")),
            "minLength" if value.as_str().is_some_and(str::is_empty) => out.push(format!("{at} is empty")),
            "minItems" if value.as_array().is_some_and(Vec::is_empty) => out.push(format!("{at} is empty")),
            "enum" | "minimum" | "maximum" | "minLength" | "minItems" | "pattern" | "propertyNames" => {}
            "$schema" | "title" | "$defs" => {}
            other => panic!("this check does not know the word {other}"),
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (schema.get("properties").and_then(|properties| properties.get(key)), schema.get("additionalProperties"))
        {
            (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => out.extend(breaks(schema, root, inner, &at)),
            (None, Some(Value::Bool(false))) => out.push(format!("{at} is unknown")),
            (None, _) => {}
        }
    }
    if let Some(items) = schema.get("items") {
        for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
            out.extend(breaks(items, root, inner, &format!("{at}[{index}]")));
        }
    }
    out
}

fn schema_breaks(value: &Value) -> Vec<String> {
    let schema = schema();
    breaks(&schema, &schema, value, "")
}

#[test]
fn the_schema_accepts_urbancart() {
    assert_eq!(schema_breaks(&as_json(include_str!("../../../roadbed.toml"))), [""; 0]);
}

#[test]
fn the_schema_and_the_reading_refuse_the_same() {
    let text = include_str!("../../../roadbed.toml");
    let changes = [
        ("kind = \"node\"", "kind = \"deno\"", ".apps.api.kind is none of the choices"),
        ("internal = true", "internal = 1", ".apps.api.internal is of type integer"),
        ("path = \"apps/api\"", "folder = \"apps/api\"", ".apps.api.path is missing"),
        (
            "in.production.replicas = 2",
            "in.production.replicas = 0",
            ".apps.storefront.in.production.replicas is too small",
        ),
        ("[owners.payments]", "[owner.payments]", ".owner is unknown"),
        ("required = \"never\"", "required = \"sometimes\"", ".variables.REDIS_CLIENT.required fits nothing"),
        ("start = [\"node\", \"dist/server.js\"]", "start = []", ".apps.api.start is empty"),
        ("in.local.value = \"debug\"", "in.local.valu = \"debug\"", ".variables.LOG_LEVEL.in.local.valu is unknown"),
    ];
    for (before, after, told) in changes {
        assert!(text.contains(before), "{before}");
        let changed = text.replacen(before, after, 1);
        let breaks = schema_breaks(&as_json(&changed));
        assert!(breaks.iter().any(|line| line == told), "{after}: {breaks:?}");
        assert!(parse(&Source::new("roadbed.toml", changed)).0.is_none(), "{after}");
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    for (name, table) in schema["$defs"].as_object().unwrap() {
        for (key, property) in table["properties"].as_object().unwrap() {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.len() > 5, "{name}.{key}");
        }
    }
}

#[test]
fn every_default_is_what_its_key_may_hold() {
    let schema = schema();
    for (name, table) in schema["$defs"].as_object().unwrap() {
        for (key, property) in table["properties"].as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert_eq!(breaks(property, &schema, default, key), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn the_matrix_knows_presence_and_source() {
    let matrix = matrix(&urbancart());
    let cells = |name: &str| -> Vec<(Presence, Option<SourceKind>)> {
        let row = matrix.variables.iter().find(|row| row.name.as_str() == name).unwrap();
        row.environments.iter().map(|cell| (cell.presence, cell.source)).collect()
    };
    use Presence::{Absent, Optional, Required};
    let store = Some(SourceKind::Store);
    assert_eq!(cells("PAYMENT_SECRET_KEY"), [(Optional, store), (Required, store), (Required, store), (Absent, None)]);
    assert_eq!(cells("LOG_LEVEL"), [(Optional, Some(SourceKind::Literal)); 4]);
    assert_eq!(cells("MONGODB_URL"), [(Required, Some(SourceKind::Service)); 4]);
    let json = serde_json::to_value(&matrix).unwrap();
    assert_eq!(json["environments"], json!(["local", "staging", "production", "preview"]));
    let payment = matrix.variables.iter().position(|row| row.name.as_str() == "PAYMENT_SECRET_KEY").unwrap();
    assert_eq!(
        json["variables"][payment]["environments"][3],
        json!({ "environment": "preview", "presence": "absent", "source": null })
    );
    let text = matrix.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
    assert!(text.contains("PAYMENT_SECRET_KEY        api"), "{text}");
}

#[test]
fn an_app_sees_only_its_own_variables() {
    let manifest = urbancart();
    let text = |app: &str| example(&manifest, Some(&AppName::new(app).unwrap()));
    assert!(text("api").contains("\nSESSION_SECRET=example-only"));
    assert!(text("api").contains("\n# LOG_LEVEL=info\n"), "what is nowhere required is shown switched off");
    assert!(!text("storefront").contains("SECRET"));
    let admin = text("admin");
    let names: Vec<&str> =
        admin.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('=').next()).collect();
    assert_eq!(
        names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>(),
        ["PUBLIC_SENTRY_DSN", "PUBLIC_SITE_URL", "PUBLIC_API_URL"]
    );
    let all = example(&manifest, None);
    for app in ["storefront", "api", "admin"] {
        assert!(all.contains(&format!("\n# ---- {app} ")), "{all}");
    }
}

#[test]
fn the_same_manifest_makes_the_same_files() {
    let files = generated(&urbancart(), "");
    assert_eq!(files, generated(&urbancart(), ""));
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            ".env.example",
            "apps/storefront/.env.example",
            "apps/storefront/src/environment.ts",
            "apps/api/.env.example",
            "apps/api/src/environment.ts",
            "apps/admin/.env.example",
            "apps/admin/src/environment.ts",
            "schema/roadbed.schema.json",
            "docs/infra/environments.md",
        ]
    );
    assert!(files.iter().all(|file| file.text.ends_with('\n') && !file.text.ends_with("\n\n")));
}

/// Run with `WRITE_GENERATED=1` to write them; `roadbed generate` does the same.
#[test]
#[expect(clippy::disallowed_methods, reason = "it compares what is committed")]
fn the_committed_files_are_those_that_the_manifest_makes() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in generated(&urbancart(), "") {
        // It has a section that is not ours: `tests/cli` compares it.
        if file.path == "docs/infra/environments.md" {
            continue;
        }
        let path = root.join(&file.path);
        if std::env::var_os("WRITE_GENERATED").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, file.text, "{} is not current: run `roadbed generate`", file.path);
    }
}
