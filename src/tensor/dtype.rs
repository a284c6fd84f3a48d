//! The one table of element types.

/// Order of the bytes of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

/// What the bits of one component mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// IEEE binary64.
    Float64,
    /// IEEE binary32.
    Float32,
    /// IEEE binary16.
    Float16,
    /// The upper half of a binary32.
    BFloat16,
    /// A float of at most eight bits.
    Mini(Mini),
    /// Two `float4_e2m1fn` in one byte, the first in the low half.
    PairOfFloat4,
    /// Unsigned, or bits without a meaning of their own.
    Unsigned,
    /// Two's complement.
    Signed,
    /// Zero is false.
    Bool,
    /// Real and imaginary part, each a binary16.
    ComplexHalf,
    /// Real and imaginary part, each a bfloat16.
    ComplexBFloat16,
    /// Real and imaginary part, each a binary32.
    ComplexFloat,
    /// Real and imaginary part, each a binary64.
    ComplexDouble,
}

/// A float of at most eight bits: a sign (unless it has none), `exponent` bits, `mantissa` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mini {
    pub(super) exponent: u32,
    pub(super) mantissa: u32,
    pub(super) bias: i32,
    pub(super) special: Special,
}

/// Which codes of a [`Mini`] are not finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// The highest exponent: infinity with an empty mantissa, else NaN.
    Ieee,
    /// `fn`: no infinity; all ones are NaN.
    AllOnesNan,
    /// `fnuz`: no infinity, no negative zero; its code is the only NaN.
    NegativeZeroNan,
    /// Every code is a finite number.
    None,
    /// `e8m0fnu`: no sign, no zero, a power of two; all ones are NaN.
    PowerOfTwo,
}

const fn mini(exponent: u32, mantissa: u32, bias: i32, special: Special) -> Encoding {
    Encoding::Mini(Mini {
        exponent,
        mantissa,
        bias,
        special,
    })
}

/// One row of the table.
struct Row {
    name: &'static str,
    bits: usize,
    /// Bytes that turn round together where the byte order is not little.
    component: usize,
    encoding: Encoding,
    /// `torch.FloatStorage` and its like, without `torch.`; `-` for types that are saved over an UntypedStorage.
    storage_class: &'static str,
    /// `dtype` in a safetensors header, or `-`.
    safetensors: &'static str,
    /// `descr` of a `.npy` of it, or `-`. `V` where numpy has no such number: its bytes as they are.
    npy: &'static str,
}

macro_rules! dtypes {
    ($($variant:ident = $name:literal, $bits:literal, $component:literal, $encoding:expr, $class:literal, $tag:literal, $npy:literal;)*) => {
        /// An element type; [`DType::name`] is PyTorch's own name without `torch.`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl DType {
            /// Every element type.
            pub const ALL: &'static [DType] = &[$(DType::$variant),*];

            fn row(self) -> &'static Row {
                const ROWS: &[Row] = &[$(Row {
                    name: $name,
                    bits: $bits,
                    component: $component,
                    encoding: $encoding,
                    storage_class: $class,
                    safetensors: $tag,
                    npy: $npy,
                }),*];
                &ROWS[self as usize]
            }
        }
    };
}

use Encoding::{
    BFloat16, Bool, ComplexBFloat16, ComplexDouble, ComplexFloat, ComplexHalf, Float16, Float32,
    Float64, PairOfFloat4, Signed, Unsigned,
};
use Special::{AllOnesNan, Ieee, NegativeZeroNan, PowerOfTwo};

// Sources: c10/core/ScalarType.h and torch/storage.py of torch 2.15; safetensors 0.8 `Dtype`; ml_dtypes' own descrs
// (`<V2` for bfloat16, `|V1` for the 8-bit floats). float4_e2m1fn and the 6-bit floats are safetensors' alone: torch
// reads F4 as float4_e2m1fn_x2, two to an element, which a tensor of odd width cannot be.
dtypes! {
    //                 name              bits comp encoding                     storage class          tag         npy
    Float64          = "float64",          64, 8, Float64,                      "DoubleStorage",        "F64",      "<f8";
    Float32          = "float32",          32, 4, Float32,                      "FloatStorage",         "F32",      "<f4";
    Float16          = "float16",          16, 2, Float16,                      "HalfStorage",          "F16",      "<f2";
    BFloat16         = "bfloat16",         16, 2, BFloat16,                     "BFloat16Storage",      "BF16",     "<V2";
    Float8E4m3fn     = "float8_e4m3fn",     8, 1, mini(4, 3, 7, AllOnesNan),    "-",                    "F8_E4M3",  "|V1";
    Float8E5m2       = "float8_e5m2",       8, 1, mini(5, 2, 15, Ieee),         "-",                    "F8_E5M2",  "|V1";
    Float8E4m3fnuz   = "float8_e4m3fnuz",   8, 1, mini(4, 3, 8, NegativeZeroNan), "-",                  "F8_E4M3FNUZ", "|V1";
    Float8E5m2fnuz   = "float8_e5m2fnuz",   8, 1, mini(5, 2, 16, NegativeZeroNan), "-",                 "F8_E5M2FNUZ", "|V1";
    Float8E8m0fnu    = "float8_e8m0fnu",    8, 1, mini(8, 0, 127, PowerOfTwo),  "-",                    "F8_E8M0",  "|V1";
    Float6E2m3fn     = "float6_e2m3fn",     6, 1, mini(2, 3, 1, Special::None), "-",                    "F6_E2M3",  "-";
    Float6E3m2fn     = "float6_e3m2fn",     6, 1, mini(3, 2, 3, Special::None), "-",                    "F6_E3M2",  "-";
    Float4E2m1fn     = "float4_e2m1fn",     4, 1, mini(2, 1, 1, Special::None), "-",                    "F4",       "-";
    Float4E2m1fnX2   = "float4_e2m1fn_x2",  8, 1, PairOfFloat4,                 "-",                    "-",        "|V1";
    Complex32        = "complex32",        32, 2, ComplexHalf,                  "-",                    "-",        "|V4";
    BComplex32       = "bcomplex32",       32, 2, ComplexBFloat16,              "-",                    "-",        "|V4";
    Complex64        = "complex64",        64, 4, ComplexFloat,                 "ComplexFloatStorage",  "C64",      "<c8";
    Complex128       = "complex128",      128, 8, ComplexDouble,                "ComplexDoubleStorage", "-",        "<c16";
    UInt8            = "uint8",             8, 1, Unsigned,                     "ByteStorage",          "U8",       "|u1";
    Int8             = "int8",              8, 1, Signed,                       "CharStorage",          "I8",       "|i1";
    UInt16           = "uint16",           16, 2, Unsigned,                     "-",                    "U16",      "<u2";
    Int16            = "int16",            16, 2, Signed,                       "ShortStorage",         "I16",      "<i2";
    UInt32           = "uint32",           32, 4, Unsigned,                     "-",                    "U32",      "<u4";
    Int32            = "int32",            32, 4, Signed,                       "IntStorage",           "I32",      "<i4";
    UInt64           = "uint64",           64, 8, Unsigned,                     "-",                    "U64",      "<u8";
    Int64            = "int64",            64, 8, Signed,                       "LongStorage",          "I64",      "<i8";
    Bool             = "bool",              8, 1, Bool,                         "BoolStorage",          "BOOL",     "|b1";
    QInt8            = "qint8",             8, 1, Signed,                       "QInt8Storage",         "-",        "|i1";
    QUInt8           = "quint8",            8, 1, Unsigned,                     "QUInt8Storage",        "-",        "|u1";
    QInt32           = "qint32",           32, 4, Signed,                       "QInt32Storage",        "-",        "<i4";
    QUInt4x2         = "quint4x2",          4, 1, Unsigned,                     "QUInt4x2Storage",      "-",        "-";
    QUInt2x4         = "quint2x4",          2, 1, Unsigned,                     "QUInt2x4Storage",      "-",        "-";
    Bits1x8          = "bits1x8",           8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Bits2x4          = "bits2x4",           8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Bits4x2          = "bits4x2",           8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Bits8            = "bits8",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Bits16           = "bits16",           16, 2, Unsigned,                     "-",                    "-",        "|V2";
    UInt1            = "uint1",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt2            = "uint2",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt3            = "uint3",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt4            = "uint4",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt5            = "uint5",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt6            = "uint6",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    UInt7            = "uint7",             8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int1             = "int1",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int2             = "int2",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int3             = "int3",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int4             = "int4",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int5             = "int5",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int6             = "int6",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
    Int7             = "int7",              8, 1, Unsigned,                     "-",                    "-",        "|V1";
}

fn stated(cell: &'static str) -> Option<&'static str> {
    (cell != "-").then_some(cell)
}

impl DType {
    /// PyTorch's name: `float32`, `bfloat16`, `float8_e4m3fn`, `qint8`, ...
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Bits of one element (sub-byte types exist). `int1` to `uint7` take a byte each, as in torch.
    pub fn bits(self) -> usize {
        self.row().bits
    }

    /// Bytes that turn round together in a big-endian file: those of one component of a complex number.
    pub fn component_bytes(self) -> usize {
        self.row().component
    }

    /// Class of the typed storage, without `torch.`: `FloatStorage`. `None` for types that torch saves over an
    /// `UntypedStorage`.
    pub fn storage_class(self) -> Option<&'static str> {
        stated(self.row().storage_class)
    }

    /// Tag in a safetensors header: `F32`, `BF16`; `None` where safetensors has no such type (`float4_e2m1fn_x2` is
    /// written as `F4`, twice as wide).
    pub fn safetensors_tag(self) -> Option<&'static str> {
        stated(self.row().safetensors)
    }

    /// `descr` of a little-endian `.npy`: `<f4`. What numpy has no number for is raw void (`<V2` for bfloat16, as
    /// ml_dtypes writes it); `None` for elements that are not whole bytes.
    pub fn npy_descr(self) -> Option<&'static str> {
        stated(self.row().npy)
    }

    /// The type that torch calls `name` (without `torch.`); its aliases `float`, `half`, `long`, ... too.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "double" => "float64",
            "float" => "float32",
            "half" => "float16",
            "cdouble" => "complex128",
            "cfloat" => "complex64",
            "chalf" => "complex32",
            "long" => "int64",
            "int" => "int32",
            "short" => "int16",
            "bit" => "uint1",
            name => name,
        };
        Self::ALL.iter().copied().find(|d| d.name() == name)
    }

    /// The element type of the storage class `name` (`FloatStorage`); `UntypedStorage` counts bytes.
    pub fn from_storage_class(name: &str) -> Option<Self> {
        if name == "UntypedStorage" {
            return Some(DType::UInt8);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|d| d.storage_class() == Some(name))
    }

    /// The type with this tag in a safetensors header.
    pub fn from_safetensors_tag(tag: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|d| d.safetensors_tag() == Some(tag))
    }

    /// Whether elements have a real and an imaginary part.
    pub fn is_complex(self) -> bool {
        matches!(
            self.encoding(),
            ComplexHalf | ComplexBFloat16 | ComplexFloat | ComplexDouble
        )
    }

    /// Whether elements are real floats, whatever their width.
    pub fn is_float(self) -> bool {
        matches!(
            self.encoding(),
            Float64 | Float32 | Float16 | BFloat16 | Encoding::Mini(_) | PairOfFloat4
        )
    }

    /// Whether elements are integers that stand for real numbers by a scale and a zero point.
    pub fn is_quantized(self) -> bool {
        matches!(
            self,
            DType::QInt8 | DType::QUInt8 | DType::QInt32 | DType::QUInt4x2 | DType::QUInt2x4
        )
    }

    /// Bytes of `numel` packed elements, the last one filled up; `None` where that does not fit an address.
    pub fn bytes_of(self, numel: usize) -> Option<usize> {
        let bits = numel as u128 * self.bits() as u128;
        usize::try_from(bits.div_ceil(8)).ok()
    }

    /// The elements that `nbytes` bytes hold whole.
    pub fn elements_in(self, nbytes: usize) -> usize {
        let elements = nbytes as u128 * 8 / self.bits() as u128;
        usize::try_from(elements).unwrap_or(usize::MAX)
    }

    pub(super) fn encoding(self) -> Encoding {
        self.row().encoding
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::DType;
    use std::collections::HashSet;

    #[test]
    fn names_and_tags_lead_back() {
        let mut names = HashSet::new();
        for &dtype in DType::ALL {
            assert!(names.insert(dtype.name()), "{dtype} twice");
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
            if let Some(class) = dtype.storage_class() {
                assert_eq!(DType::from_storage_class(class), Some(dtype));
            }
            if let Some(tag) = dtype.safetensors_tag() {
                assert_eq!(DType::from_safetensors_tag(tag), Some(dtype));
            }
        }
    }

    #[test]
    fn sizes_agree_within_a_row() {
        for &dtype in DType::ALL {
            let bits = dtype.bits();
            assert!(
                bits % (dtype.component_bytes() * 8) == 0 || bits < 8,
                "{dtype}"
            );
            assert!(
                dtype.is_complex() == (bits == 16 * dtype.component_bytes()),
                "{dtype}"
            );
            let Some(descr) = dtype.npy_descr() else {
                continue;
            };
            let size: usize = descr[2..].parse().unwrap();
            assert_eq!(size * 8, bits, "{dtype}");
            // numpy writes `|` where there is nothing to turn round
            assert_eq!(
                descr.starts_with('<'),
                dtype.component_bytes() > 1 && !descr.ends_with("V4") && dtype != DType::Bits16,
                "{dtype}"
            );
        }
    }

    #[test]
    fn bytes_are_rounded_up_and_checked() {
        assert_eq!(DType::QUInt4x2.bytes_of(3), Some(2));
        assert_eq!(DType::Float6E2m3fn.bytes_of(4), Some(3));
        assert_eq!(DType::Complex128.bytes_of(usize::MAX), None);
        assert_eq!(DType::QUInt4x2.elements_in(2), 4);
        assert_eq!(DType::Float64.elements_in(15), 1);
    }
}
