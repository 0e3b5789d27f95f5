//! Addresses that could mean two things are none.

use media::variant::{self, Variant, path, read};
use media::{Fit, Format, Settings, SigningKey};
use proptest::prelude::*;

fn settings() -> Settings {
    crate::role::settings()
}

#[test]
fn addresses_are_read_as_they_are_written() {
    let asked = read("/shop/a/b%20c.jpg", Some("w=640&q=60&format=webp"), &settings(), None).unwrap();
    assert_eq!((asked.bucket.as_str(), asked.key.as_str()), ("shop", "a/b c.jpg"));
    let variant = Variant { width: Some(640), quality: Some(60), format: Some(Format::Webp), ..Variant::default() };
    assert_eq!(asked.variant, variant);
    assert!(read("/shop/k", None, &settings(), None).unwrap().variant.is_whole());
    // A file behind a picture is another object, which is asked of the store as such.
    assert_eq!(read("/shop/k.jpg/x.css", None, &settings(), None).unwrap().key, "k.jpg/x.css");
}

#[test]
fn what_somebody_on_the_way_may_read_otherwise_is_refused() {
    for path in [
        "",
        "/",
        "/shop",
        "/shop/",
        "//shop/k",
        "/shop//k",
        "/shop/k/",
        "/shop/.",
        "/shop/../other/k",
        "/shop/a/../k",
        "/shop/%2e%2e/k",
        "/shop/a%2fb",
        "/shop/a%2Fb",
        "/shop/a%5cb",
        "/shop/a\\b",
        "/shop/a%00b",
        "/shop/a%0ab",
        "/shop/%zz",
        "/shop/%",
        "/shop/a%4",
        "/shop/%ff%fe",
        "/shop/%c0%ae",
        "/SHOP/k",
        "/sh/k",
        "/shop./k",
        "/sh..op/k",
        "/shop/k%7f",
        "/%73hop/k",
    ] {
        assert!(matches!(read(path, None, &settings(), None), Err(variant::Refused::Path(_))), "{path}");
    }
    let long = format!("/shop/{}", "k".repeat(1025));
    assert!(read(&long, None, &settings(), None).is_err());
    for query in [
        "w=640&w=640",
        "w=640&w=320",
        "w=",
        "w",
        "w=0",
        "w=0640",
        "w=+640",
        "w=-1",
        "w=640px",
        "w=%36%34%30",
        "w=99999",
        "w=99999999999999999999",
        "W=640",
        "width=640",
        "w=640&",
        "&w=640",
        "w=640&&q=75",
        "q=0",
        "q=101",
        "fit=fill",
        "fit=Cover",
        "format=gif",
        "format=svg",
        "w=640;q=75",
        "w=640#",
        "x=1",
        "w=6 40",
        "s=a&s=b",
        "utm_source=x",
    ] {
        assert!(matches!(read("/shop/k", Some(query), &settings(), None), Err(variant::Refused::Query(_))), "{query}");
    }
    for query in ["format=avif", "w=641", "h=640", "w=640&q=61", "s=AAAA", "w=640&s="] {
        let refused = read("/shop/k", Some(query), &settings(), None).unwrap_err();
        assert!(refused.is_forbidden(), "{query}: {refused}");
    }
}

#[test]
fn a_signature_is_for_one_path_and_its_parameters() {
    let key = SigningKey::new(b"secret");
    let variant = Variant { width: Some(123), quality: Some(33), fit: Some(Fit::Contain), ..Variant::default() };
    let signature = key.sign("shop", "a b.jpg", &variant);
    let query = format!("fit=contain&s={signature}&q=33&w=123");
    assert!(read("/shop/a%20b.jpg", Some(&query), &settings(), Some(&key)).is_ok());
    for (path, query, key) in [
        ("/shop/a%20c.jpg", query.clone(), &key),
        ("/shop/a%20b.jpg", query.replace("33", "34"), &key),
        ("/shop/a%20b.jpg", format!("{query}&format=png"), &key),
        ("/shop/a%20b.jpg", query.clone(), &SigningKey::new(b"other")),
    ] {
        let refused = read(path, Some(&query), &settings(), Some(key)).unwrap_err();
        assert_eq!(refused, variant::Refused::Signature, "{path}?{query}");
    }
    assert!(!format!("{key:?}").contains("secret"));
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_panic(path in ".{0,80}", query in ".{0,60}") {
        let _ = read(&path, Some(&query), &settings(), None);
    }

    #[test]
    fn what_is_written_canonically_is_read_back(
        key in "[^/\\\\\\x00-\\x1f\\x7f-\\x9f]{1,20}(/[^/\\\\\\x00-\\x1f\\x7f-\\x9f]{1,20}){0,3}",
        width in prop::option::of(1_u32..8192),
        height in prop::option::of(1_u32..8192),
        quality in prop::option::of(1_u8..=100),
    ) {
        prop_assume!(!key.split('/').any(|segment| segment == "." || segment == ".."));
        let secret = SigningKey::new(b"secret");
        let variant = Variant { width, height, quality, fit: Some(Fit::Cover), format: None };
        let query = format!("{}&s={}", variant.query(), secret.sign("shop", &key, &variant));
        let asked = read(&path("shop", &key), Some(&query), &settings(), Some(&secret)).unwrap();
        prop_assert_eq!(&asked.key, &key);
        prop_assert_eq!(asked.variant, variant.canonical(75));
        // The canonical form means itself.
        let again = variant.canonical(75);
        prop_assert_eq!(again.canonical(75), again);
    }
}
