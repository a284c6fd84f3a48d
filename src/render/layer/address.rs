//! The index formulas, with a layer's own numbers.

use crate::explain::Axis;

/// `((o*3 + i)*5 + y)*5 + x`, or with numbers for the letters.
pub(super) fn horner(symbols: &[String], shape: &[usize]) -> String {
    let Some((first, rest)) = symbols.split_first() else {
        return "0".to_owned();
    };
    let mut text = first.clone();
    for (i, (symbol, size)) in rest.iter().zip(&shape[1..]).enumerate() {
        text = if i == 0 {
            format!("{text}*{size} + {symbol}")
        } else {
            format!("({text})*{size} + {symbol}")
        };
    }
    text
}

/// `100 + 75*o + 25*i + 5*y + x`: storage offset and strides. Axes of size 1 are left out of the letters' sum.
pub(super) fn strided(symbols: &[String], stride: &[usize], offset: usize) -> String {
    let mut terms = Vec::new();
    if offset > 0 {
        terms.push(offset.to_string());
    }
    for (symbol, stride) in symbols.iter().zip(stride) {
        terms.push(match stride {
            0 => format!("0*{symbol}"),
            1 => symbol.clone(),
            stride => format!("{stride}*{symbol}"),
        });
    }
    if terms.is_empty() {
        "0".to_owned()
    } else {
        terms.join(" + ")
    }
}

/// The letters of the axes.
pub(super) fn letters(axes: &[Axis]) -> Vec<String> {
    axes.iter().map(|axis| axis.letter()).collect()
}

/// An index as symbols.
pub(super) fn digits(index: &[usize]) -> Vec<String> {
    index.iter().map(ToString::to_string).collect()
}

/// The letters from the fastest axis in memory to the slowest; axes of size 1 have no place in this order.
pub(super) fn fastest_first(axes: &[Axis], shape: &[usize], stride: &[usize]) -> Vec<String> {
    let mut order: Vec<usize> = (0..axes.len()).filter(|&axis| shape[axis] > 1).collect();
    // the later axis first where strides are equal, as in C order
    order.sort_by_key(|&axis| (stride[axis], std::cmp::Reverse(axis)));
    order.into_iter().map(|axis| axes[axis].letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::{fastest_first, horner, letters, strided};
    use crate::explain::Kind;

    #[test]
    fn formulas_carry_the_layers_numbers() {
        let axes = Kind::Conv(2).axes(4);
        let symbols = letters(&axes);
        assert_eq!(horner(&symbols, &[192, 3, 5, 5]), "((o*3 + i)*5 + y)*5 + x");
        assert_eq!(
            strided(&symbols, &[1, 10, 30, 90], 0),
            "o + 10*i + 30*y + 90*x"
        );
        assert_eq!(
            strided(&symbols, &[75, 25, 5, 1], 8),
            "8 + 75*o + 25*i + 5*y + x"
        );
        assert_eq!(
            fastest_first(&axes, &[10, 3, 3, 3], &[1, 10, 30, 90]),
            ["o", "i", "y", "x"]
        );
        assert_eq!(
            fastest_first(&axes, &[10, 1, 3, 3], &[9, 9, 3, 1]),
            ["x", "y", "o"]
        );
        assert_eq!(horner(&[], &[]), "0");
        assert_eq!(
            horner(&letters(&Kind::Linear.axes(2)), &[10, 50]),
            "o*50 + i"
        );
    }
}
