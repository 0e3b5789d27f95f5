//! What looks like a secret and is none: placeholders, words, references to variables, values of no randomness.

/// Shannon entropy in bits per byte.
pub(crate) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

/// Words of documentation.
const WORDS: [&str; 17] = [
    "example",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "redacted",
    "your-",
    "your_",
    "-here",
    "_here",
    "hunter2",
    "p@ss",
    "p%40ss",
    "correct horse",
    "correct%20horse",
];

/// Runs that people type to fill a field.
const RUNS: [&str; 6] = ["0123456789", "1234567890", "abcdefghij", "xxxx", "****", "...."];

/// What is longer spells a short word by chance: five characters of 64 in either case once in a million places.
const SHORT: usize = 128;

/// Written by hand to stand for a secret.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    let lower: Vec<u8> = value.to_ascii_lowercase();
    let has = |word: &&str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    let spelled = |word: &&str| (word.len() >= 7 || value.len() < SHORT) && has(word);
    WORDS.iter().any(spelled) || RUNS.iter().any(spelled) || is_reference(value) || repeats(value)
}

/// `${NAME}`, `$NAME`, `<name>`, `{{ name }}`, `%NAME%`, `[name]`: something else puts the value in.
fn is_reference(value: &[u8]) -> bool {
    let quotes = value.iter().rev().take_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b',' | b';')).count();
    let value = &value[..value.len() - quotes];
    let name =
        |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match value {
        [b'$', b'{' | b'(', ..] | [b'{', b'{', ..] | [b'<', .., b'>'] | [b'[', .., b']'] | [b'{', .., b'}'] => true,
        [b'$', rest @ ..] => name(rest),
        [b'%', rest @ .., b'%'] => name(rest),
        // A masked value, as logs of ours show it.
        _ => ["${", "{{", "\u{2039}"].iter().any(|sign| memchr::memmem::find(value, sign.as_bytes()).is_some()),
    }
}

/// One character more than eight times in a row, in something short.
fn repeats(value: &[u8]) -> bool {
    value.len() < 256 && value.windows(9).any(|run| run.iter().all(|byte| *byte == run[0]))
}

/// For values that only their name makes suspicious: true if they read like words, paths or code.
pub(crate) fn reads_like_code(value: &[u8], next: Option<u8>) -> bool {
    let calls = matches!(next, Some(b'(' | b'[' | b'{' | b'<' | b'$' | b'?' | b':'));
    let is_variable =
        [&b".env."[..], b"process.env", b"os.environ"].iter().any(|name| memchr::memmem::find(value, name).is_some());
    let is_path = matches!(value, [b'/' | b'.' | b'~' | b'@', ..]) || memchr::memmem::find(value, b"://").is_some();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    calls
        || is_variable
        || is_path
        || digits == 0
        || letters == 0
        || is_hash_of_a_tool(value)
        || value.split(|byte| !byte.is_ascii_alphanumeric()).all(is_word)
}

/// A name that begins like a secret's and ends as the name of something else: `private_key_id = "`, `tokenUrl: '`.
pub(crate) fn names_no_secret(before_value: &[u8]) -> bool {
    const ENDS: [&str; 16] = [
        "id", "ids", "name", "url", "uri", "path", "file", "type", "header", "prefix", "hash", "digest", "version",
        "hint", "scope", "scopes",
    ];
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
    let name = before_value.split(|byte| !is_name(byte)).next().unwrap_or_default();
    let length = name.len();
    ENDS.iter().any(|end| {
        let Some(before) = length.checked_sub(end.len() + 1).map(|at| &name[at..]) else { return false };
        let (joint, tail) = (before[0], &before[1..]);
        let is_own_word = matches!(joint, b'_' | b'-') || (joint.is_ascii_lowercase() && tail[0].is_ascii_uppercase());
        is_own_word && tail.eq_ignore_ascii_case(end.as_bytes())
    })
}

/// `sha512-…` and `sha256:…` name content, they open nothing.
fn is_hash_of_a_tool(value: &[u8]) -> bool {
    [&b"sha1-"[..], b"sha256-", b"sha384-", b"sha512-", b"md5-"].iter().any(|prefix| value.starts_with(prefix))
}

/// Letters with at most a short number behind them (`token2`, `v1`, `AES256`), or a short number.
fn is_word(part: &[u8]) -> bool {
    let letters = part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let tail = &part[letters..];
    tail.len() <= 4 && tail.iter().all(u8::is_ascii_digit) && (letters < 20 || has_humps(&part[..letters]))
}

/// camelCase of several words, or one case throughout, rather than letters at random.
fn has_humps(letters: &[u8]) -> bool {
    let changes =
        letters.windows(2).filter(|pair| pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase()).count();
    changes * 3 <= letters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_in_place_of_a_secret_is_a_placeholder() {
        for value in [
            "sk_live_EXAMPLE12345",
            "your-api-key",
            "xxxxxxxxxxxx",
            "${TOKEN}",
            "<token>",
            "{{ .Values.key }}",
            "$SECRET",
            "%KEY%",
            "aaaaaaaaaaaaaaaa",
            "CHANGEME9",
            "put-key-here",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        assert!(!is_placeholder(b"q8W2zr0PvKd7Tn4LxB5s"));
    }

    #[test]
    fn names_paths_and_calls_are_code_and_random_values_are_not() {
        for value in [
            "process.env.API_KEY2",
            "this.env.E2E_TOKEN",
            "config.auth.tokenV2",
            "/run/secrets/key1",
            "getToken",
            "my-app-tls-secret2",
            "sha512-Zm9vYmFyMTIz",
        ] {
            assert!(reads_like_code(value.as_bytes(), None), "{value}");
        }
        assert!(reads_like_code(b"a1b2c3d4e5f6", Some(b'(')));
        assert!(!reads_like_code(b"q8W2zr0PvKd7Tn4LxB5s", None));
    }

    #[test]
    fn a_name_tells_by_its_end_what_it_names() {
        for name in ["private_key_id\": \"", "tokenUrl: '", "SECRET_NAME=", "token-type: "] {
            assert!(names_no_secret(name.as_bytes()), "{name}");
        }
        for name in ["private_key = ", "SESSION_SECRET=", "token: ", "tokenGrid = "] {
            assert!(!names_no_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn randomness_is_told_from_repetition() {
        assert!(entropy(b"aaaaaaaa") < 0.01);
        assert!((entropy(b"abcdefgh") - 3.0).abs() < 0.01);
        assert!(entropy(b"") < 0.01);
    }
}
