//! Texts without what differs from one event to the next: numbers, ids, addresses, times, what stands in quotes.

/// `no order 4711 for 'anna'` and `no order 12 for 'ben'` are the same.
pub(crate) fn normalise(text: &str) -> String {
    const MAX: usize = 1_000;
    let text = &text[..text.floor_char_boundary(MAX)];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let opens = matches!(first, '\'' | '"' | '`') && !out.ends_with(|before: char| before.is_alphanumeric());
        if opens && let Some(end) = rest[1..].find(first) {
            out.push_str("<quoted>");
            rest = &rest[end + 2..];
            continue;
        }
        if first.is_ascii_alphanumeric() {
            let word = &rest[..word_end(rest)];
            out.push_str(kind_of(word).unwrap_or(word));
            rest = &rest[word.len()..];
            continue;
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// Words go over what numbers, times and addresses are joined with, if letters or digits follow.
fn word_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let joined = matches!(bytes[at], b'.' | b':' | b'-' | b'+')
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
            && bytes[..at].iter().any(u8::is_ascii_digit);
        if !bytes[at].is_ascii_alphanumeric() && !joined {
            break;
        }
        at += 1;
    }
    at
}

fn kind_of(word: &str) -> Option<&'static str> {
    let bytes = word.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    if digits == 0 {
        // A digest may have no digit, but then it has no word's length either.
        return (bytes.len() >= 32 && bytes.iter().all(is_hex)).then_some("<hex>");
    }
    let parts = |separator: char| word.split(separator).collect::<Vec<_>>();
    if bytes.len() == 36 && parts('-').iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) {
        return Some("<uuid>");
    }
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let dotted = parts('.');
    if dotted.len() == 4 && dotted[..3].iter().all(is_number) {
        return Some("<address>");
    }
    if parts('-').len() >= 3 && word.len() >= 10 && parts('-')[..2].iter().all(is_number) && parts('-')[0].len() == 4 {
        return Some("<time>");
    }
    if word.contains(':') {
        let all = parts(':');
        return Some(if all.len() <= 4 && all[0].len() <= 2 && all[..all.len() - 1].iter().all(is_number) {
            "<time>"
        } else {
            "<address>"
        });
    }
    if word.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Some("<hex>");
    }
    if bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+')) {
        return Some("<number>");
    }
    if bytes.len() >= 8 && bytes.iter().all(is_hex) {
        return Some("<hex>");
    }
    // `5xx` and `req_7` stay; ids of providers are long and mixed.
    (bytes.len() >= 16 && digits >= 3).then_some("<id>")
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn what_differs_from_event_to_event_goes() {
        for (text, expected) in [
            ("cart is undefined for id 7", "cart is undefined for id <number>"),
            ("took 1.5 s, then 22 s", "took <number> s, then <number> s"),
            ("no user 'anna' in \"shop\"", "no user <quoted> in <quoted>"),
            ("it doesn't, and won't", "it doesn't, and won't"),
            ("order 8f14e45f-ceea-467f-a9be-0123456789ab is gone", "order <uuid> is gone"),
            ("at 0xdeadbeef", "at <hex>"),
            ("commit 31da0983cbb09161630b033d27408b6b6f4ce41b", "commit <hex>"),
            ("connect ECONNREFUSED 127.0.0.1:6379", "connect ECONNREFUSED <address>"),
            ("since 2026-11-26T22:20:25.911Z", "since <time>"),
            ("at 12:30:05", "at <time>"),
            ("HTTP 502 from h2", "HTTP <number> from h2"),
            ("ein Fehler: größer als 5 €", "ein Fehler: größer als <number> €"),
        ] {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }
}
