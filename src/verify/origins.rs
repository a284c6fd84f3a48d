//! Origins close to the one that a golden claims, and what to call the change.

use crate::execute::Call;
use crate::execute::MemoryFormat;
use crate::execute::Order;
use crate::execute::Origin;
use crate::execute::predict;

/// A change of the origin, and an order that it leads to.
#[derive(Clone, Debug)]
pub struct Variation {
    /// What would have to be different.
    pub words: String,
    /// The order then.
    pub order: Order,
}

/// Numbers of threads that are tried.
const THREADS: [usize; 7] = [1, 2, 3, 4, 6, 8, 16];

/// A step away from an origin and a call.
type Step = (String, Call, Origin);

/// Orders that origins one or two steps away from `origin` lead to, the smallest changes first; each order once,
/// those of `origin` itself left out. Nothing for an origin that says nothing.
pub fn variations(call: &Call, origin: &Origin) -> Vec<Variation> {
    if origin.is_unknown() {
        return Vec::new();
    }
    let mut seen: Vec<Order> = orders(call, origin);
    let mut found = Vec::new();
    let mut add = |step: &Step, single: bool| {
        for order in orders(&step.1, &step.2) {
            if !seen.contains(&order) {
                seen.push(order);
                found.push(Variation {
                    words: step.0.clone(),
                    order,
                });
            } else if let Some(known) = found.iter_mut().find(|v| v.order == order && single) {
                // several single changes that lead to one order are all named
                if known.words.matches(" or ").count() < 2 {
                    known.words += &format!(" or {}", step.0);
                }
            }
        }
    };
    let single = steps(call, origin);
    single.iter().for_each(|step| add(step, true));
    // the number of threads together with one other change
    for (words, call, origin) in &single {
        if words.starts_with("threads=") {
            continue;
        }
        for (threads, call, origin) in threads(call, origin) {
            add(&(format!("{words}, {threads}"), call, origin), false);
        }
    }
    found
}

fn orders(call: &Call, origin: &Origin) -> Vec<Order> {
    let predictions = predict::predict(call, origin).into_iter();
    predictions.map(|prediction| prediction.order).collect()
}

fn threads(call: &Call, origin: &Origin) -> Vec<Step> {
    let others = THREADS.into_iter().filter(|&t| origin.threads != Some(t));
    others
        .map(|threads| {
            let origin = Origin {
                threads: Some(threads),
                ..origin.clone()
            };
            (format!("threads={threads}"), *call, origin)
        })
        .collect()
}

fn steps(call: &Call, origin: &Origin) -> Vec<Step> {
    let mut steps = threads(call, origin);
    let mkldnn = origin.mkldnn.unwrap_or(true);
    steps.push((
        format!("mkldnn={}", !mkldnn),
        *call,
        Origin {
            mkldnn: Some(!mkldnn),
            ..origin.clone()
        },
    ));
    let memory_format = match call.memory_format {
        MemoryFormat::Contiguous => MemoryFormat::ChannelsLast,
        MemoryFormat::ChannelsLast => MemoryFormat::Contiguous,
    };
    steps.push((
        format!("memory_format={}", memory_format.name()),
        Call {
            memory_format,
            ..*call
        },
        origin.clone(),
    ));
    for (words, capability, limit) in [
        ("cpu_capability=AVX512", "AVX512", None),
        (
            "cpu_capability=AVX2 (ONEDNN_MAX_CPU_ISA=AVX2)",
            "AVX2",
            None,
        ),
        ("ONEDNN_MAX_CPU_ISA=AVX", "AVX2", Some("AVX")),
        ("ONEDNN_MAX_CPU_ISA=SSE41", "AVX2", Some("SSE41")),
    ] {
        let mut other = Origin {
            cpu_capability: Some(capability.into()),
            ..origin.clone()
        };
        other.env.remove("DNNL_MAX_CPU_ISA");
        other.env.remove("ONEDNN_MAX_CPU_ISA");
        if let Some(limit) = limit {
            other.env.insert("ONEDNN_MAX_CPU_ISA".into(), limit.into());
        }
        steps.push((words.into(), *call, other));
    }
    for vendor in ["AuthenticAMD", "GenuineIntel"] {
        if origin.cpu_vendor.as_deref() != Some(vendor) {
            let other = Origin {
                cpu_vendor: Some(vendor.into()),
                ..origin.clone()
            };
            steps.push((format!("cpu_vendor={vendor}"), *call, other));
        }
    }
    for kib in [256, 512, 1024, 1280, 2048] {
        if origin.l2_bytes != Some(kib << 10) {
            let other = Origin {
                l2_bytes: Some(kib << 10),
                ..origin.clone()
            };
            steps.push((format!("l2_bytes={}", kib << 10), *call, other));
        }
    }
    steps
}
