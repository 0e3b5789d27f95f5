//! Where secrets are found in the wild, as files that hold one secret each.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::example::{Dice, make};

/// One file with one secret.
#[derive(Debug)]
pub struct Planted {
    pub path: String,
    pub content: Vec<u8>,
    pub placement: &'static str,
}

/// A secret apart from its name; an example that is a line of its own has none.
struct Token {
    name: String,
    value: String,
    /// The name belongs to how it is recognised.
    named: bool,
}

fn token(example: &str, dice: &mut Dice) -> Token {
    let text = make(example, dice);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => Token { name: name.to_owned(), value: value.to_owned(), named: true },
        _ => Token { name: format!("SHOP_SETTING_{}", dice.below(90) + 10), value: text, named: false },
    }
}

/// Every placement of a fresh secret of one rule each.
pub fn everywhere(id: &str, example: &str, dice: &mut Dice) -> Vec<Planted> {
    let mut planted = Vec::new();
    let mut put = |placement: &'static str, path: String, content: Vec<u8>| {
        planted.push(Planted { path: format!("{id}/{path}"), content, placement });
    };
    let text = |text: String| text.into_bytes();
    let one_line = |token: &Token| !token.value.contains(['\n', '"', ' ']);

    let t = token(example, dice);
    put(".env", ".env".to_owned(), text(dotenv(&t)));
    let t = token(example, dice);
    let camel = if t.named { t.name.to_ascii_lowercase() } else { "setting".to_owned() };
    let quoted = if t.value.contains(['\n', '"']) { format!("`{}`", t.value) } else { format!("\"{}\"", t.value) };
    put(
        "TS const",
        "src/settings.ts".to_owned(),
        text(format!("import x from './x';\n\nexport const {camel} = {quoted};\nexport default x;\n")),
    );
    let t = token(example, dice);
    let json = serde_json::json!({ "name": "shop", "settings": { t.name.clone(): t.value } });
    put("JSON", "settings.json".to_owned(), text(serde_json::to_string_pretty(&json).unwrap()));
    let t = token(example, dice);
    put("YAML", "values.yaml".to_owned(), text(yaml(&t)));
    let t = token(example, dice);
    put(
        "log line",
        "app.log".to_owned(),
        text(format!(
            "2026-11-23T10:00:00Z INFO start port=3000\n2026-11-23T10:00:01Z WARN retry with {}={} after 3 s\n",
            t.name.to_ascii_lowercase(),
            t.value
        )),
    );
    let t = token(example, dice);
    put("gzip", "dump.gz".to_owned(), gzip(dotenv(&t).as_bytes()));
    let t = token(example, dice);
    // A value whose name tells is encoded with it, as when a whole file becomes a secret of a cluster.
    let inner = if t.named { dotenv(&t) } else { t.value.clone() };
    put(
        "base64 in a manifest",
        "secret.yaml".to_owned(),
        text(format!("kind: Secret\ndata:\n  settings: {}\n", base64(inner.as_bytes()))),
    );
    let t = token(example, dice);
    if one_line(&t) {
        put(
            "Dockerfile",
            "Dockerfile".to_owned(),
            text(format!("FROM node:20\nENV PORT=3000 \\\n    {}={}\nRUN npm ci\n", t.name, t.value)),
        );
        let t = token(example, dice);
        put(
            "shell",
            "deploy.sh".to_owned(),
            text(format!("#!/bin/sh\nset -e\nexport {}='{}'\nnpm start\n", t.name, t.value)),
        );
        let t = token(example, dice);
        put(
            "URL",
            "links.md".to_owned(),
            text(format!(
                "see https://api.internal/v1?page=2&{}={}&x=1 for more\n",
                t.name.to_ascii_lowercase(),
                percent(&t.value)
            )),
        );
    }
    planted
}

pub fn dotenv_of(example: &str, dice: &mut Dice) -> String {
    dotenv(&token(example, dice))
}

fn dotenv(token: &Token) -> String {
    if token.value.contains('\n') {
        return format!("PORT=3000\n{}=\"{}\"\nHOST=localhost\n", token.name, token.value);
    }
    format!("PORT=3000\n{}={}\nHOST=localhost\n", token.name, token.value)
}

fn yaml(token: &Token) -> String {
    if token.value.contains('\n') {
        let lines: Vec<String> = token.value.lines().map(|line| format!("    {line}")).collect();
        return format!("shop:\n  {}: |\n{}\n  port: 3000\n", token.name, lines.join("\n"));
    }
    let value =
        if token.value.contains(['"', '{', ':', '#']) { format!("'{}'", token.value) } else { token.value.clone() };
    format!("shop:\n  {}: {value}\n  port: 3000\n", token.name)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn percent(value: &str) -> String {
    value
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

pub fn base64(bytes: &[u8]) -> String {
    const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let six = usize::try_from(word >> (18 - 6 * index) & 63).unwrap();
            text.push(if index <= chunk.len() { char::from(SET[six]) } else { '=' });
        }
    }
    text
}
