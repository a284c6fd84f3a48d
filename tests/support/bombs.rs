//! Files that are small, or quickly read by a program that believes them, and cost memory, time or stack: what hostile
//! files try, put together on the spot (they would be megabytes in the repository).
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A file, or a folder, and what it tries.
pub struct Bomb {
    /// Name of the file.
    pub name: &'static str,
    /// Writes it.
    pub make: fn(&Path),
}

/// Every bomb. Those of a few hundred bytes are fixtures: `fixtures/malformed/bomb_*`.
pub const BOMBS: &[Bomb] = &[
    Bomb {
        name: "doubled_lists.pth",
        make: |p| pickled(p, &doubled(b']', b'e')),
    },
    Bomb {
        name: "doubled_tuple_as_key.pth",
        make: |p| pickled(p, &doubled_key()),
    },
    Bomb {
        name: "doubled_modules.pth",
        make: |p| pickled(p, &doubled_modules()),
    },
    Bomb {
        name: "million_tuples.pth",
        make: |p| pickled(p, &[&b"K\x01"[..], &[0x85; 1_000_000]].concat()),
    },
    Bomb {
        name: "200000_lists.pth",
        make: |p| pickled(p, &[[b']'; 200_000], [b'a'; 200_000]].concat()[..399_999]),
    },
    Bomb {
        name: "200000_calls.pth",
        make: |p| pickled(p, &calls(200_000)),
    },
    Bomb {
        name: "200000_states.pth",
        make: |p| pickled(p, &states(200_000)),
    },
    Bomb {
        name: "nones_300_mb.pth",
        make: |p| inflating_pickle(p, b'N', 300 << 20, 0),
    },
    Bomb {
        name: "nones_at_the_limit.pth",
        make: |p| inflating_pickle(p, b'N', 56 << 20, 240 << 10),
    },
    Bomb {
        name: "lists_at_the_limit.pth",
        make: |p| inflating_pickle(p, b']', 56 << 20, 240 << 10),
    },
    Bomb {
        name: "text_300_mb.pth",
        make: |p| inflating_text(p, 300 << 20),
    },
    Bomb {
        name: "storage_300_mb.pth",
        make: |p| inflating_storages(p, 1, 300 << 20),
    },
    Bomb {
        name: "20_storages_of_16_mb.pth",
        make: |p| inflating_storages(p, 20, 16 << 20),
    },
    Bomb {
        name: "storage_of_many_sizes.pth",
        make: many_sizes,
    },
    Bomb {
        name: "overlapping_deflated.pth",
        make: |p| overlapping(p, 1000, 16 << 20, true),
    },
    Bomb {
        name: "overlapping_stored.pth",
        make: |p| overlapping(p, 1000, 4 << 20, false),
    },
    Bomb {
        name: "zip_of_zips.pth",
        make: zip_of_zips,
    },
    Bomb {
        name: "huge_zip_sizes.pth",
        make: huge_zip_sizes,
    },
    Bomb {
        name: "15000_records.pth",
        make: many_records,
    },
    Bomb {
        name: "expanded_to_2_60.pth",
        make: |p| pickled(p, &item(&tensor(0, &[1 << 60], &[0]))),
    },
    Bomb {
        name: "zero_by_2_62.pth",
        make: |p| pickled(p, &item(&tensor(0, &[0, 1 << 62], &[1 << 62, 1]))),
    },
    Bomb {
        name: "expanded_many_times.pth",
        make: |p| pickled(p, &many_tensors(2000, &[1 << 32], &[0])),
    },
    Bomb {
        name: "15000_views.pth",
        make: |p| pickled(p, &many_tensors(15_000, &[2, 2], &[1, 1])),
    },
    Bomb {
        name: "long_text_often.pth",
        make: |p| pickled(p, &often(&text(&"x".repeat(1 << 20)), 100_000)),
    },
    Bomb {
        name: "long_number_often.pth",
        make: |p| pickled(p, &often(&long4(4000), 100_000)),
    },
    Bomb {
        name: "long_bytes_often.pth",
        make: |p| pickled(p, &often(&encoded(1 << 20), 50_000)),
    },
    Bomb {
        name: "long_array_often.pth",
        make: |p| pickled(p, &often(&array(1 << 20), 50_000)),
    },
    Bomb {
        name: "long_names.pth",
        make: |p| pickled(p, &long_names()),
    },
    Bomb {
        name: "wide_tuple_as_key.pth",
        make: |p| pickled(p, &wide_keys()),
    },
    Bomb {
        name: "sparse_of_2_60.pth",
        make: |p| pickled(p, &item(&sparse())),
    },
    Bomb {
        name: "channels_often.pth",
        make: |p| pickled(p, &item(&quantized())),
    },
    Bomb {
        name: "many_candidates.pkl",
        make: |p| write(p, &b"\x80\x02(".repeat(200_000)),
    },
    Bomb {
        name: "texts_of_pickles.pth",
        make: texts_of_pickles,
    },
    Bomb {
        name: "storages_in_pickles.pkl",
        make: storages_in_pickles,
    },
    Bomb {
        name: "legacy_huge_count.pth",
        make: |p| write(p, &legacy(&legacy_storage(), &text("0"), u64::MAX / 8)),
    },
    Bomb {
        name: "legacy_doubled_keys.pth",
        make: |p| write(p, &legacy(b"}", &doubled(b']', b'e'), 0)),
    },
    Bomb {
        name: "tar_huge_counts.pth",
        make: tar,
    },
    Bomb {
        name: "deep_header.safetensors",
        make: |p| safetensors(p, &["{\"w\":", &"[".repeat(1_000_000)].concat(), 0),
    },
    Bomb {
        name: "deep_metadata.safetensors",
        make: |p| {
            safetensors(
                p,
                &["{\"__metadata__\":", &"{\"a\":".repeat(200_000)].concat(),
                0,
            )
        },
    },
    Bomb {
        name: "million_axes.safetensors",
        make: |p| {
            safetensors(
                p,
                &format!(
                    "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,4]}}}}",
                    "1,".repeat(1_000_000)
                ),
                4,
            )
        },
    },
    Bomb {
        name: "huge_numbers.safetensors",
        make: |p| {
            safetensors(
                p,
                &format!(
                    "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[1e{}],\"data_offsets\":[0,{}]}}}}",
                    "9".repeat(1000),
                    "9".repeat(500_000)
                ),
                4,
            )
        },
    },
    Bomb {
        name: "zero_by_2_62.safetensors",
        make: |p| {
            safetensors(
                p,
                "{\"w\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904],\"data_offsets\":[0,0]}}",
                0,
            )
        },
    },
    Bomb {
        name: "15000_tensors.safetensors",
        make: many_entries,
    },
    Bomb {
        name: "dcp_pieces_often",
        make: |p| distributed(p, 5000, 5000, 4),
    },
    Bomb {
        name: "dcp_2_60",
        make: |p| distributed(p, 1, 1, 1 << 60),
    },
    Bomb {
        name: "code_300_mb.pt",
        make: |p| script(p, &|out| fill(out, b"\n", 300 << 20)),
    },
    Bomb {
        name: "code_of_classes.pt",
        make: |p| script(p, &|out| fill(out, b"class A(Module):\n", 50 << 20)),
    },
    Bomb {
        name: "code_of_calls.pt",
        make: |p| script(p, &code_of_calls),
    },
    Bomb {
        name: "code_nested.pt",
        make: |p| script(p, &code_nested),
    },
    Bomb {
        name: "graph_deep.pt2",
        make: |p| exported(p, "[", 1_000_000, "{\"config\": {}}"),
    },
    Bomb {
        name: "graph_300_mb.pt2",
        make: |p| exported(p, " ", 300 << 20, "{\"config\": {}}"),
    },
    Bomb {
        name: "config_deep.pt2",
        make: |p| exported(p, "", 0, &"{\"a\":".repeat(200_000)),
    },
    Bomb {
        name: "index_deep.safetensors.index.json",
        make: |p| {
            write(
                p,
                format!("{{\"weight_map\": {}", "{\"a\":".repeat(500_000)).as_bytes(),
            )
        },
    },
    Bomb {
        name: "index_of_50000.safetensors.index.json",
        make: index,
    },
    Bomb {
        name: "many_cases.golden.safetensors",
        make: golden,
    },
];

// ---------------------------------------------------------------------------------------------------------------
// Pickles

pub fn text(value: &str) -> Vec<u8> {
    [
        b"X".as_slice(),
        &(value.len() as u32).to_le_bytes(),
        value.as_bytes(),
    ]
    .concat()
}

fn number(value: u64) -> Vec<u8> {
    [b"\x8a\x09".as_slice(), &value.to_le_bytes(), b"\0"].concat()
}

fn long4(length: usize) -> Vec<u8> {
    [
        b"\x8b".as_slice(),
        &(length as u32).to_le_bytes(),
        &vec![0x55; length],
    ]
    .concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".as_slice(), &items.concat(), b"t"].concat()
}

fn name(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn storage(numel: u64) -> Vec<u8> {
    let items = [
        text("storage"),
        name("torch", "FloatStorage"),
        text("0"),
        text("cpu"),
        number(numel),
    ];
    [tuple(&items), b"Q".to_vec()].concat()
}

/// `_rebuild_tensor_v2` over the storage of six floats.
fn tensor(offset: u64, shape: &[u64], stride: &[u64]) -> Vec<u8> {
    tensor_of(&storage(6), offset, shape, stride)
}

fn tensor_of(stored: &[u8], offset: u64, shape: &[u64], stride: &[u64]) -> Vec<u8> {
    let numbers = |numbers: &[u64]| tuple(&numbers.iter().map(|&n| number(n)).collect::<Vec<_>>());
    let hooks = [name("collections", "OrderedDict"), b")R".to_vec()].concat();
    let arguments = [
        stored.to_vec(),
        number(offset),
        numbers(shape),
        numbers(stride),
        b"\x89".to_vec(),
        hooks,
    ];
    [
        name("torch._utils", "_rebuild_tensor_v2"),
        tuple(&arguments),
        b"R".to_vec(),
    ]
    .concat()
}

/// `{'w': value}`
fn item(value: &[u8]) -> Vec<u8> {
    [b"}".as_slice(), &text("w"), value, b"s"].concat()
}

fn program(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

/// Forty levels, each holding the one before twice, and a tensor at the bottom.
fn doubled(open: u8, close: u8) -> Vec<u8> {
    let mut body = [tensor(0, &[2], &[1]), b"q\x00".to_vec()].concat();
    for level in 1..=40u8 {
        body.extend([
            open,
            b'q',
            level,
            b'(',
            b'h',
            level - 1,
            b'h',
            level - 1,
            close,
        ]);
    }
    body
}

/// A dict whose key is forty levels of tuples.
fn doubled_key() -> Vec<u8> {
    let mut body = b"K\x01q\x00".to_vec();
    for level in 1..=40u8 {
        body.extend([b'h', level - 1, b'h', level - 1, 0x86, b'q', level]);
    }
    body.extend(b"}h\x28K\x01s");
    body
}

/// Modules that hold the one before twice.
fn doubled_modules() -> Vec<u8> {
    let mut body = b"Nq\x00".to_vec();
    for level in 1..=40u8 {
        body.extend(name("torch.nn.modules.container", "Sequential"));
        body.extend(b")\x81}(");
        body.extend(
            [
                text("_parameters"),
                b"}".to_vec(),
                text("_buffers"),
                b"}".to_vec(),
            ]
            .concat(),
        );
        body.extend([text("_modules"), b"}(".to_vec(), text("0")].concat());
        body.extend([b'h', level - 1]);
        body.extend(text("1"));
        body.extend([b'h', level - 1, b'u', b'u', b'b', b'q', level]);
    }
    body
}

/// Calls, each with the result of the one before.
fn calls(count: usize) -> Vec<u8> {
    let mut body = [name("collections", "OrderedDict"), b"q\x00".to_vec()].concat();
    body.extend(b"h\x00".repeat(count));
    body.push(b')');
    body.extend(b"\x85R".repeat(count));
    body
}

/// Objects, each the state of the one before.
fn states(count: usize) -> Vec<u8> {
    let mut body = [name("argparse", "Namespace"), b"q\x00".to_vec()].concat();
    body.extend(b"h\x00)\x81".repeat(count));
    body.extend(b"b".repeat(count - 1));
    body
}

/// A list of one value, `count` times.
fn often(value: &[u8], count: usize) -> Vec<u8> {
    [b"](", value, b"q\x00", &b"h\x00".repeat(count), b"e"].concat()
}

/// `_codecs.encode('...', 'latin1')`, as protocol 2 has bytes.
fn encoded(length: usize) -> Vec<u8> {
    let arguments = tuple(&[text(&"\u{e9}".repeat(length)), text("latin1")]);
    [name("_codecs", "encode"), arguments, b"R".to_vec()].concat()
}

/// A numpy array of that many bytes.
fn array(length: usize) -> Vec<u8> {
    let made = [
        name("numpy", "ndarray"),
        tuple(&[b"K\x00".to_vec()]),
        b"C\x01b".to_vec(),
    ];
    let dtype = [
        name("numpy", "dtype"),
        tuple(&[text("u1"), b"\x89".to_vec(), b"\x88".to_vec()]),
        b"R".to_vec(),
    ];
    let bytes = [
        b"B".to_vec(),
        (length as u32).to_le_bytes().to_vec(),
        vec![7; length],
    ]
    .concat();
    let state = [
        b"K\x01".to_vec(),
        tuple(&[number(length as u64)]),
        dtype.concat(),
        b"\x89".to_vec(),
        bytes,
    ];
    [
        name("numpy.core.multiarray", "_reconstruct"),
        tuple(&made),
        b"R".to_vec(),
        tuple(&state),
        b"b".to_vec(),
    ]
    .concat()
}

/// A hundred dicts inside each other under keys of 100 KB, and a thousand tensors at the bottom.
fn long_names() -> Vec<u8> {
    let mut body = [b"0".to_vec(), text(&"k".repeat(100_000)), b"q\x00".to_vec()].concat();
    body[0] = b'N';
    body.extend(tensor(0, &[2], &[1]));
    body.extend(b"q\x01");
    body.extend(b"}h\x00".repeat(100));
    body.extend(b"](");
    body.extend(b"h\x01".repeat(1000));
    body.extend(b"e");
    body.extend(b"s".repeat(100));
    body
}

/// A dict of 300 keys that are the same wide tuple and a number.
fn wide_keys() -> Vec<u8> {
    let mut body = [
        b"N(".to_vec(),
        b"K\x05".repeat(100_000),
        b"tq\x00}(".to_vec(),
    ]
    .concat();
    for key in 0..300u64 {
        body.extend(b"h\x00");
        body.extend(number(key));
        body.extend(b"\x86K\x01");
    }
    body.push(b'u');
    body
}

/// One tensor with arguments from the memo, `count` times, each with its own offset and name.
fn many_tensors(count: u64, shape: &[u64], stride: &[u64]) -> Vec<u8> {
    let numbers = |numbers: &[u64]| tuple(&numbers.iter().map(|&n| number(n)).collect::<Vec<_>>());
    let memo = [
        name("torch._utils", "_rebuild_tensor_v2"),
        storage(6),
        numbers(shape),
        numbers(stride),
        [name("collections", "OrderedDict"), b")R".to_vec()].concat(),
    ];
    let mut body = b"N".to_vec();
    for (index, value) in memo.iter().enumerate() {
        body.extend(value);
        body.extend([b'q', index as u8]);
    }
    body.extend(b"](");
    for at in 0..count {
        body.extend(b"h\x00(h\x01K");
        body.push((at % 3) as u8);
        body.extend(b"h\x02h\x03\x89h\x04tR");
    }
    body.extend(b"e");
    body
}

fn sparse() -> Vec<u8> {
    let (indices, values) = (tensor(0, &[1, 0], &[1, 1]), tensor(0, &[0], &[1]));
    let size = tuple(&[number(1 << 60)]);
    let state = tuple(&[indices, values, size, b"\x88".to_vec()]);
    let arguments = tuple(&[name("torch", "sparse_coo"), state]);
    [
        name("torch._utils", "_rebuild_sparse_tensor"),
        arguments,
        b"R".to_vec(),
    ]
    .concat()
}

/// A tensor quantized per channel, whose scales are an expanded tensor of 2^40.
fn quantized() -> Vec<u8> {
    let many = tensor(0, &[1 << 40], &[0]);
    let quantizer = tuple(&[
        name("torch", "per_channel_affine"),
        many.clone(),
        many,
        b"K\x00".to_vec(),
    ]);
    let stored = [
        tuple(&[
            text("storage"),
            name("torch", "QInt8Storage"),
            text("0"),
            text("cpu"),
            number(24),
        ]),
        b"Q".to_vec(),
    ];
    let one = |n: u64| tuple(&[number(n)]);
    let hooks = [name("collections", "OrderedDict"), b")R".to_vec()].concat();
    let arguments = [
        stored.concat(),
        number(0),
        one(1 << 40),
        one(0),
        quantizer,
        b"\x89".to_vec(),
        hooks,
    ];
    [
        name("torch._utils", "_rebuild_qtensor"),
        tuple(&arguments),
        b"R".to_vec(),
    ]
    .concat()
}

// ---------------------------------------------------------------------------------------------------------------
// Zips

type Fill<'a> = &'a dyn Fn(&mut dyn Write);

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// `length` bytes of `pattern`, a piece at a time: this program's own memory is measured too.
fn fill(out: &mut dyn Write, pattern: &[u8], length: usize) {
    let piece = pattern.repeat((1 << 16) / pattern.len());
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len());
        out.write_all(&piece[..now]).unwrap();
        left -= now;
    }
}

fn archive(path: &Path, deflated: bool, records: &[(&str, Fill<'_>)]) {
    let method = if deflated {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut out = ZipWriter::new(BufWriter::new(File::create(path).unwrap()));
    for (name, fill) in records {
        out.start_file(*name, options).unwrap();
        fill(&mut out);
    }
    out.finish().unwrap().flush().unwrap();
}

fn pickled(path: &Path, body: &[u8]) {
    let program = program(body);
    archive(
        path,
        false,
        &[
            ("m/data.pkl", &|out| out.write_all(&program).unwrap()),
            ("m/byteorder", &|out| out.write_all(b"little").unwrap()),
            ("m/data/0", &|out| out.write_all(&[1; 24]).unwrap()),
        ],
    );
}

/// A deflated pickle: `(`, `opcode` so many times, and bytes that do not compress.
fn inflating_pickle(path: &Path, opcode: u8, length: usize, padding: usize) {
    archive(
        path,
        true,
        &[("m/data.pkl", &|out| {
            out.write_all(b"\x80\x02(").unwrap();
            let noise: Vec<u8> = noise().take(padding).collect();
            out.write_all(&[b"B".as_slice(), &(padding as u32).to_le_bytes(), &noise].concat())
                .unwrap();
            fill(out, &[opcode], length);
            out.write_all(b"t.").unwrap();
        })],
    );
}

fn noise() -> impl Iterator<Item = u8> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
}

/// A pickle of one text that deflates a thousandfold.
pub fn inflating_text(path: &Path, length: u32) {
    archive(
        path,
        true,
        &[("m/data.pkl", &|out| {
            out.write_all(&[b"\x80\x02X".as_slice(), &length.to_le_bytes()].concat())
                .unwrap();
            fill(out, b"x", length as usize);
            out.write_all(b".").unwrap();
        })],
    );
}

/// Storages of zeros, each named by a tensor.
fn inflating_storages(path: &Path, count: usize, length: usize) {
    let mut body = b"}(".to_vec();
    for key in 0..count {
        let key = key.to_string();
        let items = [
            text("storage"),
            name("torch", "FloatStorage"),
            text(&key),
            text("cpu"),
            number(length as u64 / 4),
        ];
        let stored = [tuple(&items), b"Q".to_vec()].concat();
        body.extend(text(&format!("w{key}")));
        body.extend(tensor_of(&stored, 0, &[length as u64 / 4], &[1]));
    }
    body.push(b'u');
    let program = program(&body);
    let zeros = |out: &mut dyn Write| fill(out, &[0], length);
    let names: Vec<String> = (0..count).map(|key| format!("m/data/{key}")).collect();
    let mut records: Vec<(&str, Fill<'_>)> = names
        .iter()
        .map(|name| (name.as_str(), &zeros as Fill<'_>))
        .collect();
    let write = |out: &mut dyn Write| out.write_all(&program).unwrap();
    records.insert(0, ("m/data.pkl", &write));
    archive(path, true, &records);
}

/// One storage, which deflates far, under a thousand persistent ids that each say another length.
fn many_sizes(path: &Path) {
    let mut body = b"](".to_vec();
    for less in 0..1000 {
        body.extend(tensor_of(&storage((4 << 20) - less), 0, &[2], &[1]));
    }
    body.push(b'e');
    let program = program(&body);
    archive(
        path,
        true,
        &[
            ("m/data.pkl", &|out| out.write_all(&program).unwrap()),
            ("m/data/0", &|out| fill(out, &[0], 16 << 20)),
        ],
    );
}

/// Many entries of the directory, one record.
fn overlapping(path: &Path, count: usize, length: usize, deflated: bool) {
    let inner = path.with_extension("inner");
    archive(
        &inner,
        deflated,
        &[("m/data/0000", &|out| fill(out, &[0], length))],
    );
    let bytes = std::fs::read(&inner).unwrap();
    std::fs::remove_file(&inner).unwrap();
    let directory = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::rfind(&bytes, b"PK\x05\x06").unwrap();
    // a tensor of each
    let mut body = b"](".to_vec();
    for number in 0..count {
        let key = format!("{number:04}");
        let items = [
            text("storage"),
            name("torch", "FloatStorage"),
            text(&key),
            text("cpu"),
            self::number(length as u64 / 4),
        ];
        let stored = [tuple(&items), b"Q".to_vec()].concat();
        body.extend(tensor_of(&stored, 0, &[2], &[1]));
    }
    body.push(b'e');
    let pickle = program(&body);
    let mut out = BufWriter::new(File::create(path).unwrap());
    out.write_all(&bytes[..directory]).unwrap();
    // data.pkl, in front of the directory
    let crc = crc32fast::hash(&pickle).to_le_bytes();
    let size = (pickle.len() as u32).to_le_bytes();
    let sizes = [size, size].concat();
    let rest = [&crc[..], &sizes, &[10, 0, 0, 0]].concat();
    out.write_all(
        &[
            b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".as_slice(),
            &rest,
            b"m/data.pkl",
            &pickle,
        ]
        .concat(),
    )
    .unwrap();
    let start = directory + 30 + 10 + pickle.len();
    let at = (directory as u32).to_le_bytes();
    let first = [
        b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0".as_slice(),
        &rest,
        &[0; 10],
        &at,
        b"m/data.pkl",
    ]
    .concat();
    let mut written = first.len();
    out.write_all(&first).unwrap();
    let mut entry = bytes[directory..end].to_vec();
    for number in 0..count {
        entry[46 + 7..46 + 11].copy_from_slice(format!("{number:04}").as_bytes());
        out.write_all(&entry).unwrap();
        written += entry.len();
    }
    let entries = (count as u16 + 1).to_le_bytes();
    let tail = [
        &entries[..],
        &entries,
        &(written as u32).to_le_bytes(),
        &(start as u32).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    out.write_all(&[b"PK\x05\x06\0\0\0\0".as_slice(), &tail].concat())
        .unwrap();
    out.flush().unwrap();
}

/// Sixteen zips in each of six levels of zips, 16 MB of zeros in each of the innermost.
fn zip_of_zips(path: &Path) {
    archive(path, true, &[("0", &|out| fill(out, &[0], 16 << 20))]);
    for _ in 0..6 {
        let inner = std::fs::read(path).unwrap();
        let write = |out: &mut dyn Write| out.write_all(&inner).unwrap();
        let names: Vec<String> = (0..16).map(|n| format!("m/{n}.zip")).collect();
        let records: Vec<(&str, Fill<'_>)> = names
            .iter()
            .map(|name| (name.as_str(), &write as Fill<'_>))
            .collect();
        archive(path, true, &records);
    }
}

/// A storage of 2^62 bytes by the zip64 fields of both headers.
fn huge_zip_sizes(path: &Path) {
    pickled(path, &item(&tensor(0, &[2], &[1])));
    let mut bytes = std::fs::read(path).unwrap();
    let local = memchr::memmem::rfind(&bytes, b"PK\x03\x04").unwrap();
    let central = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    let end = memchr::memmem::rfind(&bytes, b"PK\x05\x06").unwrap();
    let field = [
        &b"\x01\x00\x10\x00"[..],
        &(1u64 << 62).to_le_bytes(),
        &(1u64 << 62).to_le_bytes(),
    ]
    .concat();
    // from behind, so that the places before it stay
    let size = u32::from_le_bytes(bytes[end + 12..end + 16].try_into().unwrap()) + 20;
    let at = u32::from_le_bytes(bytes[end + 16..end + 20].try_into().unwrap()) + 20;
    bytes[end + 12..end + 16].copy_from_slice(&size.to_le_bytes());
    bytes[end + 16..end + 20].copy_from_slice(&at.to_le_bytes());
    bytes[central + 20..central + 28].copy_from_slice(&[0xff; 8]);
    bytes[central + 30] = 20;
    let after_name = central + 46 + usize::from(bytes[central + 28]);
    bytes.splice(after_name..after_name, field.clone());
    bytes[local + 18..local + 26].copy_from_slice(&[0xff; 8]);
    bytes[local + 28] = 20;
    let after_name = local + 30 + usize::from(bytes[local + 26]);
    bytes.splice(after_name..after_name, field);
    write(path, &bytes);
}

fn many_records(path: &Path) {
    let program = program(&item(&tensor(0, &[2], &[1])));
    let write = |out: &mut dyn Write| out.write_all(&program).unwrap();
    let names: Vec<String> = (0..15_000).map(|key| format!("m/data/{key}")).collect();
    let bytes = |out: &mut dyn Write| out.write_all(&[0; 24]).unwrap();
    let mut records: Vec<(&str, Fill<'_>)> = names
        .iter()
        .map(|name| (name.as_str(), &bytes as Fill<'_>))
        .collect();
    records.insert(0, ("m/data.pkl", &write));
    archive(path, false, &records);
}

/// A text that is a pickle of a text that is a pickle, and so on.
fn texts_of_pickles(path: &Path) {
    let mut body = b"cposix\nsystem\n(X\x04\x00\x00\x00truetR.".to_vec();
    for _ in 0..2000 {
        body = [
            b"\x80\x02B".as_slice(),
            &(body.len() as u32).to_le_bytes(),
            &body,
            b".",
        ]
        .concat();
    }
    archive(
        path,
        false,
        &[("m/data.pkl", &|out| out.write_all(&body).unwrap())],
    );
}

/// Storages that are pickles inside a pickle, one text often.
fn storages_in_pickles(path: &Path) {
    let inner = legacy(&legacy_storage(), &text("0"), 6);
    let mut body = [name("torch.storage", "_load_from_bytes"), b"q\x00".to_vec()].concat();
    body.extend(
        [
            b"B".as_slice(),
            &(inner.len() as u32).to_le_bytes(),
            &inner,
            b"q\x01",
        ]
        .concat(),
    );
    body.extend(b"](");
    body.extend(b"h\x00h\x01\x85R".repeat(50_000));
    body.extend(b"e");
    write(path, &program(&body));
}

// ---------------------------------------------------------------------------------------------------------------
// Other formats

/// A legacy stream with one key and a storage that claims `count` elements; six floats follow.
fn legacy(object: &[u8], key: &[u8], count: u64) -> Vec<u8> {
    let head: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let keys = program(&[b"](", key, b"e"].concat());
    [
        head,
        &program(object),
        &keys,
        &count.to_le_bytes(),
        &[1; 24],
    ]
    .concat()
}

/// A storage as legacy streams name it: the sixth item says that it is no view.
fn legacy_storage() -> Vec<u8> {
    let items = [
        text("storage"),
        name("torch", "FloatStorage"),
        text("0"),
        text("cpu"),
        number(6),
        b"N".to_vec(),
    ];
    [tuple(&items), b"Q".to_vec()].concat()
}

fn tar(path: &Path) {
    let count = program(&number(1 << 60));
    let mut axes = program(&number(1));
    axes.extend(program(&tuple(&[
        number(1),
        number(1),
        name("torch", "FloatTensor"),
    ])));
    axes.extend([0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]);
    let members: [(&str, Vec<u8>); 4] = [
        ("sys_info", program(b"}")),
        ("pickle", program(b"}")),
        ("storages", count),
        ("tensors", axes),
    ];
    let mut out = Vec::new();
    for (name, content) in members {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(header);
        out.extend(&content);
        out.resize(out.len().div_ceil(512) * 512, 0);
    }
    out.extend([0; 1024]);
    write(path, &out);
}

fn safetensors(path: &Path, header: &str, data: usize) {
    write(
        path,
        &[
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            &vec![0; data],
        ]
        .concat(),
    );
}

fn many_entries(path: &Path) {
    let entries: Vec<String> = (0..15_000)
        .map(|n| format!("\"w{n}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
        .collect();
    safetensors(path, &format!("{{{}}}", entries.join(",")), 0);
}

/// A folder whose `.metadata` has `tensors` tensors that share one list of `pieces` pieces.
fn distributed(path: &Path, tensors: u64, pieces: u64, size: u64) {
    const MODULE: &str = "torch.distributed.checkpoint.metadata";
    std::fs::create_dir_all(path).unwrap();
    let made = |class: &str, state: &[(&str, Vec<u8>)]| {
        let state: Vec<u8> = state
            .iter()
            .flat_map(|(key, value)| [text(key), value.clone()].concat())
            .collect();
        [
            name(MODULE, class),
            b")\x81}(".to_vec(),
            state,
            b"ub".to_vec(),
        ]
        .concat()
    };
    let sizes = |n: u64| {
        [
            name("torch", "Size"),
            tuple(&[tuple(&[number(n)])]),
            b"R".to_vec(),
        ]
        .concat()
    };
    let chunk = made(
        "ChunkStorageMetadata",
        &[("offsets", sizes(0)), ("sizes", sizes(size))],
    );
    let again = b"h\x01".repeat(pieces as usize - 1);
    let chunks = [b"](".as_slice(), &chunk, b"q\x01", &again, b"e"].concat();
    let properties = made(
        "TensorProperties",
        &[
            ("dtype", name("torch", "float32")),
            ("requires_grad", b"\x89".to_vec()),
        ],
    );
    let whole = made(
        "TensorStorageMetadata",
        &[
            ("properties", properties),
            ("size", sizes(size.saturating_mul(pieces))),
            ("chunks", chunks),
        ],
    );
    let mut named = b"}(".to_vec();
    let mut stored = b"}(".to_vec();
    for n in 0..tensors {
        let key = text(&format!("w{n}"));
        named.extend(&key);
        match n {
            0 => named.extend([whole.clone(), b"q\x02".to_vec()].concat()),
            _ => named.extend(b"h\x02"),
        }
        stored.extend(made(
            "MetadataIndex",
            &[
                ("fqn", key),
                ("offset", sizes(0)),
                ("index", b"K\x00".to_vec()),
            ],
        ));
        stored.extend(
            [
                b"ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\x81}(".to_vec(),
                text("relative_path"),
                text("__0_0.distcp"),
                text("offset"),
                b"K\x00".to_vec(),
                text("length"),
                number(100),
                b"ub".to_vec(),
            ]
            .concat(),
        );
    }
    named.push(b'u');
    stored.push(b'u');
    let metadata = made(
        "Metadata",
        &[
            ("state_dict_metadata", named),
            ("planner_data", b"N".to_vec()),
            ("storage_data", stored),
        ],
    );
    write(&path.join(".metadata"), &program(&metadata));
    write(&path.join("__0_0.distcp"), &[0; 100]);
}

/// A TorchScript program of one module, with that code.
fn script(path: &Path, code: Fill<'_>) {
    let module = [
        b"c__torch__\nA\n)\x81}".as_slice(),
        &text("weight"),
        &tensor(0, &[2], &[1]),
        b"sb",
    ]
    .concat();
    let program = program(&module);
    archive(
        path,
        true,
        &[
            ("m/data.pkl", &|out| out.write_all(&program).unwrap()),
            ("m/code/__torch__.py", code),
            ("m/constants.pkl", &|out| {
                out.write_all(b"\x80\x02).").unwrap()
            }),
            ("m/byteorder", &|out| out.write_all(b"little").unwrap()),
            ("m/data/0", &|out| out.write_all(&[1; 24]).unwrap()),
        ],
    );
}

fn code_of_calls(out: &mut dyn Write) {
    out.write_all(
        b"class A(Module):\n  __parameters__ = [\"weight\", ]\n  def forward(self: A) -> Tensor:\n",
    )
    .unwrap();
    let call: &[u8] = b"    _0 = torch._convolution(x, weight, bias, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, True)\n";
    fill(out, call, call.len() * 150_000);
}

fn code_nested(out: &mut dyn Write) {
    out.write_all(b"class A(Module):\n").unwrap();
    for _ in 0..200 {
        let line = ["  stride : Final[int] = ", &"[".repeat(60_000), "\n"].concat();
        out.write_all(line.as_bytes()).unwrap();
    }
}

/// An exported program whose graph is `pattern`, that often, and whose weights' configuration is `config`.
fn exported(path: &Path, pattern: &str, times: usize, config: &str) {
    archive(
        path,
        true,
        &[
            ("m/data/weights/model_weights_config.json", &|out| {
                out.write_all(config.as_bytes()).unwrap()
            }),
            ("m/models/model.json", &|out| {
                out.write_all(b"{\"graph_module\": ").unwrap();
                fill(out, pattern.as_bytes().get(..1).unwrap_or(b" "), times);
                out.write_all(b"{}}").unwrap();
            }),
            ("m/archive_format", &|out| out.write_all(b"pt2").unwrap()),
            ("m/archive_version", &|out| out.write_all(b"0").unwrap()),
            ("m/byteorder", &|out| out.write_all(b"little").unwrap()),
        ],
    );
}

fn index(path: &Path) {
    let entries: Vec<String> = (0..50_000)
        .map(|n| format!("\"w{n}\":\"model-{n}.safetensors\""))
        .collect();
    write(
        path,
        format!("{{\"weight_map\": {{{}}}}}", entries.join(",")).as_bytes(),
    );
}

/// A golden file of a hundred thousand cases, of which none has tensors.
fn golden(path: &Path) {
    let cases: Vec<String> = (0..100_000)
        .map(|n| format!(r#"{{\"name\": \"c{n}\", \"op\": \"conv2d\"}}"#))
        .collect();
    let golden = format!(
        r#"{{\"version\": 1, \"origin\": {{}}, \"cases\": [{}]}}"#,
        cases.join(",")
    );
    safetensors(
        path,
        &format!("{{\"__metadata__\":{{\"pthinspect.golden\":\"{golden}\"}}}}"),
        0,
    );
}
