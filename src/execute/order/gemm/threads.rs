//! How oneDNN's sgemm deals out one product y[M pixels, N channels] += columns[M, K] * weight[K, N] to threads.
//!
//! Only a convolution that does not deal out blocks itself has more than one thread here. All rules are those of
//! oneDNN 3.13, src/cpu/x64/gemm/ and src/cpu/gemm/f32/gemm_utils_f32.cpp.

use crate::execute::order::gemm::Kernels;
use crate::execute::order::gemm::blocking::round_up;

/// One matrix product: rows (pixels), columns (channels), products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Size {
    pub(super) m: i64,
    pub(super) n: i64,
    pub(super) k: i64,
}

/// Threads along each axis, and what each of them takes; the last may have less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) threads: Size,
    pub(super) share: Size,
}

/// Threads worth their start (`adjust_thread_count` in gemm_driver.cpp).
pub(super) fn worthwhile(kernels: Kernels, size: Size, threads: i64) -> i64 {
    let Size { m, n, k } = size;
    let lanes = kernels.lanes();
    let few_rows_at_most = match kernels {
        Kernels::Sse41 | Kernels::Reference => 0,
        Kernels::Avx | Kernels::Avx2 => 3,
        Kernels::Avx512 => 10,
    };
    if n > 50 && m <= few_rows_at_most {
        return threads;
    }
    let few_rows = kernels == Kernels::Avx2 && m > 10 * n && n < threads;
    let threads = if few_rows && m / threads < 3 * lanes {
        (m / lanes / 3).max(1)
    } else {
        threads
    };
    let cycles = (m * n * k) as f64 / (4.0 * lanes as f64) * 2.0;
    // the overhead of n threads must stay below the cycles that n - 1 of them save
    let pays = |n: i64, overhead: f64| overhead * (n as f64) < cycles * (n - 1) as f64;
    let mut n = threads;
    if threads <= 4 {
        if cycles < 3000.0 {
            return 1;
        }
        while n > 1 && !pays(n, 3000.0) {
            n -= 1;
        }
    } else {
        if cycles < 5000.0 {
            return 1;
        }
        while n > 1 && !pays(n, 4000.0 + n as f64 * 500.0) {
            n -= match n {
                ..10 => 2,
                10..30 => 4,
                _ => 8,
            };
        }
    }
    n.max(1)
}

/// Threads of a matrix-vector product of m sums of k products (`thread_checker` in gemv_driver.cpp).
pub(super) fn worthwhile_for_vector(kernels: Kernels, m: i64, k: i64, threads: i64) -> i64 {
    let share = k / threads;
    let small = if kernels.fuse() {
        m * k + 288 * k < 41_700
    } else {
        m < 128 && k < 128
    };
    if small {
        return 1;
    }
    if m >= 20_000 && k <= 200 {
        return threads;
    }
    let least = if threads <= 12 && share < 32 {
        2048
    } else {
        4096
    };
    if m * share >= least {
        threads
    } else if threads <= 12 || share == 0 {
        1
    } else {
        (m * k / 3072).clamp(1, threads)
    }
}

/// The grid of threads where operands are not copied.
pub(super) fn partition(kernels: Kernels, size: Size, threads: i64) -> Partition {
    if threads == 1 {
        return Partition {
            threads: Size { m: 1, n: 1, k: 1 },
            share: size,
        };
    }
    match kernels {
        Kernels::Sse41 | Kernels::Avx | Kernels::Avx2 | Kernels::Reference => {
            avx2_grid(size, threads)
        }
        Kernels::Avx512 => avx512_grid(size, threads),
    }
    .even(size)
}

/// Threads along m, n, k.
#[derive(Clone, Copy)]
struct Grid {
    m: i64,
    n: i64,
    k: i64,
}

impl Grid {
    /// Shares in multiples of 16 rows and 4 products; threads without a share are not used.
    fn even(self, size: Size) -> Partition {
        let part = |total: i64, threads: i64| (total + threads - 1) / threads;
        let share = Size {
            m: round_up(part(size.m, self.m), 16),
            n: part(size.n, self.n),
            k: round_up(part(size.k, self.k), 4),
        };
        let used = |share: i64, threads: i64, total: i64| match share * threads > total {
            true => part(total, share),
            false => threads,
        };
        Partition {
            threads: Size {
                m: used(share.m, self.m, size.m),
                n: used(share.n, self.n, size.n),
                k: used(share.k, self.k, size.k),
            },
            share,
        }
    }

    /// More threads than there are: along the shorter axis about their root, the rest along the other.
    fn fit(&mut self, size: Size, threads: i64) {
        if self.m <= self.n {
            self.m = threads.isqrt().min((size.m + 15) / 16);
            self.n = threads / self.m;
            while self.m > 1 && self.m * self.n != threads {
                self.m -= 1;
                self.n = threads / self.m;
            }
        } else {
            self.n = threads.isqrt().min(size.n);
            self.m = threads / self.n;
            while self.n > 1 && self.m * self.n != threads {
                self.n -= 1;
                self.m = threads / self.n;
            }
        }
    }
}

/// `calc_nthr_nocopy_avx`
fn avx2_grid(size: Size, threads: i64) -> Grid {
    let mut grid = Grid {
        m: (size.m + 63) / 64,
        n: (size.n + 47) / 48,
        k: 1,
    };
    let mut along_k = 1;
    while grid.m * grid.n * along_k < threads && size.k / (along_k + 1) > 384 {
        along_k += 1;
        if (threads / along_k * along_k) as f64 > 0.9 * threads as f64 {
            grid.k = along_k;
        }
    }
    let threads = threads / grid.k;
    if grid.m == 1 {
        grid.n = threads;
    }
    if grid.n == 1 {
        grid.m = threads;
    }
    while grid.m * grid.n > threads {
        *longer(&mut grid) -= 1;
    }
    while grid.m * grid.n < threads {
        *shorter(&mut grid) += 1;
    }
    if grid.m * grid.n > threads && grid.m > 1 && grid.n > 1 {
        grid.fit(size, threads);
    }
    grid
}

/// The axis with more threads; n where both have as many.
fn longer(grid: &mut Grid) -> &mut i64 {
    if grid.m > grid.n {
        &mut grid.m
    } else {
        &mut grid.n
    }
}

/// The axis with fewer threads; n where both have as many.
fn shorter(grid: &mut Grid) -> &mut i64 {
    if grid.m < grid.n {
        &mut grid.m
    } else {
        &mut grid.n
    }
}

/// `calc_nthr_nocopy_avx512_common`
fn avx512_grid(size: Size, threads: i64) -> Grid {
    let Size { m, n, k } = size;
    let mut along_k = 1;
    if n <= 128 && m <= 64 * threads && k > m && k > n {
        along_k = (k / 192).min(threads / 4).max(1);
        while along_k > 1 && threads % along_k != 0 {
            along_k -= 1;
        }
    }
    let threads = threads / along_k;
    let mut grid = Grid {
        m: (m + 31) / 32,
        n: (n + 63) / 64,
        k: along_k,
    };
    let ratio = grid.m as f32 / grid.n as f32;
    let ratio = if grid.m > grid.n { ratio } else { 1.0 / ratio } as i64;
    while grid.m * grid.n > 4 * threads {
        grid.m /= 2;
        grid.n /= 2;
    }
    grid.m = grid.m.max(1);
    grid.n = grid.n.max(1);
    let mut turns = Turns { ratio, taken: 0 };
    while grid.m * grid.n > threads {
        *turns.next(&mut grid) -= 1;
    }
    turns.taken = 0;
    while ((grid.m * grid.n) as f64) < 0.95 * threads as f64 {
        *turns.next(&mut grid) += 1;
    }
    if grid.m * grid.n > threads {
        grid.fit(size, threads);
    }
    grid
}

/// The longer axis takes `ratio` turns, then the other one takes one.
struct Turns {
    ratio: i64,
    taken: i64,
}

impl Turns {
    fn next<'a>(&mut self, grid: &'a mut Grid) -> &'a mut i64 {
        let longer = self.taken < self.ratio;
        self.taken = if longer { self.taken + 1 } else { 0 };
        if (grid.m > grid.n) == longer {
            &mut grid.m
        } else {
            &mut grid.n
        }
    }
}
