//! GIF: its first picture, on the canvas of all.

use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::raster::{Channels, Raster, length};
use super::{Bounds, Decoded, Fault, metadata::Metadata};

fn damaged(error: gif::DecodingError) -> Fault {
    Fault::Damaged(error.to_string())
}

pub(super) fn decode(bytes: &[u8], bounds: Bounds) -> Result<Decoded, Fault> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.check_frame_consistency(true);
    let most = NonZeroU64::new(bounds.pixels.saturating_mul(4)).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(MemoryLimit::Bytes(most));
    let mut decoder = options.read_info(bytes).map_err(damaged)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    bounds.admit(width, height)?;
    let icc = decoder.icc_profile().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(damaged)?;
    let frame = frame.ok_or_else(|| Fault::Damaged("it has no picture".to_owned()))?;
    let mut data = vec![0; length(width, height, 4)];
    // The reader has checked that the frame lies in the canvas.
    let (line, row) = (width as usize * 4, usize::from(frame.width) * 4);
    let left = usize::from(frame.left) * 4;
    let lines = data.chunks_exact_mut(line).skip(frame.top.into());
    for (source, target) in frame.buffer.chunks_exact(row.max(4)).zip(lines) {
        if let Some(target) = target.get_mut(left..left + row) {
            target.copy_from_slice(source);
        }
    }
    let metadata = Metadata::of_parts(None, icc.as_deref());
    Ok(Decoded { raster: Raster { width, height, channels: Channels::Rgba, data }, width, height, metadata })
}
