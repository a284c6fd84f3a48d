//! JPEG to samples, by the `jpeg-decoder` crate in its portable form: the same samples on every machine.
//!
//! The standard (ITU-T T.81) leaves the rounding of the inverse DCT, and how halved chroma is spread, to the decoder;
//! so samples differ a little from those of libjpeg-turbo, which PIL uses.

use jpeg_decoder::CodingProcess;
use jpeg_decoder::Decoder;
use jpeg_decoder::PixelFormat;
use jpeg_decoder::UnsupportedFeature;

use super::decode::Picture;
use super::decode::Samples;
use super::decode::check_size;
use super::exif;
use crate::bytes::Limits;
use crate::error::Error;
use crate::error::Result;

/// Scans of one picture: a progressive one has about ten; thousands are an attack on time, since each goes over the
/// whole picture.
const SCANS: usize = 200;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let mut decoder = Decoder::new(bytes);
    decoder.read_info().map_err(error)?;
    let info = decoder
        .info()
        .ok_or_else(|| Error::malformed("the JPEG has no frame"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    check_size(width, height, limits)?;
    if info.coding_process == CodingProcess::Lossless {
        return Err(refused("is coded without loss"));
    }
    let channels = match info.pixel_format {
        PixelFormat::L8 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => return Err(refused("has the four colours of print (CMYK or YCCK)")),
        PixelFormat::L16 => return Err(refused("has samples of more than 8 bits")),
    };
    let scans = memchr::memmem::find_iter(bytes, b"\xff\xda").count();
    if scans > SCANS {
        return Err(Error::limit(format!(
            "the JPEG has {scans} scans, more than the {SCANS} that are read"
        )));
    }
    decoder.set_max_decoding_buffer_size(width * height * channels);
    let samples = decoder.decode().map_err(error)?;
    if samples.len() != width * height * channels {
        return Err(Error::malformed(
            "the JPEG is damaged: its frame changed on the way",
        ));
    }
    let orientation = decoder.exif_data().map_or(1, exif::orientation);
    Ok(Picture {
        width,
        height,
        channels,
        samples: Samples::Eight(samples),
        orientation,
    })
}

fn refused(what: &str) -> Error {
    Error::unsupported(format!(
        "the JPEG {what}; 8-bit grey and colour, baseline and progressive, are read"
    ))
    .with_hint("PIL converts: Image.open(x).convert(\"RGB\").save(\"x.png\")")
}

fn error(error: jpeg_decoder::Error) -> Error {
    use jpeg_decoder::Error::{Format, Internal, Io, Unsupported};
    match error {
        Unsupported(UnsupportedFeature::ArithmeticEntropyCoding) => {
            refused("is coded arithmetically")
        }
        Unsupported(UnsupportedFeature::Hierarchical) => refused("is hierarchical"),
        Unsupported(UnsupportedFeature::SamplePrecision(bits)) => {
            refused(&format!("has samples of {bits} bits"))
        }
        Unsupported(UnsupportedFeature::ComponentCount(count)) => {
            refused(&format!("has {count} components"))
        }
        Unsupported(feature) => refused(&format!("uses {feature:?}")),
        Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::malformed("the JPEG is cut off").with_hint("copy or download it again")
        }
        Io(e) => Error::malformed(format!("the JPEG cannot be read: {e}")),
        Format(what) => Error::malformed(format!("the JPEG is damaged: {what}")),
        Internal(e) => Error::malformed(format!("the JPEG is damaged: {e}")),
    }
}
