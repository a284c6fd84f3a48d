//! `report`: what the page's data say, what the page is made of, and what is refused. What the page does in a browser is
//! tested by `tests/page/run.mjs`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Read;

use serde_json::Value;
use support::{fixture, run, snapshot};

const Q1: &str = "fixtures/questions/cifar_q1.pth.tar";

fn data(file: &str) -> Value {
    run(["report", file, "--json"]).json()
}

fn page(file: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let mut words = vec!["report", file, "--output", out.to_str().unwrap()];
    words.extend(more);
    run(words).ok();
    fs::read_to_string(out).unwrap()
}

/// What stands between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap() + from.len();
    &text[start..start + text[start..].find(to).unwrap()]
}

fn unpacked(page: &str) -> (Value, Vec<u8>) {
    use base64::Engine;
    let decode = |text: &str| {
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    };
    let block = between(page, "type=\"application/json\">", "</script>");
    let block: Value = serde_json::from_str(block).unwrap();
    let packed = decode(block["document"].as_str().unwrap());
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    (
        serde_json::from_str(&text).unwrap(),
        decode(block["values"].as_str().unwrap()),
    )
}

fn tensor<'a>(data: &'a Value, name: &str) -> &'a Value {
    let tensors = data["tensors"].as_array().unwrap();
    tensors.iter().find(|t| t["name"] == name).unwrap()
}

#[test]
fn the_embedded_values_are_the_files_own_bytes() {
    let (data, values) = unpacked(&page(Q1, &[]));
    let mut at = 0;
    let file = fs::read(fixture("questions/cifar_q1.pth.tar")).unwrap();
    let mut compared = 0;
    for tensor in data["tensors"].as_array().unwrap() {
        let bits = data["dtypes"][tensor["dtype"].as_str().unwrap()]["bits"]
            .as_u64()
            .unwrap();
        let len = (tensor["embedded"].as_u64().unwrap_or(0) * bits / 8) as usize;
        let storage = &data["storages"][tensor["storage"].as_u64().unwrap() as usize];
        let offset = storage["file_offset"].as_u64().unwrap() as usize
            + (tensor["storage_offset"].as_u64().unwrap_or(0) * bits / 8) as usize;
        if tensor.get("stride").is_none() {
            assert_eq!(
                values[at..at + len],
                file[offset..offset + len],
                "{}",
                tensor["name"]
            );
            compared += 1;
        }
        at += len;
    }
    assert_eq!(at, values.len());
    assert!(compared > 4);
}

#[test]
fn json_is_what_the_page_embeds() {
    let mut told = data(Q1);
    let (embedded, values) = unpacked(&page(Q1, &[]));
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(values);
    assert_eq!(told["values"].take(), Value::String(text));
    told.as_object_mut().unwrap().remove("values");
    assert!(told == embedded, "the documents differ");
}

#[test]
fn figures_kinds_and_places() {
    let data = data(Q1);
    let weight = tensor(&data, "state_dict.module.conv1.weight");
    assert_eq!(weight["shape"], serde_json::json!([192, 3, 5, 5]));
    assert_eq!(weight["embedded"], 14400);
    assert_eq!(
        data["kinds"][weight["kind"].as_u64().unwrap() as usize]["name"],
        "Conv2d"
    );
    assert_eq!(weight["conv"]["groups"], 1);
    assert_eq!(weight["figures"]["norms"].as_array().unwrap().len(), 192);
    let bars = weight["figures"]["histogram"].as_array().unwrap();
    assert_eq!(
        bars.iter().map(|bar| bar.as_u64().unwrap()).sum::<u64>(),
        14400
    );
    assert_eq!(
        (&data["scan"]["verdict"], &data["check"]["whole"]),
        (&"clean".into(), &true.into())
    );
    let contents = data["contents"].as_array().unwrap();
    assert!(contents.iter().any(|content| content["name"] == "epoch"));
    // every byte has an owner, and the runs follow one another
    let map = &data["maps"][0];
    let sum: u64 = map["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| span[0].as_u64().unwrap())
        .sum();
    assert_eq!(sum, map["size"].as_u64().unwrap());
    assert_eq!(
        sum,
        fs::metadata(fixture("questions/cifar_q1.pth.tar"))
            .unwrap()
            .len()
    );
}

#[test]
fn the_policy_names_exactly_the_pages_own_style_and_script() {
    use base64::Engine;
    use sha2::Digest;
    let page = page(Q1, &[]);
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    let hash = |text: &str| {
        let digest = sha2::Sha256::digest(text.as_bytes());
        format!(
            "'sha256-{}'",
            base64::engine::general_purpose::STANDARD.encode(digest)
        )
    };
    assert!(policy.starts_with("default-src 'none'; "));
    assert!(policy.contains(&hash(between(&page, "<style>", "</style>"))));
    let script = page.rsplit_once("<script>").unwrap().1;
    assert!(policy.contains(&hash(script.split_once("</script>").unwrap().0)));
    assert!(!policy.contains("unsafe"));
    // one block of data, one script, and nothing that loads anything
    assert_eq!(page.matches("<script").count(), 2);
    for word in ["src=", "<link", "<iframe", "<img", "@import"] {
        assert!(!page.to_lowercase().contains(word), "{word}");
    }
}

/// A safetensors file of one tensor of that name.
fn named(name: &str) -> Vec<u8> {
    let header = serde_json::json!({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
        .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 8]);
    bytes
}

#[test]
fn no_name_can_leave_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (number, name) in [
        "</script><img src=x onerror=alert(1)>",
        "<!--<script>",
        "{{data}}",
        "\u{2028}\"",
    ]
    .iter()
    .enumerate()
    {
        let file = folder.path().join(format!("{number} <b>&.safetensors"));
        fs::write(&file, named(name)).unwrap();
        let page = page(file.to_str().unwrap(), &[]);
        assert!(!page.contains(name), "{name}");
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;.safetensors"));
        assert_eq!(page.matches("</script").count(), 2);
        assert_eq!(unpacked(&page).0["tensors"][0]["name"], *name);
    }
}

#[test]
fn a_page_is_no_larger_than_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let out = out.to_str().unwrap();
    let whole = page(Q1, &[]).len() as u64;
    let mut seen = Vec::new();
    for most in [whole + 2000, whole - 1000, whole * 3 / 4, 160_000] {
        run([
            "report",
            Q1,
            "--output",
            out,
            "--max-bytes",
            &most.to_string(),
        ])
        .ok();
        let size = fs::metadata(out).unwrap().len();
        assert!(size <= most, "{size} of {most}");
        let text = fs::read_to_string(out).unwrap();
        seen.push(unpacked(&text).0["embedded"]["elements"].as_u64().unwrap());
    }
    assert_eq!(seen[0], 26649, "what fits is embedded whole");
    assert!(
        seen.is_sorted_by(|a, b| a >= b) && seen[3] < seen[0],
        "{seen:?}"
    );
    fs::remove_file(out).unwrap();
    let refusal = run(["report", Q1, "--output", out, "--max-bytes", "1000"]).refusal();
    assert!(
        refusal.contains("--max-bytes allows 1000") && refusal.contains("is the least"),
        "{refusal}"
    );
    assert!(!fs::exists(out).unwrap(), "nothing half-written");
    // and the least is enough
    let least = between(&refusal, "hint: --max-bytes ", " ");
    run(["report", Q1, "--output", out, "--max-bytes", least]).ok();
}

#[test]
fn golden_cases_are_replayed_and_judged() {
    let golden = "fixtures/questions/cifar_q1.golden.safetensors";
    let data = run(["report", Q1, "--json", "--golden", golden]).json();
    let summary = &data["verify"]["summary"];
    assert_eq!(summary["cases"], summary["identical"]);
    assert!(summary["cases"].as_u64().unwrap() > 0);
    let missing = run(["report", Q1, "--json", "--golden", "no.safetensors"]).refusal();
    assert!(missing.contains("no.safetensors"));
}

#[test]
fn damaged_files_have_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.pth");
    let bytes = fs::read(fixture("questions/cifar_q1.pth.tar")).unwrap();
    fs::write(&file, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let run = run(["report", file.to_str().unwrap(), "--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("warning: the file is damaged"),
        "{}",
        run.stderr
    );
    let data: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(data["check"]["whole"], false);
    assert!(
        data["check"]["lost"]
            .as_array()
            .is_some_and(|lost| !lost.is_empty())
    );
    assert_eq!(
        tensor(&data, "state_dict.module.conv1.weight")["embedded"],
        14400
    );
}

#[test]
fn the_data_of_small_files() {
    snapshot(
        "report_empty",
        "report fixtures/checkpoints/root_empty_dict.pth --json",
    );
    snapshot("report_meta", "report fixtures/checkpoints/meta.pth --json");
}

#[test]
fn what_has_no_page_is_refused() {
    assert!(run(["report", Q1]).refusal().contains("--output"));
    assert!(
        run(["report", "Cargo.toml", "--output", "x.html"])
            .refusal()
            .contains("Cargo.toml")
    );
    let nowhere = run(["report", Q1, "--output", "/nowhere/at/all/page.html"]).refusal();
    assert!(nowhere.contains("/nowhere/at/all"), "{nowhere}");
    let number = run(["report", Q1, "--output", "x.html", "--max-bytes", "many"]).refusal();
    assert!(number.contains("many"), "{number}");
}
