//! Pictures as functions of bytes: decoded, turned, brought to size and colour, encoded anew.
//!
//! ```text
//!   kind ─► header: pixels within the limit? ─► decode near the size ─► resize ─► sRGB ─► turn ─► border ─► encode
//! ```
//!
//! What comes out was made here from pixels alone: no metadata, no second document behind the picture.
//! It touches nothing but memory, and is only ever run in a worker, since what decodes is C and its input is a stranger's.

mod kind;
mod metadata;
mod geometry;
mod raster;
mod colour;
mod jpeg;
mod png;
mod gif;
mod webp;
mod avif;

use serde::{Deserialize, Serialize};

pub use kind::Kind;

use crate::{Fit, Format};
use geometry::Plan;
use metadata::{Metadata, Orientation};
use raster::Raster;

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fit: Fit,
    pub format: Target,
    /// 1 to 100; of no meaning for PNG.
    pub quality: u8,
    pub bounds: Bounds,
}

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    As(Format),
    /// PNG where something is transparent, else JPEG: what everybody understands.
    JpegOrPng,
    /// That of what was uploaded; GIF becomes PNG.
    Same,
}

/// What no picture may exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Pixels of what was uploaded.
    pub pixels: u64,
    /// Pixels along each side of what is made.
    pub side: u32,
}

/// A picture that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub bytes: Vec<u8>,
}

/// Why there is none. All of them are of the bytes, never of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    #[error("it is no JPEG, PNG, WebP or GIF")]
    NoPicture,
    #[error("it has {pixels} pixels; {most} are allowed")]
    TooManyPixels { pixels: u64, most: u64 },
    #[error("it is damaged or cut off: {0}")]
    Damaged(String),
    #[error("it cannot be encoded: {0}")]
    NotEncoded(String),
}

impl Bounds {
    /// Asked with the sizes of a header, before anything is decoded.
    fn admit(self, width: u32, height: u32) -> Result<(), Fault> {
        let pixels = u64::from(width) * u64::from(height);
        match pixels {
            0 => Err(Fault::Damaged("it has no pixels".to_owned())),
            _ if pixels > self.pixels => Err(Fault::TooManyPixels { pixels, most: self.pixels }),
            _ => Ok(()),
        }
    }
}

/// Makes a picture of a picture.
///
/// # Errors
/// Where the bytes are no picture that may be decoded.
pub fn render(bytes: &[u8], task: &Task) -> Result<Made, Fault> {
    let kind = kind::of(bytes);
    let task = Task { format: task.format.settled(kind), ..*task };
    match kind {
        Kind::Jpeg => jpeg::render(bytes, &task),
        Kind::Png => finish(png::decode(bytes, task.bounds)?, &task),
        Kind::Gif => finish(gif::decode(bytes, task.bounds)?, &task),
        Kind::Webp => finish(webp::decode(bytes, task.bounds)?, &task),
        Kind::Svg | Kind::Other => Err(Fault::NoPicture),
    }
}

/// An uploaded picture as it may be kept: decoded whole and encoded anew at its own size (or as large as is allowed), so that what hid
/// before, in or after it is gone, where it was taken too.
///
/// # Errors
/// As [`render`].
pub fn reencode(bytes: &[u8], bounds: Bounds) -> Result<Made, Fault> {
    /// High enough that the variants made of it later do not show it.
    const QUALITY: u8 = 92;
    let task = Task { width: None, height: None, fit: Fit::Inside, format: Target::Same, quality: QUALITY, bounds };
    render(bytes, &task)
}

impl Target {
    fn settled(self, kind: Kind) -> Self {
        match (self, kind) {
            (Self::Same, Kind::Jpeg) => Self::As(Format::Jpeg),
            (Self::Same, Kind::Webp) => Self::As(Format::Webp),
            (Self::Same, _) => Self::As(Format::Png),
            _ => self,
        }
    }
}

/// A picture as it was decoded, perhaps smaller than it says it is.
struct Decoded {
    raster: Raster,
    /// By its header, as stored.
    width: u32,
    height: u32,
    metadata: Metadata,
}

/// From pixels to the answer.
fn finish(decoded: Decoded, task: &Task) -> Result<Made, Fault> {
    let Decoded { raster, width, height, metadata } = decoded;
    let plan = Plan::of(width, height, metadata.orientation, task);
    let raster = raster.resized(&plan)?;
    let raster = colour::to_srgb(raster, metadata.icc.as_deref())?;
    let raster = raster.turned(metadata.orientation);
    let format = match task.format {
        Target::As(format) => format,
        Target::JpegOrPng | Target::Same if raster.is_transparent() || plan.has_border() => Format::Png,
        Target::JpegOrPng | Target::Same => Format::Jpeg,
    };
    let raster = if plan.has_border() { raster.bordered(plan.canvas, format != Format::Jpeg) } else { raster };
    let raster = if format == Format::Jpeg { raster.flattened() } else { raster.opaque_without_alpha() };
    let bytes = match format {
        Format::Jpeg => jpeg::encode(&raster, task.quality)?,
        Format::Png => png::encode(&raster)?,
        Format::Webp => webp::encode(&raster, task.quality)?,
        Format::Avif => avif::encode(&raster, task.quality)?,
    };
    Ok(Made { format, width: raster.width, height: raster.height, bytes })
}
