//! Where what is there is not what is wanted. GitHub adds fields of its own; only what is wanted counts.

use serde_json::Value;

/// In a line each: the field, what it is, what it shall be.
pub(crate) fn differences(wanted: &Value, there: &Value) -> Vec<String> {
    let mut found = Vec::new();
    differ("", wanted, there, &mut found);
    found
}

fn differ(at: &str, wanted: &Value, there: &Value, found: &mut Vec<String>) {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, value) in wanted {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                differ(&at, value, there.get(key).unwrap_or(&Value::Null), found);
            }
        }
        // No list here has an order that means anything.
        (Value::Array(wanted), Value::Array(there)) => {
            let is_in = |one: &Value, all: &[Value]| all.iter().any(|other| differences(one, other).is_empty());
            let missing = wanted.iter().filter(|one| !is_in(one, there));
            found.extend(missing.map(|one| format!("{at}: + {}", short(one))));
            let extra = there.iter().filter(|one| !wanted.iter().any(|other| differences(other, one).is_empty()));
            found.extend(extra.map(|one| format!("{at}: - {}", short(one))));
        }
        (wanted, there) if wanted == there => {}
        (wanted, there) => found.push(format!("{at}: {} → {}", short(there), short(wanted))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_github_adds_does_not_count_and_what_people_add_does() {
        let wanted = json!({"name": "x", "rules": [{"type": "a", "parameters": {"n": 1}}, {"type": "b"}]});
        let there =
            json!({"id": 7, "name": "x", "rules": [{"type": "b"}, {"type": "a", "parameters": {"n": 1, "m": null}}]});
        assert_eq!(differences(&wanted, &there), [""; 0]);
        let more = json!({"name": "x", "rules": [{"type": "a", "parameters": {"n": 2}}, {"type": "b"}, {"type": "c"}]});
        assert_eq!(
            differences(&wanted, &more),
            [
                r#"rules: + {"type":"a","parameters":{"n":1}}"#,
                r#"rules: - {"type":"a","parameters":{"n":2}}"#,
                r#"rules: - {"type":"c"}"#
            ]
        );
        assert_eq!(differences(&json!({"a": 1}), &json!({})), ["a: null → 1"]);
        assert_eq!(differences(&json!({"a": []}), &json!({"a": null})), ["a: null → []"]);
    }
}
