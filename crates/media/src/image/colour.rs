//! Colours as sRGB, which is what everybody takes a picture without a profile for.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::Fault;
use super::raster::{Channels, Raster};

/// What an ICC profile says of a picture's numbers.
pub(super) enum Meaning {
    /// There is nothing to do.
    Srgb,
    Other(Box<ColorProfile>),
}

/// Steps of 8 bits that nobody sees: profiles of sRGB differ by so much from each other.
const UNSEEN: u8 = 2;

impl Meaning {
    /// A profile that cannot be read, or is for something else, is no profile, as for browsers.
    pub(super) fn of(icc: Option<&[u8]>, channels: Channels) -> Self {
        let wanted = match channels {
            Channels::Grey => DataColorSpace::Gray,
            Channels::Rgb | Channels::Rgba => DataColorSpace::Rgb,
            Channels::Cmyk => DataColorSpace::Cmyk,
        };
        let profile = icc.and_then(|icc| ColorProfile::new_from_slice(icc).ok());
        match profile.filter(|profile| profile.color_space == wanted) {
            Some(profile) if channels != Channels::Rgb && channels != Channels::Rgba => Self::Other(Box::new(profile)),
            Some(profile) if !is_srgb(&profile) => Self::Other(Box::new(profile)),
            _ => Self::Srgb,
        }
    }
}

/// By what it does to colours all over the cube: its name says nothing.
fn is_srgb(profile: &ColorProfile) -> bool {
    const STEPS: [u8; 6] = [0, 32, 64, 128, 192, 255];
    let with_blue = |r: u8, g: u8| STEPS.into_iter().flat_map(move |b| [r, g, b]);
    let with_green = |r: u8| STEPS.into_iter().flat_map(move |g| with_blue(r, g));
    let colours: Vec<u8> = STEPS.into_iter().flat_map(with_green).collect();
    let mut same = vec![0; colours.len()];
    let transform =
        profile.create_transform_8bit(Layout::Rgb, &ColorProfile::new_srgb(), Layout::Rgb, TransformOptions::default());
    transform.is_ok_and(|transform| transform.transform(&colours, &mut same).is_ok())
        && colours.iter().zip(&same).all(|(a, b)| a.abs_diff(*b) <= UNSEEN)
}

/// A raster in sRGB, or in greys, with the transparency that it had.
pub(super) fn to_srgb(raster: Raster, icc: Option<&[u8]>) -> Result<Raster, Fault> {
    match Meaning::of(icc, raster.channels) {
        Meaning::Srgb if raster.channels == Channels::Cmyk => Ok(without_profile(raster)),
        Meaning::Srgb => Ok(raster),
        Meaning::Other(profile) => convert(&raster, &profile).map_or_else(
            // As without one: better than no picture.
            |_| Ok(if raster.channels == Channels::Cmyk { without_profile(raster.clone()) } else { raster.clone() }),
            Ok,
        ),
    }
}

fn convert(raster: &Raster, profile: &ColorProfile) -> Result<Raster, moxcms::CmsError> {
    let (from, to, channels) = match raster.channels {
        Channels::Grey => (Layout::Gray, Layout::Rgb, Channels::Rgb),
        Channels::Rgb => (Layout::Rgb, Layout::Rgb, Channels::Rgb),
        Channels::Rgba => (Layout::Rgba, Layout::Rgba, Channels::Rgba),
        // Four channels are `Rgba` to it, whatever they mean.
        Channels::Cmyk => (Layout::Rgba, Layout::Rgb, Channels::Rgb),
    };
    let transform = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default())?;
    let mut data = vec![0; raster.data.len() / raster.channels.count() * channels.count()];
    transform.transform(&raster.data, &mut data)?;
    Ok(Raster { width: raster.width, height: raster.height, channels, data })
}

/// What four inks are on white paper, roughly: what was meant is only in a profile.
fn without_profile(raster: Raster) -> Raster {
    let left = |ink: u8, black: u8| {
        let light = u32::from(255 - ink) * u32::from(255 - black);
        u8::try_from((light + 127) / 255).unwrap_or(u8::MAX)
    };
    let data = raster.data.chunks_exact(4).flat_map(|ink| [0, 1, 2].map(|at| left(ink[at], ink[3]))).collect();
    Raster { channels: Channels::Rgb, data, ..raster }
}
