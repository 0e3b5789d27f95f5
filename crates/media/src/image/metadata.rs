//! The two facts of metadata that change how a picture looks: which way is up, and what its numbers mean as colours.

/// How stored pixels are turned before they are looked at, as Exif counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    pub(super) fn new(number: u16) -> Self {
        // What is not defined is shown as it is stored, as browsers do it.
        Self(u8::try_from(number).ok().filter(|number| (1..=8).contains(number)).unwrap_or(1))
    }

    /// 1 to 8.
    pub(super) fn number(self) -> u8 {
        self.0.max(1)
    }

    /// Whether width and height change places.
    pub(super) fn swaps_sides(self) -> bool {
        self.number() >= 5
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) orientation: Orientation,
    pub(super) icc: Option<Vec<u8>>,
}

/// Longer ones are of no camera; printers' profiles have two megabytes.
const MOST_ICC: usize = 4 << 20;

impl Metadata {
    /// Of a JPEG: its segments up to the first scan.
    pub(super) fn of_jpeg(bytes: &[u8]) -> (Self, Adobe) {
        let (mut found, mut adobe, mut icc) = (Self::default(), Adobe::Absent, Vec::<(u8, &[u8])>::new());
        for (marker, content) in segments(bytes) {
            match marker {
                0xe1 if content.starts_with(b"Exif\0\0") && found.orientation == Orientation::default() => {
                    found.orientation = orientation(&content[6..]);
                }
                0xe2 if content.starts_with(b"ICC_PROFILE\0") && content.len() > 14 => {
                    icc.push((content[12], &content[14..]));
                }
                0xee if content.starts_with(b"Adobe") => adobe = Adobe::Present,
                _ => {}
            }
        }
        icc.sort_by_key(|(number, _)| *number);
        let whole: Vec<u8> = icc.into_iter().flat_map(|(_, part)| part).copied().take(MOST_ICC + 1).collect();
        found.icc = Some(whole).filter(|icc| !icc.is_empty() && icc.len() <= MOST_ICC);
        (found, adobe)
    }

    /// Of a WebP: its chunks.
    pub(super) fn of_webp(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let mut rest = bytes.get(12..).unwrap_or_default();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(content) = after.get(..size) else { break };
            match &head[..4] {
                b"ICCP" if size <= MOST_ICC => found.icc = Some(content.to_vec()),
                b"EXIF" => found.orientation = orientation(content.strip_prefix(b"Exif\0\0").unwrap_or(content)),
                _ => {}
            }
            // Chunks are padded to even lengths.
            rest = after.get(size + size % 2..).unwrap_or_default();
        }
        found
    }

    /// Of what is kept apart by a decoder.
    pub(super) fn of_parts(exif: Option<&[u8]>, icc: Option<&[u8]>) -> Self {
        let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
        Self {
            orientation: exif.map(orientation).unwrap_or_default(),
            icc: icc.filter(|icc| icc.len() <= MOST_ICC).map(<[u8]>::to_vec),
        }
    }
}

/// Whether Adobe's marker is there, with which the four inks are stored the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adobe {
    Present,
    Absent,
}

/// Segments with a length, from the beginning to the first scan.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            match rest {
                // Padding.
                [0xff, 0xff, ..] => rest = &rest[1..],
                [0xff, marker, high, low, ..] if *marker != 0xda && *marker != 0xd9 => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    let content = rest.get(4..length + 2)?;
                    rest = &rest[length + 2..];
                    return Some((*marker, content));
                }
                _ => return None,
            }
        }
    })
}

/// The orientation of a TIFF header with its first directory.
fn orientation(tiff: &[u8]) -> Orientation {
    const TAG: u16 = 0x0112;
    const SHORT: u16 = 3;
    let is_little = match tiff.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return Orientation::default(),
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4).and_then(|at| usize::try_from(at).ok());
    let Some((at, count)) = directory.and_then(|at| Some((at, short(at)?))) else { return Orientation::default() };
    let entry = |index: usize| at.checked_add(2)?.checked_add(index * 12);
    (0..usize::from(count))
        .filter_map(entry)
        .find(|entry| short(*entry) == Some(TAG) && short(entry + 2) == Some(SHORT))
        .and_then(|entry| short(entry + 8))
        .map_or_else(Orientation::default, Orientation::new)
}
