//! JPEG, by libjpeg-turbo: decoded at an eighth, a half and so on of its size where less is wanted.
//!
//! A JPEG is light and two planes of colour. Where its colours are sRGB and a JPEG or WebP is wanted, which have the same planes,
//! it is never turned into red, green and blue: half of the bytes to resize, and no conversion there and back.

use turbojpeg::{
    Colorspace, Compressor, DecompressHeader, Decompressor, PixelFormat, ScalingFactor, Subsamp, YuvImage,
    YuvPlanesImage,
};

use super::colour::Meaning;
use super::geometry::Plan;
use super::metadata::{Adobe, Metadata, Orientation};
use super::raster::{self, Channels, Raster};
use super::{Decoded, Fault, Made, Target, Task, finish, webp};
use crate::Format;

/// A progressive picture may have any number of scans, each of which costs as much as a picture; encoders write about ten.
const MOST_SCANS: u32 = 100;

fn damaged(error: turbojpeg::Error) -> Fault {
    Fault::Damaged(error.to_string())
}

fn not_encoded(error: turbojpeg::Error) -> Fault {
    Fault::NotEncoded(error.to_string())
}

fn side(pixels: usize) -> Result<u32, Fault> {
    u32::try_from(pixels).map_err(|_| Fault::Damaged("it has no size".to_owned()))
}

pub(super) fn render(bytes: &[u8], task: &Task) -> Result<Made, Fault> {
    let mut decompressor = Decompressor::new().map_err(damaged)?;
    decompressor.set_scan_limit(MOST_SCANS).map_err(damaged)?;
    let header = decompressor.read_header(bytes).map_err(damaged)?;
    let (width, height) = (side(header.width)?, side(header.height)?);
    task.bounds.admit(width, height)?;
    let (metadata, adobe) = Metadata::of_jpeg(bytes);
    let plan = Plan::of(width, height, metadata.orientation, task);
    let scale = if header.is_lossless { 8 } else { plan.eighths(width, height) };
    decompressor.set_scaling_factor(ScalingFactor::new(scale.into(), 8)).map_err(damaged)?;
    let scaled = header.scaled(ScalingFactor::new(scale.into(), 8));

    let has_planes =
        header.colorspace == Colorspace::YCbCr && !header.is_lossless && header.subsamp != Subsamp::Unknown;
    let takes_planes = matches!(task.format, Target::JpegOrPng | Target::As(Format::Jpeg | Format::Webp));
    let is_srgb = || matches!(Meaning::of(metadata.icc.as_deref(), Channels::Rgb), Meaning::Srgb);
    if has_planes && takes_planes && !plan.has_border() && is_srgb() {
        let planes = Planes::decode(&mut decompressor, bytes, &scaled)?;
        return planes.resized(&plan)?.turned(metadata.orientation).encode(task);
    }
    let (format, channels) = match header.colorspace {
        Colorspace::Gray => (PixelFormat::GRAY, Channels::Grey),
        Colorspace::CMYK | Colorspace::YCCK => (PixelFormat::CMYK, Channels::Cmyk),
        Colorspace::RGB | Colorspace::YCbCr => (PixelFormat::RGB, Channels::Rgb),
    };
    let mut data = vec![0; scaled.width * scaled.height * format.size()];
    let pitch = scaled.width * format.size();
    let image = turbojpeg::Image { pixels: &mut data[..], width: scaled.width, pitch, height: scaled.height, format };
    decompressor.decompress(bytes, image).map_err(damaged)?;
    if channels == Channels::Cmyk && adobe == Adobe::Present {
        data.iter_mut().for_each(|ink| *ink = !*ink);
    }
    let raster = Raster { width: side(scaled.width)?, height: side(scaled.height)?, channels, data };
    finish(Decoded { raster, width, height, metadata }, task)
}

/// Light, and two planes of colour.
pub(super) struct Planes {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) light: Vec<u8>,
    pub(super) blue: Vec<u8>,
    pub(super) red: Vec<u8>,
    /// Width and height of a plane of colour.
    pub(super) colour: (u32, u32),
}

impl Planes {
    fn decode(decompressor: &mut Decompressor, bytes: &[u8], scaled: &DecompressHeader) -> Result<Self, Fault> {
        let (width, height, subsamp) = (scaled.width, scaled.height, scaled.subsamp);
        let wrong = || Fault::Damaged("its planes have no size".to_owned());
        let length = turbojpeg::yuv_pixels_len(width, 1, height, subsamp).map_err(damaged)?;
        let mut pixels = vec![0; length];
        let image = YuvImage { pixels: &mut pixels[..], width, align: 1, height, subsamp };
        decompressor.decompress_to_yuv(bytes, image).map_err(damaged)?;
        let image = YuvImage { pixels: &pixels[..], width, align: 1, height, subsamp };
        let (light, colour) = (image.y_size(), image.uv_size());
        let mut light_plane = pixels;
        let mut blue = light_plane.split_off(light.0 * light.1);
        let red = blue.split_off((colour.0 * colour.1).min(blue.len()));
        // It is padded to whole samples of colour.
        let light_plane = padded(light_plane, light, (width, height)).ok_or_else(wrong)?;
        let colour = (side(colour.0)?, side(colour.1)?);
        Ok(Self { width: side(width)?, height: side(height)?, light: light_plane, blue, red, colour })
    }

    /// With colour of half the width and height, as both formats have it.
    fn resized(self, plan: &Plan) -> Result<Self, Fault> {
        let (width, height) = plan.size;
        let half = (width.div_ceil(2), height.div_ceil(2));
        let plane = |data: Vec<u8>, from: (u32, u32), to: (u32, u32)| {
            let is_same = plan.part.0 >= 1.0 && plan.part.1 >= 1.0 && from == to;
            if is_same { Ok(data) } else { raster::resize(&data, from, Channels::Grey, plan.part, to) }
        };
        Ok(Self {
            width,
            height,
            light: plane(self.light, (self.width, self.height), plan.size)?,
            blue: plane(self.blue, self.colour, half)?,
            red: plane(self.red, self.colour, half)?,
            colour: half,
        })
    }

    fn turned(self, orientation: Orientation) -> Self {
        if orientation.number() == 1 {
            return self;
        }
        let (light, width, height) = raster::turn(&self.light, self.width, self.height, 1, orientation);
        let (blue, across, down) = raster::turn(&self.blue, self.colour.0, self.colour.1, 1, orientation);
        let (red, ..) = raster::turn(&self.red, self.colour.0, self.colour.1, 1, orientation);
        Self { width, height, light, blue, red, colour: (across, down) }
    }

    fn encode(self, task: &Task) -> Result<Made, Fault> {
        let (width, height) = (self.width, self.height);
        let (format, bytes) = match task.format {
            Target::As(Format::Webp) => (Format::Webp, webp::encode_planes(self, task.quality)?),
            _ => (Format::Jpeg, self.into_jpeg(task.quality)?),
        };
        Ok(Made { format, width, height, bytes })
    }

    fn into_jpeg(self, quality: u8) -> Result<Vec<u8>, Fault> {
        let (width, height) = (self.width as usize, self.height as usize);
        // Light for each sample of colour: an odd side is one longer.
        let (across, down) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let light = padded(self.light, (width, height), (across, down))
            .ok_or_else(|| Fault::NotEncoded("its planes have no size".to_owned()))?;
        let image = YuvPlanesImage {
            y_plane: &light[..],
            u_plane: &self.blue[..],
            v_plane: &self.red[..],
            width,
            height,
            y_stride: across,
            u_stride: self.colour.0 as usize,
            v_stride: self.colour.0 as usize,
            subsamp: Subsamp::Sub2x2,
        };
        compressor(quality)?.compress_yuv_planes_to_vec(&image).map_err(not_encoded)
    }
}

/// A plane in another size: cut off, or its last column and row again.
fn padded(plane: Vec<u8>, from: (usize, usize), to: (usize, usize)) -> Option<Vec<u8>> {
    if from == to {
        return Some(plane);
    }
    let rows: Vec<&[u8]> = plane.chunks_exact(from.0.max(1)).collect();
    let mut changed = Vec::with_capacity(to.0 * to.1);
    for y in 0..to.1 {
        let row = rows.get(y).or(rows.last())?;
        let kept = to.0.min(from.0);
        changed.extend_from_slice(&row[..kept]);
        changed.extend(std::iter::repeat_n(*row.last()?, to.0 - kept));
    }
    Some(changed)
}

fn compressor(quality: u8) -> Result<Compressor, Fault> {
    let mut compressor = Compressor::new().map_err(not_encoded)?;
    compressor.set_quality(quality.into()).map_err(not_encoded)?;
    compressor.set_optimize(true).map_err(not_encoded)?;
    Ok(compressor)
}

pub(super) fn encode(raster: &Raster, quality: u8) -> Result<Vec<u8>, Fault> {
    let (format, subsamp) = match raster.channels {
        Channels::Grey => (PixelFormat::GRAY, Subsamp::Gray),
        Channels::Rgb => (PixelFormat::RGB, Subsamp::Sub2x2),
        Channels::Rgba | Channels::Cmyk => return Err(Fault::NotEncoded("it has four channels".to_owned())),
    };
    let mut compressor = compressor(quality)?;
    compressor.set_subsamp(subsamp).map_err(not_encoded)?;
    let width = raster.width as usize;
    let image = turbojpeg::Image {
        pixels: &raster.data[..],
        width,
        pitch: width * format.size(),
        height: raster.height as usize,
        format,
    };
    compressor.compress_to_vec(image).map_err(not_encoded)
}
