//! Pictures as input: what PIL and torchvision make of them, bit for bit, and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use pthinspect::bytes::Limits;
use pthinspect::picture::Picture;
use safetensors::SafeTensors;
use support::fixture;
use support::run;
use tempfile::TempDir;

/// `run` of the layer that leaves `channels` channels as they are.
fn fed(layer: &str, picture: &str, output: &str, more: &[&str]) -> support::Run {
    let picture = fixture("pictures").join(picture);
    let fixed = [
        "run",
        layer,
        "fixtures/pictures/odd.pth",
        "--input",
        picture.to_str().unwrap(),
        "--output",
        output,
        "--order",
        "sequential/chw-muladd-bias-last",
    ];
    run(fixed.iter().chain(more))
}

struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn tensors(bytes: &[u8], name: &str) -> Tensor {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    let (words, _) = tensor.data().as_chunks::<4>();
    Tensor {
        shape: tensor.shape().to_vec(),
        values: words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
    }
}

fn expected(name: &str) -> Tensor {
    tensors(
        &std::fs::read(fixture("pictures/expected.safetensors")).unwrap(),
        name,
    )
}

/// What the program makes of a picture, which has as many channels as `like`.
fn found(picture: &str, like: &Tensor, more: &[&str]) -> Tensor {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("y.safetensors");
    let done = fed(
        &format!("same{}", like.shape[0]),
        picture,
        path.to_str().unwrap(),
        more,
    );
    assert_eq!(done.code, Some(0), "{picture} {more:?}: {}", done.stderr);
    tensors(&std::fs::read(&path).unwrap(), "output")
}

#[track_caller]
fn assert_identical(name: &str, picture: &str, more: &[&str]) {
    let expected = expected(name);
    let found = found(picture, &expected, more);
    assert_eq!(found.shape, expected.shape, "{name}");
    let bits = |tensor: &Tensor| {
        tensor
            .values
            .iter()
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&found), bits(&expected), "{name}");
}

#[test]
fn every_kind_of_png_is_read_as_torchvision_reads_it() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("pictures")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name
            .strip_suffix(".png")
            .filter(|stem| stem.starts_with("color"))
        {
            assert_identical(stem, &name, &[]);
            seen += 1;
        }
    }
    assert_eq!(seen, 30, "15 kinds, plain and interlaced");
}

#[test]
fn pictures_are_converted_resized_and_normalized_as_torchvision_does_it() {
    let normalize = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"];
    assert_identical("small", "small.png", &[]);
    assert_identical("small_normalized", "small.png", &normalize);
    assert_identical("small_grey", "small.png", &["--convert", "L"]);
    assert_identical(
        "small_cropped",
        "small.png",
        &["--resize", "13", "--center-crop", "8,11"],
    );
    for (filter, size) in [
        ("bilinear", "12,25"),
        ("bicubic", "23,9"),
        ("lanczos", "5,13"),
        ("box", "7,20"),
    ] {
        assert_identical(
            &format!("small_{filter}"),
            "small.png",
            &["--resize", size, "--resize-filter", filter],
        );
    }
}

#[test]
fn jpegs_come_close() {
    let turned = ["--exif-transpose"];
    let cases: [(&str, &[&str]); 4] = [
        ("small.jpg", &[]),
        ("progressive.jpg", &[]),
        ("grey.jpg", &[]),
        ("turned.jpg", &turned),
    ];
    for (name, more) in cases {
        let expected = expected(name);
        let found = found(name, &expected, more);
        assert_eq!(found.shape, expected.shape, "{name}");
        let pairs = found.values.iter().zip(&expected.values);
        let far = pairs
            .map(|(a, b)| ((a - b) * 255.0).abs().round() as u32)
            .max()
            .unwrap();
        assert!(far <= 3, "{name}: {far} of 255 away");
    }
}

#[test]
fn an_exif_orientation_is_left_alone_and_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("y.npy");
    let done = fed("same3", "turned.jpg", path.to_str().unwrap(), &[]);
    assert_eq!(done.code, Some(0));
    assert!(
        done.stderr.contains("--exif-transpose turns it"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("[3, 12, 20] -> [3, 12, 20]"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_layers_type_decides() {
    let folder = TempDir::new().unwrap();
    for (layer, bytes) in [("same3_half", 2), ("same3_double", 8)] {
        let path = folder.path().join("y.npy");
        let done = fed(layer, "small.png", path.to_str().unwrap(), &[]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!(size, 128 + 3 * 17 * 20 * bytes);
    }
}

#[test]
fn refusals_say_what_to_do() {
    let refused = |layer: &str, picture: &str, more: &[&str], what: &[&str]| {
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("y.npy");
        let message = fed(layer, picture, output.to_str().unwrap(), more).refusal();
        for part in what {
            assert!(message.contains(part), "{message}");
        }
        assert!(!output.exists(), "{picture}");
    };
    refused(
        "same1",
        "small.png",
        &[],
        &["3 channels (RGB)", "takes 1", "--convert L"],
    );
    refused(
        "same3",
        "grey.jpg",
        &[],
        &["1 channel (L)", "--convert RGB"],
    );
    refused(
        "same3",
        "color6_depth8.png",
        &[],
        &["4 channels (RGBA)", "--convert RGB"],
    );
    refused("same3", "cmyk.jpg", &[], &["CMYK"]);
    refused(
        "same3",
        "small.png",
        &["--mean", "1,2"],
        &["--mean has 2 numbers, the picture 3 channels"],
    );
    refused("same3", "small.png", &["--std", "1,0,1"], &["--std is 0"]);
    refused("same3", "small.png", &["--std", "nan"], &["not a number"]);
    refused("same3", "small.png", &["--resize", "0,4"], &["at least 1"]);
    refused(
        "same3",
        "small.png",
        &["--resize", "100000,100000"],
        &["picture_pixels"],
    );
    refused(
        "same3",
        "small.png",
        &["--center-crop", "18"],
        &["18 x 18 does not fit", "17 x 20"],
    );
    refused(
        "same3",
        "small.png",
        &["--limit", "picture_pixels=339"],
        &["20 x 17 pixels, the limit is 339"],
    );
    refused("same3", "no_such.png", &[], &["no_such.png"]);
    refused(
        "same3",
        "expected.safetensors:small",
        &["--mean", "0.5"],
        &["--mean is for pictures"],
    );
}

/// A PNG that claims a size, with `data` as its only rows.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut png = std::fs::read(fixture("pictures/small.png")).unwrap();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    png
}

#[test]
fn bombs_are_refused_before_they_cost_anything() {
    let refusal = |bytes: &[u8]| {
        Picture::decode(bytes, &Limits::default())
            .unwrap_err()
            .to_string()
    };
    for (width, height) in [
        (1 << 31, 1),
        (u32::MAX, u32::MAX),
        (60_000, 60_000),
        (1, 1 << 30),
    ] {
        let message = refusal(&claiming(width, height));
        assert!(
            message.contains("picture_pixels") || message.contains("damaged"),
            "{message}"
        );
    }
    assert!(
        refusal(&claiming(5000, 5000)).contains("cut off")
            || refusal(&claiming(5000, 5000)).contains("damaged")
    );
    assert!(
        refusal(&claiming(0, 7)).contains("damaged"),
        "{}",
        refusal(&claiming(0, 7))
    );
    // a JPEG of 65,500 x 65,500 pixels in a kilobyte
    let mut jpeg = std::fs::read(fixture("pictures/small.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|w| w == b"\xff\xc0").unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(refusal(&jpeg).contains("65500 x 65500 pixels"));
    // scan after scan
    let scan = jpeg.windows(2).position(|w| w == b"\xff\xda").unwrap();
    let jpeg = std::fs::read(fixture("pictures/small.jpg")).unwrap();
    let scans = jpeg[scan..jpeg.len() - 2].repeat(300);
    assert!(refusal(&[&jpeg[..scan], &scans, b"\xff\xd9"].concat()).contains("scans"));
}

#[test]
fn whatever_is_cut_off_is_refused() {
    for name in [
        "small.png",
        "color3_depth4_interlaced.png",
        "small.jpg",
        "progressive.jpg",
        "grey.jpg",
    ] {
        let whole = std::fs::read(fixture("pictures").join(name)).unwrap();
        let picture = Picture::decode(&whole, &Limits::default()).unwrap();
        for cut in 0..whole.len() {
            // a picture may be whole without what ends the file, and is then the same
            if let Ok(found) = Picture::decode(&whole[..cut], &Limits::default()) {
                assert!(
                    whole.len() - cut <= 20,
                    "{name} cut at {cut} of {}",
                    whole.len()
                );
                assert_eq!(found, picture, "{name} cut at {cut}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_is_no_disaster(
        name in prop::sample::select(vec!["small.png", "color0_depth2_interlaced.png", "small.jpg", "progressive.jpg", "turned.jpg"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        repair: bool,
    ) {
        let mut bytes = std::fs::read(fixture("pictures").join(name)).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if repair && bytes.len() > 33 {
            let sum = crc32fast::hash(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        }
        let mut limits = Limits::default();
        limits.set("picture_pixels", 1 << 20);
        if let Ok(picture) = Picture::decode(&bytes, &limits) {
            prop_assert!(picture.width * picture.height <= 1 << 20);
        }
    }

    #[test]
    fn anything_at_all_is_read_or_refused(bytes: Vec<u8>, is_png: bool) {
        let start: &[u8] = if is_png { b"\x89PNG\r\n\x1a\n" } else { b"\xff\xd8\xff" };
        let _ = Picture::decode(&[start, &bytes].concat(), &Limits::default());
    }
}
