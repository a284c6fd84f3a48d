//! NNPACK's convolutions: Winograd and Fourier transforms of tiles, and a matrix product for other strides.
pub mod arithmetic;
mod fourier;
mod fourier16;
mod fourier8;
mod products;
pub mod reference;
mod tile;
mod winograd;
