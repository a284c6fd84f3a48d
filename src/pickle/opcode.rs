//! The one opcode table: what each opcode is called, which protocol brought it, what argument follows it in the
//! bytes, and what it does to the stack. The machine runs by it, the listing prints by it, the tests walk it.
//!
//! Source: `Lib/pickletools.py` and `Modules/_pickle.c` of CPython 3.11; names are theirs.

use crate::bytes::Cursor;
use crate::error::{Error, Result};

/// Width of the length that stands before counted bytes; little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    U8,
    /// Four bytes, unsigned.
    U32,
    /// Four bytes, signed: a negative length is malformed.
    I32,
    /// Eight bytes, unsigned.
    U64,
}

/// What follows an opcode in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentForm {
    /// Nothing.
    None,
    /// One byte, unsigned.
    U8,
    /// Two bytes, unsigned, little-endian.
    U16,
    /// Four bytes, signed, little-endian.
    I32,
    /// Four bytes, unsigned, little-endian.
    U32,
    /// Eight bytes, unsigned, little-endian.
    U64,
    /// An IEEE double, **big**-endian.
    F64,
    /// Bytes up to a newline.
    Line,
    /// Two of those.
    TwoLines,
    /// A length, then that many bytes.
    Counted(Width),
}

/// What an opcode takes from the stack. It never reaches below the topmost mark, unless it takes that mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// That many values.
    Values(usize),
    /// Everything above the topmost mark, and the mark.
    Mark {
        /// Values that must lie just below the mark; they are taken too.
        below: usize,
        /// Values that must at least lie above the mark.
        above: usize,
    },
    /// A value, or the topmost mark where nothing lies above it (POP).
    ValueOrMark,
}

/// What an opcode leaves on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// That many values.
    Values(usize),
    /// A mark.
    Mark,
}

/// What follows one particular opcode in the bytes, as [`ArgumentForm`] says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument<'a> {
    /// Nothing.
    None,
    /// U8, U16, U32, U64.
    Unsigned(u64),
    /// I32.
    Signed(i32),
    /// F64.
    Float(f64),
    /// Line (without its newline) and Counted (without its length).
    Bytes(&'a [u8]),
    /// TwoLines, without their newlines.
    Lines(&'a [u8], &'a [u8]),
}

/// One opcode in its place, with its argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction<'a> {
    /// Which opcode.
    pub opcode: Opcode,
    /// Offset of the opcode's byte from the start of the pickle.
    pub offset: u64,
    /// What followed it.
    pub argument: Argument<'a>,
}

macro_rules! opcodes {
    ($($byte:literal $variant:ident $name:literal $protocol:literal
       ($($form:tt)+) $takes:tt => $leaves:tt;)+) => {
        /// An opcode of the pickle language, protocols 0 to 5.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Opcode {
            $(#[doc = concat!("`", $name, "`, protocol ", stringify!($protocol))] $variant = $byte,)+
        }

        impl Opcode {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant),+];

            /// The opcode that `byte` stands for.
            pub const fn from_byte(byte: u8) -> Option<Opcode> {
                match byte {
                    $($byte => Some(Opcode::$variant),)+
                    _ => None,
                }
            }
            /// Its name: `BINPERSID`.
            pub const fn name(self) -> &'static str {
                match self { $(Opcode::$variant => $name,)+ }
            }
            /// The protocol that brought it.
            pub const fn protocol(self) -> u8 {
                match self { $(Opcode::$variant => $protocol,)+ }
            }
            /// What follows it in the bytes.
            pub const fn argument(self) -> ArgumentForm {
                match self { $(Opcode::$variant => opcodes!(@form $($form)+),)+ }
            }
            /// What it takes from the stack.
            pub const fn takes(self) -> Takes {
                match self { $(Opcode::$variant => opcodes!(@takes $takes),)+ }
            }
            /// What it leaves there.
            pub const fn leaves(self) -> Leaves {
                match self { $(Opcode::$variant => opcodes!(@leaves $leaves),)+ }
            }
        }
    };
    (@form Counted $width:ident) => { ArgumentForm::Counted(Width::$width) };
    (@form $form:ident) => { ArgumentForm::$form };
    (@takes MARK) => { Takes::Mark { below: 0, above: 0 } };
    (@takes [$below:literal MARK $above:literal]) => { Takes::Mark { below: $below, above: $above } };
    (@takes ANY) => { Takes::ValueOrMark };
    (@takes $n:literal) => { Takes::Values($n) };
    (@leaves MARK) => { Leaves::Mark };
    (@leaves $n:literal) => { Leaves::Values($n) };
}

// Opcodes that only look at the top (DUP, PUT, MEMOIZE) take it and leave it again.
opcodes! {
//  byte  variant        name           proto (argument)   takes => leaves
    b'('  Mark           "MARK"             0 (None)         0 => MARK;
    b'.'  Stop           "STOP"             0 (None)         1 => 0;
    b'0'  Pop            "POP"              0 (None)       ANY => 0;
    b'1'  PopMark        "POP_MARK"         1 (None)      MARK => 0;
    b'2'  Dup            "DUP"              0 (None)         1 => 2;
    b'F'  Float          "FLOAT"            0 (Line)         0 => 1;
    b'G'  BinFloat       "BINFLOAT"         1 (F64)          0 => 1;
    b'I'  Int            "INT"              0 (Line)         0 => 1;
    b'J'  BinInt         "BININT"           1 (I32)          0 => 1;
    b'K'  BinInt1        "BININT1"          1 (U8)           0 => 1;
    b'M'  BinInt2        "BININT2"          1 (U16)          0 => 1;
    b'L'  Long           "LONG"             0 (Line)         0 => 1;
    0x8a  Long1          "LONG1"            2 (Counted U8)   0 => 1;
    0x8b  Long4          "LONG4"            2 (Counted I32)  0 => 1;
    b'N'  None           "NONE"             0 (None)         0 => 1;
    0x88  NewTrue        "NEWTRUE"          2 (None)         0 => 1;
    0x89  NewFalse       "NEWFALSE"         2 (None)         0 => 1;
    b'S'  String         "STRING"           0 (Line)         0 => 1;
    b'T'  BinString      "BINSTRING"        1 (Counted I32)  0 => 1;
    b'U'  ShortBinString "SHORT_BINSTRING"  1 (Counted U8)   0 => 1;
    b'B'  BinBytes       "BINBYTES"         3 (Counted U32)  0 => 1;
    b'C'  ShortBinBytes  "SHORT_BINBYTES"   3 (Counted U8)   0 => 1;
    0x8e  BinBytes8      "BINBYTES8"        4 (Counted U64)  0 => 1;
    0x96  ByteArray8     "BYTEARRAY8"       5 (Counted U64)  0 => 1;
    0x97  NextBuffer     "NEXT_BUFFER"      5 (None)         0 => 1;
    0x98  ReadonlyBuffer "READONLY_BUFFER"  5 (None)         1 => 1;
    b'V'  Unicode        "UNICODE"          0 (Line)         0 => 1;
    b'X'  BinUnicode     "BINUNICODE"       1 (Counted U32)  0 => 1;
    0x8c  ShortBinUnicode "SHORT_BINUNICODE" 4 (Counted U8)  0 => 1;
    0x8d  BinUnicode8    "BINUNICODE8"      4 (Counted U64)  0 => 1;
    b']'  EmptyList      "EMPTY_LIST"       1 (None)         0 => 1;
    b'a'  Append         "APPEND"           0 (None)         2 => 1;
    b'e'  Appends        "APPENDS"          1 (None) [1 MARK 0] => 1;
    b'l'  List           "LIST"             0 (None)      MARK => 1;
    b')'  EmptyTuple     "EMPTY_TUPLE"      1 (None)         0 => 1;
    b't'  Tuple          "TUPLE"            0 (None)      MARK => 1;
    0x85  Tuple1         "TUPLE1"           2 (None)         1 => 1;
    0x86  Tuple2         "TUPLE2"           2 (None)         2 => 1;
    0x87  Tuple3         "TUPLE3"           2 (None)         3 => 1;
    b'}'  EmptyDict      "EMPTY_DICT"       1 (None)         0 => 1;
    b'd'  Dict           "DICT"             0 (None)      MARK => 1;
    b's'  SetItem        "SETITEM"          0 (None)         3 => 1;
    b'u'  SetItems       "SETITEMS"         1 (None) [1 MARK 0] => 1;
    0x8f  EmptySet       "EMPTY_SET"        4 (None)         0 => 1;
    0x90  AddItems       "ADDITEMS"         4 (None) [1 MARK 0] => 1;
    0x91  FrozenSet      "FROZENSET"        4 (None)      MARK => 1;
    b'g'  Get            "GET"              0 (Line)         0 => 1;
    b'h'  BinGet         "BINGET"           1 (U8)           0 => 1;
    b'j'  LongBinGet     "LONG_BINGET"      1 (U32)          0 => 1;
    b'p'  Put            "PUT"              0 (Line)         1 => 1;
    b'q'  BinPut         "BINPUT"           1 (U8)           1 => 1;
    b'r'  LongBinPut     "LONG_BINPUT"      1 (U32)          1 => 1;
    0x94  Memoize        "MEMOIZE"          4 (None)         1 => 1;
    0x82  Ext1           "EXT1"             2 (U8)           0 => 1;
    0x83  Ext2           "EXT2"             2 (U16)          0 => 1;
    0x84  Ext4           "EXT4"             2 (I32)          0 => 1;
    b'c'  Global         "GLOBAL"           0 (TwoLines)     0 => 1;
    0x93  StackGlobal    "STACK_GLOBAL"     4 (None)         2 => 1;
    b'R'  Reduce         "REDUCE"           0 (None)         2 => 1;
    b'b'  Build          "BUILD"            0 (None)         2 => 1;
    b'i'  Inst           "INST"             0 (TwoLines)  MARK => 1;
    b'o'  Obj            "OBJ"              1 (None) [0 MARK 1] => 1;
    0x81  NewObj         "NEWOBJ"           2 (None)         2 => 1;
    0x92  NewObjEx       "NEWOBJ_EX"        4 (None)         3 => 1;
    0x80  Proto          "PROTO"            2 (U8)           0 => 0;
    0x95  Frame          "FRAME"            4 (U64)          0 => 0;
    b'P'  PersId         "PERSID"           0 (Line)         0 => 1;
    b'Q'  BinPersId      "BINPERSID"        1 (None)         1 => 1;
}

impl<'a> Instruction<'a> {
    /// Reads the instruction at the cursor; its argument borrows from the bytes, whatever length they claim.
    pub(super) fn decode(cursor: &mut Cursor<'a>) -> Result<Self> {
        let offset = cursor.offset();
        if cursor.remaining() == 0 {
            return Err(
                Error::malformed("the pickle ends without STOP: it was cut off").at_offset(offset),
            );
        }
        let byte = cursor.u8("opcode")?;
        let Some(opcode) = Opcode::from_byte(byte) else {
            let shown = char::from(byte).escape_default();
            return Err(Error::malformed(format!(
                "byte {byte:#04x} ('{shown}') is no pickle opcode"
            ))
            .at_offset(offset));
        };
        let argument = decode_argument(cursor, opcode)
            .map_err(|e| at_opcode(opcode, offset, e.message().to_owned()))?;
        Ok(Self {
            opcode,
            offset,
            argument,
        })
    }
}

/// A malformed instruction: named, and placed at its opcode.
pub(super) fn at_opcode(opcode: Opcode, offset: u64, message: String) -> Error {
    Error::malformed(format!("{}: {message}", opcode.name())).at_offset(offset)
}

fn decode_argument<'a>(cursor: &mut Cursor<'a>, opcode: Opcode) -> Result<Argument<'a>> {
    const WHAT: &str = "its argument";
    Ok(match opcode.argument() {
        ArgumentForm::None => Argument::None,
        ArgumentForm::U8 => Argument::Unsigned(cursor.u8(WHAT)?.into()),
        ArgumentForm::U16 => Argument::Unsigned(cursor.u16(WHAT)?.into()),
        ArgumentForm::I32 => Argument::Signed(cursor.u32(WHAT)?.cast_signed()),
        ArgumentForm::U32 => Argument::Unsigned(cursor.u32(WHAT)?.into()),
        ArgumentForm::U64 => Argument::Unsigned(cursor.u64(WHAT)?),
        // the only big-endian number of the language
        ArgumentForm::F64 => Argument::Float(f64::from_bits(cursor.u64(WHAT)?.swap_bytes())),
        ArgumentForm::Line => Argument::Bytes(cursor.line(WHAT)?),
        ArgumentForm::TwoLines => Argument::Lines(cursor.line(WHAT)?, cursor.line(WHAT)?),
        ArgumentForm::Counted(width) => Argument::Bytes(counted(cursor, width)?),
    })
}

fn counted<'a>(cursor: &mut Cursor<'a>, width: Width) -> Result<&'a [u8]> {
    const WHAT: &str = "its length";
    let length = match width {
        Width::U8 => u64::from(cursor.u8(WHAT)?),
        Width::U32 => u64::from(cursor.u32(WHAT)?),
        Width::I32 => {
            let length = cursor.u32(WHAT)?.cast_signed();
            u64::try_from(length)
                .map_err(|_| Error::malformed(format!("its length is negative ({length})")))?
        }
        Width::U64 => cursor.u64(WHAT)?,
    };
    match usize::try_from(length) {
        Ok(n) if n <= cursor.remaining() => cursor.take(n, WHAT),
        _ => Err(Error::malformed(format!(
            "declares {length} bytes, only {} are left",
            cursor.remaining()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ArgumentForm, Opcode};

    #[test]
    fn bytes_and_names_are_unique_and_lead_back() {
        let names: HashSet<_> = Opcode::ALL.iter().map(|o| o.name()).collect();
        assert_eq!(names.len(), Opcode::ALL.len());
        for &opcode in Opcode::ALL {
            assert_eq!(Opcode::from_byte(opcode as u8), Some(opcode));
        }
    }

    /// `len(pickletools.opcodes)` of CPython 3.8 and later.
    #[test]
    fn the_table_is_complete() {
        assert_eq!(Opcode::ALL.len(), 68);
    }

    /// CPython reserves bytes from 0x80 on for protocol 2 and later, and text lines belong to protocol 0.
    #[test]
    fn protocols_are_plausible() {
        for &opcode in Opcode::ALL {
            assert!(opcode.protocol() <= 5);
            assert_eq!(
                opcode as u8 >= 0x80,
                opcode.protocol() >= 2
                    && !matches!(opcode, Opcode::BinBytes | Opcode::ShortBinBytes)
            );
            if matches!(
                opcode.argument(),
                ArgumentForm::Line | ArgumentForm::TwoLines
            ) {
                assert_eq!(opcode.protocol(), 0, "{}", opcode.name());
            }
        }
    }
}
