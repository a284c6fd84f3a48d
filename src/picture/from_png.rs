//! PNG to samples. The `png` crate unpacks, undoes the filters and puts interlaced rows in order; what remains here is
//! what PIL makes of bit depths and palettes.

use std::io::Cursor;

use png::BitDepth;
use png::ColorType;
use png::Decoder;
use png::DecodingError;
use png::Transformations;

use super::decode::Picture;
use super::decode::Samples;
use super::decode::check_size;
use super::exif;
use crate::bytes::Limits;
use crate::error::Error;
use crate::error::Result;

/// Bytes that the decoder may take beside the picture itself: chunks, its window.
const WORKING_MEMORY: usize = 64 << 20;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let working = png::Limits {
        bytes: WORKING_MEMORY,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), working);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(error)?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(width, height, limits)?;
    let mut reader = decoder.read_info().map_err(error)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| Error::limit("the picture needs more memory than can be addressed"))?;
    let mut packed = vec![0; size];
    let frame = reader.next_frame(&mut packed).map_err(error)?;
    let info = reader.info();
    let rows = packed.chunks_exact(frame.line_size).take(height);
    let depth = info.bit_depth;
    let orientation = info.exif_metadata.as_deref().map_or(1, exif::orientation);
    let (channels, samples) = match info.color_type {
        ColorType::Grayscale if depth == BitDepth::Sixteen => {
            let (words, _) = packed.as_chunks::<2>();
            let words = words.iter().map(|&word| u16::from_be_bytes(word));
            (1, Samples::Sixteen(words.collect()))
        }
        ColorType::Grayscale => {
            // 1, 2 and 4 bits: spread so that all ones are 255
            let step = 255 / ((1u16 << depth as u8) - 1) as u8;
            let grey = unpacked(rows, depth as usize, width).map(|v| v * step);
            (1, Samples::Eight(grey.collect()))
        }
        ColorType::Indexed => {
            let palette = info.palette.as_deref().unwrap_or_default();
            let (palette, _) = palette.as_chunks::<3>();
            // PIL pads a short palette with black
            let color = |index: u8| palette.get(usize::from(index)).copied().unwrap_or_default();
            let colors = unpacked(rows, depth as usize, width).flat_map(color);
            (3, Samples::Eight(colors.collect()))
        }
        ColorType::GrayscaleAlpha if depth == BitDepth::Sixteen => {
            // PIL has no such mode, and takes RGBA
            let (pixels, _) = packed.as_chunks::<4>();
            let pixels = pixels.iter().flat_map(|&[v, _, a, _]| [v, v, v, a]);
            (4, Samples::Eight(pixels.collect()))
        }
        color => {
            let channels = color.samples();
            let samples = match depth {
                BitDepth::Sixteen => packed.iter().step_by(2).copied().collect(),
                _ => packed,
            };
            (channels, Samples::Eight(samples))
        }
    };
    Ok(Picture {
        width,
        height,
        channels,
        samples,
        orientation,
    })
}

/// One byte for each sample of 1, 2, 4 or 8 bits; rows begin on byte borders, the first sample in the high bits.
fn unpacked<'a>(
    rows: impl Iterator<Item = &'a [u8]> + 'a,
    depth: usize,
    width: usize,
) -> impl Iterator<Item = u8> + 'a {
    let mask = ((1u16 << depth) - 1) as u8;
    rows.flat_map(move |row| {
        (0..width).map(move |x| {
            let bit = x * depth;
            row[bit / 8] >> (8 - depth - bit % 8) & mask
        })
    })
}

fn error(error: DecodingError) -> Error {
    match error {
        DecodingError::LimitsExceeded => Error::limit(format!(
            "a chunk of the PNG needs more than {WORKING_MEMORY} bytes of memory"
        )),
        DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::malformed("the PNG is cut off").with_hint("copy or download it again")
        }
        DecodingError::IoError(e) => Error::malformed(format!("the PNG cannot be read: {e}")),
        DecodingError::Format(e) => Error::malformed(format!("the PNG is damaged: {e}")),
        DecodingError::Parameter(e) => Error::malformed(format!("the PNG is damaged: {e}")),
    }
}
