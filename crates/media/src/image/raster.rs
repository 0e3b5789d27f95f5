//! Pixels in memory.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::{Fault, Orientation, Plan};

/// What a pixel's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    Grey,
    Rgb,
    Rgba,
    /// Four inks, 255 is all of it.
    Cmyk,
}

impl Channels {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    fn pixel_type(self) -> PixelType {
        match self {
            Self::Grey => PixelType::U8,
            Self::Rgb => PixelType::U8x3,
            Self::Rgba | Self::Cmyk => PixelType::U8x4,
        }
    }
}

/// Rows from the top, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    pub(super) data: Vec<u8>,
}

const WHITE: u8 = 255;

/// How many bytes a raster of this size takes.
pub(super) fn length(width: u32, height: u32, channels: usize) -> usize {
    width as usize * height as usize * channels
}

impl Raster {
    pub(super) fn resized(self, plan: &Plan) -> Result<Self, Fault> {
        let (width, height) = plan.size;
        let is_whole = plan.part.0 >= 1.0 && plan.part.1 >= 1.0;
        if is_whole && (width, height) == (self.width, self.height) {
            return Ok(self);
        }
        let data = resize(&self.data, (self.width, self.height), self.channels, plan.part, plan.size)?;
        Ok(Self { width, height, channels: self.channels, data })
    }

    /// As it is looked at.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        if orientation.number() == 1 {
            return self;
        }
        let count = self.channels.count();
        let (data, width, height) = turn(&self.data, self.width, self.height, count, orientation);
        Self { width, height, channels: self.channels, data }
    }

    pub(super) fn is_transparent(&self) -> bool {
        self.channels == Channels::Rgba && self.data.chunks_exact(4).any(|pixel| pixel[3] != WHITE)
    }

    /// In the middle of a larger canvas: transparent, or white.
    pub(super) fn bordered(self, canvas: (u32, u32), with_alpha: bool) -> Self {
        let (width, height) = (canvas.0.max(self.width), canvas.1.max(self.height));
        let picture = if with_alpha { self.with_alpha() } else { self.flattened() };
        let count = picture.channels.count();
        let mut data = vec![if with_alpha { 0 } else { WHITE }; length(width, height, count)];
        let left = (width - picture.width) as usize / 2 * count;
        let top = (height - picture.height) as usize / 2;
        let (row, line) = (picture.width as usize * count, width as usize * count);
        for (source, target) in picture.data.chunks_exact(row).zip(data.chunks_exact_mut(line).skip(top)) {
            target[left..left + row].copy_from_slice(source);
        }
        Self { width, height, channels: picture.channels, data }
    }

    fn with_alpha(self) -> Self {
        let data = match self.channels {
            Channels::Rgba | Channels::Cmyk => return self,
            Channels::Rgb => self.data.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], WHITE]).collect(),
            Channels::Grey => self.data.iter().flat_map(|&grey| [grey, grey, grey, WHITE]).collect(),
        };
        Self { channels: Channels::Rgba, data, ..self }
    }

    /// On white.
    pub(super) fn flattened(self) -> Self {
        if self.channels != Channels::Rgba {
            return self;
        }
        let over = |colour: u8, alpha: u8| {
            let sum = u32::from(colour) * u32::from(alpha) + u32::from(WHITE) * u32::from(WHITE - alpha);
            u8::try_from((sum + 127) / 255).unwrap_or(WHITE)
        };
        let data = self.data.chunks_exact(4).flat_map(|pixel| [0, 1, 2].map(|at| over(pixel[at], pixel[3]))).collect();
        Self { channels: Channels::Rgb, data, ..self }
    }

    /// Without the channel that says nothing.
    pub(super) fn opaque_without_alpha(self) -> Self {
        if self.channels != Channels::Rgba || self.is_transparent() {
            return self;
        }
        let data = self.data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { channels: Channels::Rgb, data, ..self }
    }
}

/// A part of the middle in another size.
pub(super) fn resize(
    data: &[u8],
    from: (u32, u32),
    channels: Channels,
    part: (f64, f64),
    to: (u32, u32),
) -> Result<Vec<u8>, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::NotEncoded(error.to_string());
    let source = ImageRef::new(from.0, from.1, data, channels.pixel_type()).map_err(|error| fault(&error))?;
    let mut target = Image::new(to.0, to.1, channels.pixel_type());
    let (width, height) = (f64::from(from.0) * part.0, f64::from(from.1) * part.1);
    let (left, top) = ((f64::from(from.0) - width) / 2.0, (f64::from(from.1) - height) / 2.0);
    // Inks are no transparency.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left, top, width, height)
        .use_alpha(channels == Channels::Rgba);
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| fault(&error))?;
    Ok(target.into_vec())
}

/// A plane or a raster as it is looked at, with its width and height then.
pub(super) fn turn(
    data: &[u8],
    width: u32,
    height: u32,
    count: usize,
    orientation: Orientation,
) -> (Vec<u8>, u32, u32) {
    let (w, h) = (width as usize, height as usize);
    let (new_width, new_height) = if orientation.swaps_sides() { (h, w) } else { (w, h) };
    let mut turned = Vec::with_capacity(data.len());
    for y in 0..new_height {
        for x in 0..new_width {
            // Which stored pixel is looked at here.
            let (from_x, from_y) = match orientation.number() {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (w - 1 - y, x),
                _ => (x, y),
            };
            let at = (from_y * w + from_x) * count;
            turned.extend_from_slice(&data[at..at + count]);
        }
    }
    let (width, height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
    (turned, width, height)
}
