//! Numbers of the saved output that were changed after they had been computed.

use serde_json::json;

use super::Different;
use super::Finding;
use super::Scene;
use super::difference;
use super::index;
use super::these;
use crate::execute::kernel::Tiled;

/// Elements that are listed one by one.
const FEW: usize = 64;

/// A few elements of an output that is right otherwise.
pub(super) fn in_output<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    let elements = scene.raw.expected.len();
    let n = different.flats.len();
    if n == 0 || n > FEW || 20 * n > elements.max(20) {
        return None;
    }
    // as many elements that differ by roundings are the edges of another order, not damage
    let flips: Vec<(usize, u32, u32)> = different
        .flats
        .iter()
        .map(|&flat| {
            let d = difference(scene, flat);
            let bits = d.expected ^ d.actual;
            (flat, bits.count_ones(), bits.trailing_zeros())
        })
        .collect();
    let single = flips.iter().filter(|(_, ones, _)| *ones == 1).count();
    if single < n && different.large == 0 {
        return None;
    }
    let places: Vec<_> = flips
        .iter()
        .map(|&(flat, ones, bit)| {
            let mut place = json!({"index": index(scene.raw.output_shape, flat)});
            if ones == 1 {
                place["bit"] = bit.into();
            }
            place
        })
        .collect();
    let where_ = |flat: usize| format!("{:?}", index(scene.raw.output_shape, flat));
    let text = match flips.as_slice() {
        [(flat, 1, bit)] => format!(
            "one flipped bit in the saved output: bit {bit} of the element at {}; the other {} elements are right",
            where_(*flat),
            elements - 1
        ),
        [(flat, ..)] => format!(
            "one element of the saved output was changed: the one at {}; the other {} are right",
            where_(*flat),
            elements - 1
        ),
        all if single == n => {
            let shown: Vec<String> = all
                .iter()
                .take(4)
                .map(|(flat, _, bit)| format!("bit {bit} at {}", where_(*flat)))
                .collect();
            let more = if n > 4 { ", ..." } else { "" };
            format!(
                "{n} flipped bits in the saved output: {}{more}; the other {} elements are right",
                shown.join(", "),
                elements - n
            )
        }
        all => format!(
            "{n} elements of the saved output were changed, the first at {}; the other {} are right",
            where_(all[0].0),
            elements - n
        ),
    };
    let details = json!({"elements": places});
    let mut finding = Finding::new("output_bits", text, details);
    finding.identical = Some(elements - n);
    Some(finding)
}

/// Elements that differ in one stretch, one image, or some channels of all filters alike.
pub(super) fn by_region<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    let elements = scene.raw.expected.len();
    let (&first, &last) = (different.flats.first()?, different.flats.last()?);
    let stretch = last + 1 - first;
    let n = different.flats.len();
    let images = scene.raw.output_shape[0].max(1);
    let per_image = elements / images;
    let mut wrong: Vec<usize> = different
        .flats
        .iter()
        .map(|flat| flat / per_image.max(1))
        .collect();
    wrong.dedup();
    if images > 1 && wrong.len() < images && 10 * n >= 9 * wrong.len() * per_image {
        let text = format!(
            "only {} of the batch: there, elements differ, the others are right: another input?",
            these("image", &wrong)
        );
        return Some(Finding::new("input", text, json!({"images": wrong})));
    }
    if stretch >= elements || 10 * n < 9 * stretch {
        return None;
    }
    let values = &scene.raw.expected[first..=last];
    let what = if values.iter().all(|v| v.is_nan()) {
        "all of it NaN"
    } else if values.iter().all(|v| v.to_f64() == 0.0) {
        "all of it zero"
    } else {
        "other numbers"
    };
    let bytes = scene.problem.dtype.bytes();
    let text = format!(
        "one stretch of the saved output was overwritten, {what}: elements {first} to {last} in C order, \
         {} bytes; the other {} are right",
        stretch * bytes,
        elements - n
    );
    let details = json!({"from": first, "to": last, "bytes": stretch * bytes});
    Some(Finding::new("output_stretch", text, details))
}
