//! Addresses of pictures.

use ::media::variant::{Variant, path, read};
use ::media::{Settings, SigningKey};

/// A target: what is read has one meaning, which is what its canonical form means, and nothing but what is listed comes through without a
/// signature.
pub fn variant(bytes: &[u8]) {
    let target = String::from_utf8_lossy(bytes);
    let (place, query) = target.split_once('?').map_or((&*target, None), |(place, query)| (place, Some(query)));
    let settings = Settings::default();
    let Ok(asked) = read(place, query, &settings, None) else { return };
    let Variant { width, height, quality, .. } = asked.variant;
    assert!(width.is_none_or(|width| settings.widths.contains(&width)) && height.is_none());
    assert!(quality.is_none_or(|quality| settings.qualities.contains(&quality)));
    assert!(asked.key.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{:?}", asked.key);
    assert!(!asked.key.chars().any(|char| char == '\\' || char.is_control()), "{:?}", asked.key);
    let canonical = path(&asked.bucket, &asked.key);
    let again =
        read(&canonical, Some(&asked.variant.query()), &settings, None).expect("the canonical form can be read");
    assert_eq!(again, asked);
    // A signature for something else opens nothing.
    let key = SigningKey::new(b"a key");
    let other = key.sign(&asked.bucket, &asked.key, &Variant { width: Some(7), ..asked.variant });
    let query = [asked.variant.query(), format!("s={other}")].join("&");
    assert!(read(&canonical, Some(query.trim_start_matches('&')), &settings, Some(&key)).is_err());
}
