//! What the operands of nested loops cost on their way through the caches, in oneDNN's own float32 steps
//! (`brg_blocking_t::io_k` in src/cpu/x64/jit_brgemm_conv_utils.cpp and jit_brgemm_conv_bwd_utils.cpp).

/// One operand in one loop: elements of an iteration, and how often they are used again.
#[derive(Clone, Copy)]
pub(super) struct Use {
    elements: i64,
    times: f32,
    overlap: f32,
}

impl Use {
    pub(super) fn once(elements: i64) -> Self {
        Self::times(elements, 1)
    }

    pub(super) fn times(elements: i64, times: i64) -> Self {
        Self {
            elements,
            times: times as f32,
            overlap: 1.0,
        }
    }

    pub(super) fn overlapping(elements: i64, overlap: i64) -> Self {
        Self {
            overlap: overlap as f32,
            ..Self::once(elements)
        }
    }
}

/// One loop around the kernel's innermost.
#[derive(Clone, Copy)]
pub(super) struct Loop {
    pub(super) input: Use,
    pub(super) output: Use,
    pub(super) weights: Use,
}

/// The caches.
#[derive(Clone, Copy)]
pub(super) struct Levels {
    /// The parts of the first two that are reckoned with, bytes.
    pub(super) l1: i64,
    pub(super) l2: i64,
    /// Relative cost of an access to the second, and to what lies behind; to the first it is 1.
    pub(super) second: f32,
    pub(super) memory: f32,
}

/// Accesses to each operand by one thread; outputs and weights counted in vectors.
#[derive(Clone, Copy)]
pub(super) struct Accesses {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) weights: i64,
}

impl Levels {
    /// All accesses, with these loops from the innermost on and vectors of so many lanes.
    pub(super) fn cost(&self, loops: &[Loop], all: Accesses, lanes: i64) -> f32 {
        let [mut input, mut output, mut weights] =
            [all.input, all.output, all.weights].map(|accesses| self.first(accesses));
        let whole = Loop {
            input: Use::once(all.input),
            output: Use::once(all.output * lanes),
            weights: Use::once(all.weights * lanes),
        };
        for each in std::iter::once(&whole).chain(loops.iter().rev()) {
            input.add(&each.input, self.behind(each, true));
            output.add(&each.output, self.behind(each, false));
            weights.add(&each.weights, self.behind(each, false));
        }
        input.total() + output.total() + weights.total()
    }

    fn first(&self, accesses: i64) -> Cost {
        Cost {
            accesses,
            each: self.memory,
            repeated: 1.0,
        }
    }

    /// Relative cost of an access in this loop after the first.
    fn behind(&self, each: &Loop, is_input: bool) -> f32 {
        let input = each.input.elements * 4;
        let all = input + each.weights.elements * 4 + each.output.elements * 4;
        if is_input && input < self.l1 {
            1.0
        } else if all < self.l2 {
            self.second
        } else {
            self.memory
        }
    }
}

/// Accesses to one operand, and what one of them costs on average.
struct Cost {
    accesses: i64,
    each: f32,
    repeated: f32,
}

impl Cost {
    /// One loop further in.
    fn add(&mut self, by: &Use, behind: f32) {
        let n = by.times * by.overlap;
        if n < 1.0 {
            self.each = 0.0;
        } else if n != 1.0 {
            self.each = (self.each + behind * (n - 1.0)) / n;
        }
        self.repeated *= by.times;
    }

    fn total(&self) -> f32 {
        self.each * (self.accesses as f32 * self.repeated)
    }
}
