//! What a visitor sends before anything is known about it.

use edge::connection::{Door, Visitor};
use edge::head::{Inspection, Inspector};
use edge::web_socket::Frames;
use edge::{Limits, announcement, guard};
use futures_util::FutureExt;
use http::Request;

/// Largest head that is read.
const HEAD: usize = 32 * 1024;

/// The first byte says in what pieces the rest arrives.
///
/// Pieces change no verdict, and whatever the strict reader lets through, the parser behind it reads as one request with the same end:
/// were its end another, what follows would be a second request for one of them.
pub fn heads(bytes: &[u8]) {
    let Some((&size, wire)) = bytes.split_first() else { return };
    let (verdicts, broken_at) = read(wire, wire.len().max(1));
    assert_eq!(
        (&verdicts, broken_at),
        (&read(wire, usize::from(size).max(1)).0, read(wire, usize::from(size).max(1)).1)
    );
    if verdicts.first() != Some(&true) {
        return;
    }
    let mut fields = vec![httparse::EMPTY_HEADER; HEAD / 2];
    let mut parsed = httparse::Request::new(&mut fields);
    let end = strict_end(wire);
    match parsed.parse(wire) {
        Ok(httparse::Status::Complete(parsed)) => assert_eq!(parsed, end, "two ends of one head"),
        Ok(httparse::Status::Partial) => panic!("the parser waits for more where the strict reader saw the end"),
        // It is answered 400, whatever the strict reader thinks.
        Err(_) => {}
    }
}

/// Where the first head ends for the strict reader.
fn strict_end(wire: &[u8]) -> usize {
    let (inspection, mut inspector) = (Inspection::default(), Inspector::new(HEAD));
    for at in 0..wire.len() {
        let _ = inspector.feed(&wire[at..=at], &inspection);
        if inspection.next().is_ok() {
            return at + 1;
        }
    }
    unreachable!("it was let through at once")
}

/// Which heads were let through, and whether the framing of a body broke.
fn read(wire: &[u8], size: usize) -> (Vec<bool>, bool) {
    let (inspection, mut inspector) = (Inspection::default(), Inspector::new(HEAD));
    let broken = wire.chunks(size).any(|piece| inspector.feed(piece, &inspection).is_err());
    let mut verdicts = Vec::new();
    // "None left" is a refusal, too: as many as were given are let through at most, so the last good one ends the list.
    for _ in 0..=wire.len() / 16 {
        verdicts.push(inspection.next().is_ok());
    }
    while verdicts.last() == Some(&false) {
        verdicts.pop();
    }
    (verdicts, broken)
}

/// Lines: method, target, version (1 or 2), then fields. Whatever passes has one host, a clean path and no second framing.
pub fn guard(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let mut request = Request::builder().method(next()).uri(next());
    let version = if next() == "2" { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
    request = request.version(version);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        request = request.header(name, value.trim());
    }
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let visitor = Visitor::plain(Door::Https, ([192, 0, 2, 1], 4711).into());
    let Ok(asked) = guard::check(&parts, &visitor, &Limits::default()) else { return };
    assert!(!asked.host.is_empty() && !asked.host.bytes().any(|byte| b"/\\@, \t\r\n".contains(&byte)), "{asked:?}");
    assert_eq!(asked.host, asked.host.to_ascii_lowercase());
    assert!(asked.target.path().starts_with('/'), "{asked:?}");
    assert_eq!(guard::without_dot_segments(asked.target.path()), None, "{asked:?}");
    assert!(parts.headers.get_all("host").iter().count() <= 1);
    assert!(!(parts.headers.contains_key("content-length") && parts.headers.contains_key("transfer-encoding")));
}

/// A cleaned path is clean, never longer, and never leaves the root.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = format!("/{text}");
    let Some(clean) = guard::without_dot_segments(&path) else { return };
    assert!(clean.starts_with('/') && clean.len() <= path.len(), "{path:?} became {clean:?}");
    assert_eq!(guard::without_dot_segments(&clean), None, "{path:?} became {clean:?}");
}

/// The PROXY protocol: an address or a refusal, and not a byte more than the header is taken.
pub fn announcement(bytes: &[u8]) {
    let mut rest = bytes;
    let read = announcement::read(&mut rest).now_or_never().expect("a slice never lets wait");
    let taken = bytes.len() - rest.len();
    if let Ok(whose) = read {
        let again = announcement::read(&mut &bytes[..taken]).now_or_never().expect("a slice never lets wait");
        assert_eq!(whose, again.expect("what follows changes nothing"));
        assert!(announcement::read(&mut &bytes[..taken - 1]).now_or_never().is_some_and(|cut| cut.is_err()));
    }
}

/// Frames of a WebSocket: the size of the pieces changes nothing.
pub fn frames(bytes: &[u8]) {
    let Some((&size, wire)) = bytes.split_first() else { return };
    let (mut whole, mut pieces) = (Frames::default(), Frames::default());
    whole.pass(wire);
    wire.chunks(usize::from(size).max(1)).for_each(|piece| pieces.pass(piece));
    assert_eq!((whole.is_between(), whole.is_closed()), (pieces.is_between(), pieces.is_closed()));
}
