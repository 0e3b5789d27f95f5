//! What bytes are, by their beginning. What a client or a store says of them is not asked.

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Jpeg,
    Png,
    Gif,
    Webp,
    /// A document that may run scripts.
    Svg,
    Other,
}

impl Kind {
    /// So many bytes are looked at.
    pub const HEAD: usize = 1024;

    pub fn is_picture(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::Webp)
    }
}

/// By the first bytes, of which [`Kind::HEAD`] are enough.
pub(super) fn of(bytes: &[u8]) -> Kind {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Kind::Png,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Webp,
        _ if is_svg(&bytes[..bytes.len().min(Kind::HEAD)]) => Kind::Svg,
        _ => Kind::Other,
    }
}

fn is_svg(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.contains("<svg")
}

impl Kind {
    /// By the first bytes.
    pub fn of(bytes: &[u8]) -> Self {
        of(bytes)
    }
}
