//! The one thing of EXIF that matters for a network: how the camera was held.
//!
//! EXIF is a TIFF header (`II` or `MM` for the byte order, 42, the offset of the first directory) and directories of
//! twelve-byte entries; tag 0x0112 is the orientation, of type 3 (16 bits). Source: EXIF 2.32, sections 4.5 and 4.6.

/// The orientation, 1 to 8; 1 where the block does not say, or is damaged: it is a remark, not the picture.
pub(super) fn orientation(block: &[u8]) -> u8 {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    find(block).unwrap_or(1)
}

fn find(block: &[u8]) -> Option<u8> {
    let is_little = match block.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let bytes = |at: usize, len: usize| block.get(at..at.checked_add(len)?);
    let number = |at: usize, len: usize| {
        let fold = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        let bytes = bytes(at, len)?;
        Some(if is_little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        })
    };
    let directory = number(4, 4)?;
    let count = number(directory, 2)?;
    (0..count)
        .map_while(|entry| directory.checked_add(2 + 12 * entry))
        .take_while(|&at| bytes(at, 12).is_some())
        .find(|&at| number(at, 2) == Some(0x0112) && number(at + 2, 2) == Some(3))
        .and_then(|at| number(at + 8, 2))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
}

#[cfg(test)]
mod tests {
    use super::orientation;

    #[test]
    fn both_byte_orders_and_damage() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!(orientation(little), 6);
        assert_eq!(orientation(&[&b"Exif\0\0"[..], big].concat()), 8);
        for cut in 0..18 {
            assert_eq!(orientation(&little[..cut]), 1);
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), 1);
        let mut nine = little.to_vec();
        nine[18] = 9;
        assert_eq!(orientation(&nine), 1);
    }
}
