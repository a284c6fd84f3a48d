//! Pictures, both ways: PNG and JPEG files in, as the tensors that a network is fed with; coloured rasters with text out.
//!
//! | question | answered by |
//! |---|---|
//! | which samples does this picture file hold? | [`Picture::decode`] |
//! | ... turned, converted, resized, cropped as PIL does | [`Picture`]'s methods |
//! | ... as torchvision's `ToTensor` and `Normalize` make them | [`Normalization`] |
//! | which colour stands for this number? | [`ColorMap`] |
//! | how are pixels and letters put into a PNG? | [`Raster`] |
//!
//! Nothing here knows checkpoints or layers.

mod color;
mod convert;
mod decode;
mod exif;
mod from_jpeg;
mod from_png;
mod normalize;
mod raster;
mod resample;
mod text;

pub use color::{ColorMap, Rgb};
pub use convert::Conversion;
pub use decode::{Picture, PictureFormat, Samples};
pub use normalize::Normalization;
pub use raster::Raster;
pub use resample::Filter;
pub use text::{HEIGHT as TEXT_HEIGHT, WIDTH as TEXT_WIDTH, Weight};
