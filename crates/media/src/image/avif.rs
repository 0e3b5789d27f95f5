//! AVIF, written by rav1e. It is not read: nobody uploads it yet, and a decoder would be one more in C.

use ravif::{BitDepth, Encoder, Img, RGB8, RGBA8};

use super::Fault;
use super::raster::{Channels, Raster};

/// The fastest. Two steps slower is five times the work for a tenth of the bytes.
const SPEED: u8 = 10;

pub(super) fn encode(raster: &Raster, quality: u8) -> Result<Vec<u8>, Fault> {
    let (width, height) = (raster.width as usize, raster.height as usize);
    // Its scale is higher: at 64 it looks as JPEG does at 75.
    let quality = (f32::from(quality) * 0.85).clamp(1.0, 100.0);
    let encoder = Encoder::new()
        .with_quality(quality)
        .with_alpha_quality(quality)
        .with_speed(SPEED)
        .with_bit_depth(BitDepth::Eight)
        // A worker may start no thread.
        .with_num_threads(Some(1));
    let rgb = |pixels: Vec<RGB8>| encoder.encode_rgb(Img::new(&pixels[..], width, height));
    let encoded = match raster.channels {
        Channels::Grey => rgb(raster.data.iter().map(|&grey| RGB8::new(grey, grey, grey)).collect()),
        Channels::Rgb => rgb(raster.data.chunks_exact(3).map(|rgb| RGB8::new(rgb[0], rgb[1], rgb[2])).collect()),
        Channels::Rgba => {
            let pixel = |rgba: &[u8]| RGBA8::new(rgba[0], rgba[1], rgba[2], rgba[3]);
            let pixels: Vec<RGBA8> = raster.data.chunks_exact(4).map(pixel).collect();
            encoder.encode_rgba(Img::new(&pixels[..], width, height))
        }
        Channels::Cmyk => return Err(Fault::NotEncoded("AVIF has no inks".to_owned())),
    };
    encoded.map(|encoded| encoded.avif_file).map_err(|error| Fault::NotEncoded(error.to_string()))
}
