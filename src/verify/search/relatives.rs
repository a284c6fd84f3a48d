//! Registered families with parameters that nobody has registered.

use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::order::brgemm;
use crate::execute::order::gemm;
use crate::execute::order::mkl;

/// Threads that are tried.
const THREADS: [usize; 7] = [1, 2, 3, 4, 6, 8, 16];
/// Level-2 caches that are tried, KiB.
const CACHES: [usize; 5] = [1024, 512, 2048, 1280, 256];

/// Registered families with parameters that nobody has registered.
pub(super) fn all(g: &Geometry, dtype: FloatType) -> Vec<Order> {
    let double = dtype == FloatType::Float64;
    let mut orders = Vec::new();
    let channels = g.group_in();
    for fused in [true, false] {
        for channel_block in [8, 16, 4, 32, 64] {
            for filled in [true, false] {
                orders.push(Order::OnednnDirect {
                    channel_block,
                    fused,
                    filled,
                });
            }
        }
    }
    for channel_block in [16, 8, 4, 32, 64] {
        orders.push(Order::OnednnDirectBlocks { channel_block });
        orders.push(Order::OnednnDirectChannelsLast { channel_block });
    }
    if g.kernel == [1, 1] {
        for reduce in (16..channels.next_multiple_of(16)).step_by(16) {
            for (simd, fused) in [(16, true), (8, true), (8, false)] {
                orders.push(Order::Onednn1x1 {
                    reduce,
                    simd,
                    fused,
                });
            }
        }
    }
    for shares in THREADS {
        for block in [1024, 512, 256, 2048] {
            orders.push(Order::OnednnMatmul { block, shares });
        }
    }
    brgemm_relatives(g, &mut orders);
    gemm_relatives(&mut orders);
    let callers = [
        mkl::Caller::Slow2d,
        mkl::Caller::SlowDilated2d,
        mkl::Caller::Slow2dNhwc,
        mkl::Caller::SlowDilated2dNhwc,
        mkl::Caller::Slow3dGroups,
        mkl::Caller::Linear,
        mkl::Caller::Matmul,
    ];
    for caller in callers {
        for threads in THREADS {
            for most in K_BLOCKS.into_iter().filter(|&k| k < g.taps() || k == 192) {
                for blocks in [mkl::KBlocks::Even(most), mkl::KBlocks::Halves(most)] {
                    orders.extend([false, true].map(|cnr| {
                        Order::Mkl(mkl::Variant {
                            caller,
                            blocks,
                            double,
                            cnr,
                            threads,
                        })
                    }));
                }
            }
        }
    }
    orders.retain(|order| order.serves(dtype));
    orders
}

/// K blocks that are tried.
pub(super) const K_BLOCKS: [usize; 10] = [192, 384, 256, 128, 320, 336, 448, 512, 576, 640];

fn gemm_relatives(orders: &mut Vec<Order>) {
    use gemm::Kernels;
    for kernels in [Kernels::Avx2, Kernels::Avx512, Kernels::Avx, Kernels::Sse41] {
        for threads in THREADS {
            for kib in CACHES {
                orders.extend([false, true].map(|nhwc| {
                    Order::OnednnGemm(gemm::Variant {
                        kernels,
                        threads,
                        l2_bytes: kib << 10,
                        nhwc,
                    })
                }));
            }
        }
    }
}

fn brgemm_relatives(g: &Geometry, orders: &mut Vec<Order>) {
    let mut blocks: Vec<Option<usize>> = vec![None];
    let sizes = [16, 32, 64, 128, 256, 320, 512, 640, 1024, 1280];
    blocks.extend(sizes.into_iter().filter(|&b| b < g.group_in()).map(Some));
    let mut accesses = vec![
        brgemm::Access::Whole,
        brgemm::Access::Copied,
        brgemm::Access::CopiedColumns,
    ];
    if g.kernel[1] > 1 {
        for columns in [false, true] {
            let widths = (2..=32)
                .chain([1024])
                .filter(|&w| w < g.output[1] || w == 1024);
            accesses.extend(widths.map(|width| brgemm::Access::Edges {
                width,
                columns,
                chained: false,
            }));
        }
    }
    for access in accesses {
        for rows in [false, true] {
            if rows && g.kernel[0] == 1 {
                continue;
            }
            orders.extend(blocks.iter().map(|&channel_block| {
                Order::OnednnBrgemm(brgemm::Variant {
                    access,
                    slices: false,
                    rows,
                    channel_block,
                    joined_columns: 1,
                })
            }));
        }
    }
}
