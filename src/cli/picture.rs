//! Pictures where an array is expected: `--input cat.jpg`.

use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use super::array::ArrayFile;
use super::io::Io;
use super::values::Numbers;
use super::values::Sizes;
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::Error;
use crate::error::Result;
use crate::execute::FloatType;
use crate::execute::real;
use crate::export::array::Array;
use crate::picture::Conversion;
use crate::picture::Filter;
use crate::picture::Normalization;
use crate::picture::Picture;
use crate::picture::PictureFormat;
use crate::tensor::DType;

/// An array, or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputFile {
    Array(ArrayFile),
    Picture(PathBuf),
}

/// What a picture is made into; none of it happens unless asked for.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Pictures as input (x = sample / 255, as torchvision's ToTensor)")]
pub(super) struct PictureFlags {
    /// Convert to one channel (L) or three (RGB), as PIL's convert
    #[arg(long, value_name = "MODE", value_parser = ["L", "RGB"])]
    convert: Option<String>,
    /// Turn it as its EXIF orientation says (PIL's ImageOps.exif_transpose)
    #[arg(long)]
    exif_transpose: bool,
    /// Resize; one number is the shorter side
    #[arg(long, value_name = "H,W")]
    resize: Option<Sizes>,
    /// Filter of --resize: bilinear, bicubic, lanczos or box, as in PIL (antialiased)
    #[arg(
        long,
        value_name = "NAME",
        requires = "resize",
        default_value = "bilinear"
    )]
    resize_filter: Filter,
    /// Cut out the middle, after resizing (torchvision's CenterCrop)
    #[arg(long, value_name = "H,W")]
    center_crop: Option<Sizes>,
    /// Subtract, one number per channel (torchvision's Normalize)
    #[arg(long, value_name = "M,M,M", allow_hyphen_values = true)]
    mean: Option<Numbers>,
    /// Divide by, after --mean
    #[arg(long, value_name = "S,S,S", allow_hyphen_values = true)]
    std: Option<Numbers>,
}

/// What the layer takes.
pub(super) struct WantedInput<'a> {
    pub(super) layer: &'a str,
    pub(super) channels: usize,
    pub(super) dtype: DType,
}

impl FromStr for InputFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if PictureFormat::of(text).is_some() {
            return Ok(Self::Picture(text.into()));
        }
        let array = text.parse().map(Self::Array);
        array.map_err(|e: String| format!("{e}, or a picture (.png, .jpg)"))
    }
}

impl InputFile {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Array(file) => &file.path,
            Self::Picture(path) => path,
        }
    }

    /// The array; a picture comes as `[C, H, W]` in the layer's dtype.
    pub(super) fn read(
        &self,
        wanted: &WantedInput<'_>,
        flags: &PictureFlags,
        io: &mut Io<'_>,
    ) -> Result<Array> {
        match self {
            Self::Array(file) => match flags.first_used() {
                Some(flag) => Err(Error::usage(format!(
                    "{flag} is for pictures; the input is an array, which is taken as it is"
                ))
                .in_file(&file.path)),
                None => file.read(&io.limits),
            },
            Self::Picture(path) => {
                let (picture, is_turned) = flags
                    .picture(path, &io.limits)
                    .map_err(|e| e.in_file(path))?;
                if is_turned {
                    io.warn(&format!(
                        "{}: EXIF says that the picture lies turned; it is taken as stored, as PIL does (--exif-transpose turns it)",
                        path.display()
                    ));
                }
                flags.array(&picture, wanted).map_err(|e| e.in_file(path))
            }
        }
    }
}

impl PictureFlags {
    fn first_used(&self) -> Option<&'static str> {
        let used = [
            (self.convert.is_some(), "--convert"),
            (self.exif_transpose, "--exif-transpose"),
            (self.resize.is_some(), "--resize"),
            (self.center_crop.is_some(), "--center-crop"),
            (self.mean.is_some(), "--mean"),
            (self.std.is_some(), "--std"),
        ];
        used.into_iter().find(|(used, _)| *used).map(|row| row.1)
    }

    /// The picture as asked for, and whether an EXIF orientation was left alone.
    fn picture(&self, path: &Path, limits: &Limits) -> Result<(Picture, bool)> {
        let source = ByteSource::open(path)?;
        let mut picture = Picture::decode(&source, limits)?;
        if self.exif_transpose {
            picture = picture.upright();
        }
        let is_turned = picture.orientation != 1;
        picture = match self.convert.as_deref() {
            Some("L") => picture.converted(Conversion::Grey),
            Some(_) => picture.converted(Conversion::Rgb),
            None => picture,
        };
        if let Some(Sizes(sizes)) = &self.resize {
            let (height, width) = new_size(sizes, &picture)?;
            let pixels = height.checked_mul(width);
            if pixels.is_none_or(|pixels| pixels > limits.picture_pixels) {
                return Err(Error::limit(format!(
                    "--resize asks for {height} x {width} pixels, the limit is {} (picture_pixels)",
                    limits.picture_pixels
                )));
            }
            picture = picture.resized(height, width, self.resize_filter);
        }
        if let Some(Sizes(sizes)) = &self.center_crop {
            let (height, width) = match **sizes {
                [side] => (side, side),
                [height, width] => (height, width),
                _ => return Err(Error::usage("--center-crop takes one number or two: H,W")),
            };
            picture = picture.center_cropped(height, width)?;
        }
        Ok((picture, is_turned))
    }

    /// The picture as the array that the layer takes.
    fn array(&self, picture: &Picture, wanted: &WantedInput<'_>) -> Result<Array> {
        let (found, channels) = (picture.channels, wanted.channels);
        if found != channels {
            let plural = |n: usize| if n == 1 { "channel" } else { "channels" };
            let error = Error::usage(format!(
                "the picture has {found} {} ({}), {:?} takes {channels}",
                plural(found),
                picture.mode(),
                wanted.layer
            ));
            return Err(error.with_hint(match channels {
                1 => "--convert L makes one channel of it, as PIL's convert(\"L\")",
                3 => "--convert RGB makes three channels of it, as PIL's convert(\"RGB\")",
                _ => "a picture is the input of a first layer; deeper ones take an array of feature maps",
            }));
        }
        let numbers =
            |numbers: &Option<Numbers>| numbers.as_ref().map(|Numbers(values)| values.clone());
        let normalization = Normalization {
            mean: numbers(&self.mean),
            std: numbers(&self.std),
        };
        let values = normalization.tensor(picture)?;
        let dtype = FloatType::of(wanted.dtype)?;
        let elements = match dtype {
            FloatType::Float64 => {
                let wide: Vec<f64> = values.iter().map(|&value| value.into()).collect();
                real::encode(dtype, &wide)
            }
            FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => {
                real::encode(dtype, &values)
            }
        };
        Ok(Array {
            dtype: wanted.dtype,
            shape: vec![found, picture.height, picture.width],
            elements,
        })
    }
}

/// Height and width that `--resize` asks for; one number is the shorter side, the other follows, rounded down, as
/// torchvision's `Resize(S)`.
fn new_size(sizes: &[usize], picture: &Picture) -> Result<(usize, usize)> {
    let (h, w) = (picture.height, picture.width);
    let longer = |short: usize, long: usize, side: usize| {
        // torchvision divides in float64
        (side as f64 * long as f64 / short as f64) as usize
    };
    let size = match *sizes {
        [side] if h <= w => (side, longer(h, w, side)),
        [side] => (longer(w, h, side), side),
        [height, width] => (height, width),
        _ => return Err(Error::usage("--resize takes one number or two: H,W")),
    };
    if size.0 == 0 || size.1 == 0 {
        return Err(Error::usage(
            "--resize to nothing: sizes must be at least 1",
        ));
    }
    Ok(size)
}
