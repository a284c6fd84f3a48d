//! NNPACK's arithmetic: eight lanes at a time, subnormal numbers taken for zero.
//!
//! NNPACK's thread pool runs its tasks with the processor's two switches against subnormal numbers thrown (MXCSR's DAZ
//! and FTZ, `PTHREADPOOL_FLAG_DISABLE_DENORMALS`): a subnormal operand counts as a zero of its sign, and a result that
//! would be subnormal becomes one. [`Flushing`] is that, number by number, and the definition here.
//!
//! It is slow, and hardly ever needed. [`Watched`] calculates as usual and looks at every result: as long as none is
//! subnormal, nor the smallest normal number (which flushing may turn into zero, see [`Flushing`]), the switches would
//! not have mattered, and both give the same bits. Where [`Watched::in_doubt`] says otherwise, the calculation is
//! repeated with [`Flushing`].

/// Eight neighbouring numbers: a vector register.
pub(super) type Lanes = [f32; 8];

/// Zeros.
pub(super) const ZERO: Lanes = [0.0; 8];

/// The number that C writes `0x1.DIGITSpEXPONENT`, with six hexadecimal digits.
pub(super) const fn hex(digits: u32, exponent: i32) -> f32 {
    f32::from_bits((((127 + exponent) as u32) << 23) | (digits >> 1))
}

/// Additions and products of [`Lanes`], lane by lane.
pub(super) trait Arithmetic: Default {
    /// `x`, met for the first time.
    fn meet(&mut self, x: Lanes) -> Lanes;
    /// `a + b`
    fn add(&mut self, a: Lanes, b: Lanes) -> Lanes;
    /// `a * b`
    fn mul(&mut self, a: Lanes, b: Lanes) -> Lanes;
    /// `a * b + c`, rounded once.
    fn fma(&mut self, a: Lanes, b: Lanes, c: Lanes) -> Lanes;

    /// `a - b`
    #[inline(always)]
    fn sub(&mut self, a: Lanes, b: Lanes) -> Lanes {
        self.add(a, negative(b))
    }

    /// `a * factor`
    #[inline(always)]
    fn scale(&mut self, a: Lanes, factor: f32) -> Lanes {
        self.mul(a, [factor; 8])
    }

    /// `a * factor + c`, rounded once.
    #[inline(always)]
    fn fma1(&mut self, a: Lanes, factor: f32, c: Lanes) -> Lanes {
        self.fma(a, [factor; 8], c)
    }

    /// `c - a * factor`, rounded once.
    #[inline(always)]
    fn fnma1(&mut self, a: Lanes, factor: f32, c: Lanes) -> Lanes {
        self.fma(negative(a), [factor; 8], c)
    }

    /// `[a + b, a - b]`
    #[inline(always)]
    fn butterfly(&mut self, a: Lanes, b: Lanes) -> [Lanes; 2] {
        [self.add(a, b), self.sub(a, b)]
    }

    /// `[a + b * factor, a - b * factor]`, each rounded once.
    #[inline(always)]
    fn scaled_butterfly(&mut self, a: Lanes, b: Lanes, factor: f32) -> [Lanes; 2] {
        [self.fma1(b, factor, a), self.fnma1(b, factor, a)]
    }
}

/// `-x`; no arithmetic, so that subnormal numbers stay.
#[inline(always)]
pub(super) fn negative(x: Lanes) -> Lanes {
    x.map(|x| -x)
}

/// Lane i is lane `from[i]` of `x`.
#[inline(always)]
pub(super) fn permute(x: Lanes, from: [usize; 8]) -> Lanes {
    from.map(|i| x[i])
}

/// Lane i is lane `from[i]` of `a` followed by `b`.
#[inline(always)]
pub(super) fn shuffle(a: Lanes, b: Lanes, from: [usize; 8]) -> Lanes {
    from.map(|i| if i < 8 { a[i] } else { b[i - 8] })
}

/// Rows become columns.
#[inline(always)]
pub(super) fn transposed(rows: [Lanes; 8]) -> [Lanes; 8] {
    let mut columns = [ZERO; 8];
    for (i, column) in columns.iter_mut().enumerate() {
        *column = rows.map(|row| row[i]);
    }
    columns
}

/// Subnormal operands and results are zeros, as with DAZ and FTZ.
///
/// Whether a result is too small is asked of the result rounded to 24 bits without a lower limit to the exponent, as
/// x86 does: up to 2^-151 below the smallest normal number a result still becomes that number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flushing;

impl Flushing {
    /// A subnormal number's zero; all others as they are.
    #[inline]
    pub(super) fn operand(x: f32) -> f32 {
        if x.is_subnormal() {
            0f32.copysign(x)
        } else {
            x
        }
    }

    /// `a + b`: sums that small are exact.
    #[inline]
    pub(super) fn sum(a: f32, b: f32) -> f32 {
        Self::operand(Self::operand(a) + Self::operand(b))
    }

    /// `a * b + c`, rounded once.
    #[inline]
    pub(super) fn fused(a: f32, b: f32, c: f32) -> f32 {
        let (a, b, c) = (Self::operand(a), Self::operand(b), Self::operand(c));
        let result = a.mul_add(b, c);
        if result.abs() == f32::MIN_POSITIVE && rounds_up_to_normal(a, b, c) {
            return 0f32.copysign(result);
        }
        Self::operand(result)
    }

    /// `a * b`; the sign of a zero is the product's, as adding -0 leaves it.
    #[inline]
    pub(super) fn product(a: f32, b: f32) -> f32 {
        Self::fused(a, b, -0.0)
    }
}

/// Whether `a * b + c`, known to round to the smallest normal number, only does so because subnormal numbers are
/// coarser than 24 bits.
#[cold]
fn rounds_up_to_normal(a: f32, b: f32, c: f32) -> bool {
    // the smallest magnitude that 24 bits round up to 2^-126; exact, as everything below
    let least = f64::from(f32::MIN_POSITIVE) - 2f64.powi(-151);
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    // Knuth's two-sum: sum + rest is product + c
    let sum = product + c;
    let part = sum - product;
    let rest = (product - (sum - part)) + (c - part);
    let (sum, rest) = match sum < 0.0 {
        true => (-sum, -rest),
        false => (sum, rest),
    };
    sum < least || (sum == least && rest < 0.0)
}

impl Arithmetic for Flushing {
    #[inline]
    fn meet(&mut self, x: Lanes) -> Lanes {
        x
    }
    #[inline]
    fn add(&mut self, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| Self::sum(a[i], b[i]))
    }
    #[inline]
    fn mul(&mut self, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| Self::product(a[i], b[i]))
    }
    #[inline]
    fn fma(&mut self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| Self::fused(a[i], b[i], c[i]))
    }
}

/// Ordinary arithmetic, and the smallest magnitude met but zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// Per lane: the smallest bits of a magnitude, less one, so that zero is the largest of all.
    lowest: [u32; 8],
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            lowest: [u32::MAX; 8],
        }
    }
}

impl Watched {
    /// Whether [`Flushing`] might have given another result.
    #[inline(always)]
    pub(super) fn in_doubt(&self) -> bool {
        let smallest_normal = f32::MIN_POSITIVE.to_bits();
        self.lowest.iter().any(|&bits| bits < smallest_normal)
    }
}

impl Arithmetic for Watched {
    #[inline(always)]
    fn meet(&mut self, x: Lanes) -> Lanes {
        for (lowest, x) in self.lowest.iter_mut().zip(&x) {
            let magnitude = x.to_bits() & 0x7fff_ffff;
            *lowest = (*lowest).min(magnitude.wrapping_sub(1));
        }
        x
    }
    #[inline(always)]
    fn add(&mut self, a: Lanes, b: Lanes) -> Lanes {
        let mut sum = ZERO;
        for i in 0..8 {
            sum[i] = a[i] + b[i];
        }
        self.meet(sum)
    }
    #[inline(always)]
    fn mul(&mut self, a: Lanes, b: Lanes) -> Lanes {
        let mut product = ZERO;
        for i in 0..8 {
            product[i] = a[i] * b[i];
        }
        self.meet(product)
    }
    #[inline(always)]
    fn fma(&mut self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        let mut sum = ZERO;
        for i in 0..8 {
            sum[i] = a[i].mul_add(b[i], c[i]);
        }
        self.meet(sum)
    }
}
