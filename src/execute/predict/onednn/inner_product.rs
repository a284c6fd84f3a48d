//! `ip:any`: a kernel as large as the image is an inner product, which oneDNN hands to its matrix multiplication.

use crate::execute::order::Order;
use crate::execute::predict::Machine;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;

/// `check_conv_ip` in src/cpu/x64/ip_convolution.cpp; only with AVX-512.
pub(super) fn accepts(s: &Sizes) -> bool {
    s.groups == 1
        && s.batch > 1
        && s.pixels() == 1
        && s.is_unstrided()
        && s.is_undilated()
        && s.is_unpadded()
        && s.kernel_rows() * s.kernel[COLUMNS] > 27
}

/// Implementation and order. One output channel makes it a matrix-vector product, which goes another way.
pub(super) fn choose(s: &Sizes, machine: &Machine) -> (&'static str, Order) {
    if s.out_channels == 1 {
        return ("ip:any+_matmul:avx2", Order::OnednnMatrixVector);
    }
    let products = s.in_channels * s.kernel_rows() * s.kernel[COLUMNS];
    let block = if products > 1024 { 1024 } else { 512 };
    let order = Order::OnednnMatmul {
        block: block as usize,
        shares: shares(s, machine.threads as i64, products, block) as usize,
    };
    ("ip:any+_matmul:avx512_core", order)
}

/// Threads that share the products of one output
/// (`compute_blocking_heuristic_avx512` in src/cpu/x64/matmul/brgemm_matmul_utils.cpp).
fn shares(s: &Sizes, threads: i64, products: i64, block: i64) -> i64 {
    let (rows, columns) = (s.batch, s.out_channels);
    let column_chunks = div_up(columns, 64);
    if threads <= column_chunks || products < 20_000 || rows > 512 || columns > 512 {
        return 1;
    }
    let low_parallelism =
        columns <= 14_528 && ((rows <= 768 && products <= 128) || products * rows <= 49_152);
    let row_block = rows.min(if low_parallelism { 512 } else { 256 });
    let chunks = column_chunks * div_up(rows, row_block);
    let mut outer = (1..=threads).rev().find(|n| chunks % n == 0).unwrap_or(1);
    while threads / outer <= threads % outer {
        outer /= least_prime_factor(outer);
    }
    let mut shares = threads / outer;
    while shares > 1 && div_up(products, block) <= 5 * shares {
        shares /= least_prime_factor(shares);
    }
    shares
}

/// 1 for 1.
fn least_prime_factor(n: i64) -> i64 {
    (2..=n).find(|factor| n % factor == 0).unwrap_or(1)
}
