//! WebP, by libwebp.

#![expect(unsafe_code, reason = "libwebp's functions take pointers; this file alone calls them")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use libwebp_sys as sys;

use super::jpeg::Planes;
use super::metadata::Metadata;
use super::raster::{Channels, Raster, length};
use super::{Bounds, Decoded, Fault};

fn damaged(what: &str) -> Fault {
    Fault::Damaged(what.to_owned())
}

fn not_encoded(what: &str) -> Fault {
    Fault::NotEncoded(what.to_owned())
}

fn int(number: u32) -> Result<c_int, Fault> {
    c_int::try_from(number).map_err(|_| damaged("it has no size"))
}

/// Of an animation the first picture.
pub(super) fn decode(bytes: &[u8], bounds: Bounds) -> Result<Decoded, Fault> {
    let mut features = MaybeUninit::<sys::WebPBitstreamFeatures>::uninit();
    // SAFETY: the bytes are those of a slice; where it says OK it has written all of `features`.
    let features = unsafe {
        let status = sys::WebPGetFeatures(bytes.as_ptr(), bytes.len(), features.as_mut_ptr());
        if status != sys::VP8StatusCode::VP8_STATUS_OK {
            return Err(damaged("its header cannot be read"));
        }
        features.assume_init()
    };
    let side = |side: c_int| u32::try_from(side).map_err(|_| damaged("it has no size"));
    let (width, height) = (side(features.width)?, side(features.height)?);
    bounds.admit(width, height)?;
    let (channels, data) = if features.has_animation != 0 {
        (Channels::Rgba, first_of_animation(bytes, width, height)?)
    } else {
        let channels = if features.has_alpha != 0 { Channels::Rgba } else { Channels::Rgb };
        let mut data = vec![0; length(width, height, channels.count())];
        let stride = int(width)? * if features.has_alpha != 0 { 4 } else { 3 };
        // SAFETY: both slices are as long as is said, and rows of `stride` bytes lie in the second one.
        let end = unsafe {
            let into = if features.has_alpha != 0 { sys::WebPDecodeRGBAInto } else { sys::WebPDecodeRGBInto };
            into(bytes.as_ptr(), bytes.len(), data.as_mut_ptr(), data.len(), stride)
        };
        if end.is_null() {
            return Err(damaged("its pixels cannot be read"));
        }
        (channels, data)
    };
    Ok(Decoded { raster: Raster { width, height, channels, data }, width, height, metadata: Metadata::of_webp(bytes) })
}

struct Animation(*mut sys::WebPAnimDecoder);

impl Drop for Animation {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `WebPAnimDecoderNew` and is used by nobody else.
        unsafe { sys::WebPAnimDecoderDelete(self.0) };
    }
}

fn first_of_animation(bytes: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Fault> {
    let data = sys::WebPData { bytes: bytes.as_ptr(), size: bytes.len() };
    // SAFETY: `data` describes a slice that outlives the decoder. A frame belongs to the decoder and is copied before it goes; it has
    // the canvas's size, which is compared with the one that memory was allowed for.
    unsafe {
        let decoder = sys::WebPAnimDecoderNew(&raw const data, std::ptr::null());
        if decoder.is_null() {
            return Err(damaged("its animation cannot be read"));
        }
        let decoder = Animation(decoder);
        let mut info = MaybeUninit::<sys::WebPAnimInfo>::uninit();
        if sys::WebPAnimDecoderGetInfo(decoder.0, info.as_mut_ptr()) == 0 {
            return Err(damaged("its animation cannot be read"));
        }
        let info = info.assume_init();
        if (info.canvas_width, info.canvas_height) != (width, height) {
            return Err(damaged("it has two sizes"));
        }
        let (mut frame, mut time) = (std::ptr::null_mut(), 0);
        if sys::WebPAnimDecoderGetNext(decoder.0, &raw mut frame, &raw mut time) == 0 || frame.is_null() {
            return Err(damaged("its first picture cannot be read"));
        }
        Ok(std::slice::from_raw_parts(frame, length(width, height, 4)).to_vec())
    }
}

/// A picture of libwebp's, with what it wrote. Both are freed with it.
struct Picture {
    picture: sys::WebPPicture,
    written: sys::WebPMemoryWriter,
}

impl Picture {
    fn new(width: u32, height: u32) -> Result<Self, Fault> {
        let mut picture = sys::WebPPicture::new().map_err(|()| not_encoded("libwebp is of another version"))?;
        let mut written = MaybeUninit::<sys::WebPMemoryWriter>::uninit();
        // SAFETY: it writes all of the writer.
        let written = unsafe {
            sys::WebPMemoryWriterInit(written.as_mut_ptr());
            written.assume_init()
        };
        picture.width = int(width)?;
        picture.height = int(height)?;
        picture.writer = Some(sys::WebPMemoryWrite);
        Ok(Self { picture, written })
    }

    fn encode(mut self, quality: u8) -> Result<Vec<u8>, Fault> {
        let mut config = sys::WebPConfig::new().map_err(|()| not_encoded("libwebp is of another version"))?;
        config.quality = quality.into();
        self.picture.custom_ptr = (&raw mut self.written).cast::<c_void>();
        // SAFETY: both are initialised; the writer that `custom_ptr` leads to lives as long as `self`, and its memory is as long as it
        // says.
        unsafe {
            if sys::WebPEncode(&raw const config, &raw mut self.picture) == 0 {
                return Err(Fault::NotEncoded(format!("{:?}", self.picture.error_code)));
            }
            Ok(std::slice::from_raw_parts(self.written.mem, self.written.size).to_vec())
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: both were initialised, and free what they allocated themselves.
        unsafe {
            sys::WebPPictureFree(&raw mut self.picture);
            sys::WebPMemoryWriterClear(&raw mut self.written);
        }
    }
}

pub(super) fn encode(raster: &Raster, quality: u8) -> Result<Vec<u8>, Fault> {
    let grey: Vec<u8>;
    let (data, channels) = match raster.channels {
        Channels::Grey => {
            grey = raster.data.iter().flat_map(|&grey| [grey; 3]).collect();
            (&grey, 3)
        }
        Channels::Rgb => (&raster.data, 3),
        Channels::Rgba => (&raster.data, 4),
        Channels::Cmyk => return Err(not_encoded("WebP has no inks")),
    };
    if data.len() != length(raster.width, raster.height, channels) {
        return Err(not_encoded("its rows are not as long as it is wide"));
    }
    let mut picture = Picture::new(raster.width, raster.height)?;
    let stride = int(raster.width)? * if channels == 4 { 4 } else { 3 };
    // SAFETY: as was just seen, there are `height` rows of `stride` bytes.
    let imported = unsafe {
        let import = if channels == 4 { sys::WebPPictureImportRGBA } else { sys::WebPPictureImportRGB };
        import(&raw mut picture.picture, data.as_ptr(), stride)
    };
    if imported == 0 {
        return Err(not_encoded("there is no memory for it"));
    }
    picture.encode(quality)
}

/// Without a way over red, green and blue: the planes mean the same, in another range.
pub(super) fn encode_planes(planes: Planes, quality: u8) -> Result<Vec<u8>, Fault> {
    let Planes { width, height, mut light, mut blue, mut red, colour } = planes;
    let is_whole = light.len() == length(width, height, 1)
        && colour == (width.div_ceil(2), height.div_ceil(2))
        && [&blue, &red].iter().all(|plane| plane.len() == length(colour.0, colour.1, 1));
    if !is_whole {
        return Err(not_encoded("its planes have another size"));
    }
    // JPEG uses all of a byte, video and WebP keep a margin (BT.601): 16 to 235 for light, 16 to 240 for colour.
    let light_range = table(|value| 16.0 + value * 219.0 / 255.0);
    let colour_range = table(|value| 128.0 + (value - 128.0) * 224.0 / 255.0);
    light.iter_mut().for_each(|value| *value = light_range[usize::from(*value)]);
    blue.iter_mut().chain(&mut red).for_each(|value| *value = colour_range[usize::from(*value)]);
    let mut picture = Picture::new(width, height)?;
    picture.picture.use_argb = 0;
    picture.picture.colorspace = sys::WebPEncCSP::WEBP_YUV420;
    picture.picture.y = light.as_mut_ptr();
    picture.picture.u = blue.as_mut_ptr();
    picture.picture.v = red.as_mut_ptr();
    picture.picture.y_stride = int(width)?;
    picture.picture.uv_stride = int(colour.0)?;
    // The planes have the sizes that were just seen, are not freed by the picture, whose own memory they are not, and live until here.
    picture.encode(quality)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ranges lie in a byte")]
fn table(of: impl Fn(f32) -> f32) -> [u8; 256] {
    std::array::from_fn(|value| of(f32::from(u8::try_from(value).unwrap_or(u8::MAX))).round() as u8)
}
