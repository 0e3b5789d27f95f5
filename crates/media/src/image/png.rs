//! PNG.

use std::io::Cursor;

use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Limits, Transformations};

use super::raster::{Channels, Raster, length};
use super::{Bounds, Decoded, Fault, metadata::Metadata};

/// Room for a profile beside the pixels: it is compressed, so a small file may say that it has a large one.
const AROUND: usize = 8 << 20;

fn damaged(error: png::DecodingError) -> Fault {
    Fault::Damaged(error.to_string())
}

/// Of an animation the picture that is shown where none is possible, or the first.
pub(super) fn decode(bytes: &[u8], bounds: Bounds) -> Result<Decoded, Fault> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    // Texts are compressed too, and nobody reads them.
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = (header.width, header.height);
    bounds.admit(width, height)?;
    decoder.set_limits(Limits { bytes: length(width, height, 4) + AROUND });
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (colour, _) = reader.output_color_type();
    let info = reader.info();
    // A chunk that says sRGB is right before a profile is looked for.
    let icc = info.icc_profile.as_deref().filter(|_| info.srgb.is_none());
    let metadata = Metadata::of_parts(info.exif_metadata.as_deref(), icc);
    let size = reader.output_buffer_size().ok_or_else(|| Fault::Damaged("it has no size".to_owned()))?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(damaged)?;
    let (channels, data) = match colour {
        ColorType::Grayscale => (Channels::Grey, data),
        ColorType::Rgb => (Channels::Rgb, data),
        ColorType::Rgba => (Channels::Rgba, data),
        ColorType::GrayscaleAlpha => {
            (Channels::Rgba, data.chunks_exact(2).flat_map(|pair| [pair[0], pair[0], pair[0], pair[1]]).collect())
        }
        ColorType::Indexed => return Err(Fault::Damaged("its palette is missing".to_owned())),
    };
    if data.len() != length(width, height, channels.count()) {
        return Err(Fault::Damaged("it is not as large as it says".to_owned()));
    }
    Ok(Decoded { raster: Raster { width, height, channels, data }, width, height, metadata })
}

pub(super) fn encode(raster: &Raster) -> Result<Vec<u8>, Fault> {
    let not_encoded = |error: png::EncodingError| Fault::NotEncoded(error.to_string());
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, raster.width, raster.height);
    encoder.set_color(match raster.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
        Channels::Cmyk => return Err(Fault::NotEncoded("PNG has no inks".to_owned())),
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header().map_err(not_encoded)?;
    writer.write_image_data(&raster.data).map_err(not_encoded)?;
    writer.finish().map_err(not_encoded)?;
    Ok(bytes)
}
