//! Whole pickles: those that Python writes, those that break a rule, those that want too much.

mod hostile;
mod language;
mod listing;
mod oracle;
mod prefix;
mod refusals;

use super::{Graph, Value, ValueId, read};
use crate::bytes::Limits;

/// `torch.save({"w": torch.zeros(2, 3).t(), "epoch": 3})`, torch 2.15.0: its `data.pkl`.
const TORCH: &[u8] = b"\x80\x02}q\x00(X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07QK\x00K\x03K\x02\x86q\x08K\x01K\x03\x86q\x09\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\x0dX\x05\x00\x00\x00epochq\x0eK\x03u.";

/// `l = []; l.append(l); {"a": [1, -1, 2**40, 2**70, 1.5, None, True, "é", b"\0\xff"], "t": (1, 2, 3, 4), "s": {1},
/// "f": frozenset([2]), "self": l, 1: OrderedDict(x=1)}` by CPython 3.11, protocols 0 to 5.
const EVERY_PROTOCOL: [&[u8]; 6] = [
    b"(dp0\nVa\np1\n(lp2\nI1\naI-1\naL1099511627776L\naL1180591620717411303424L\naF1.5\naNaI01\naV\xe9\np3\nac_codecs\nencode\np4\n(V\x5cu0000\xff\np5\nVlatin1\np6\ntp7\nRp8\nasVt\np9\n(I1\nI2\nI3\nI4\ntp10\nsVs\np11\nc__builtin__\nset\np12\n((lp13\nI1\natp14\nRp15\nsVf\np16\nc__builtin__\nfrozenset\np17\n((lp18\nI2\natp19\nRp20\nsVself\np21\n(lp22\ng22\nasI1\nccollections\nOrderedDict\np23\n(tRp24\nVx\np25\nI1\nss.",
    b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xffL1099511627776L\nL1180591620717411303424L\nG?\xf8\x00\x00\x00\x00\x00\x00NI01\nX\x02\x00\x00\x00\xc3\xa9q\x03c_codecs\nencode\nq\x04(X\x03\x00\x00\x00\x00\xc3\xbfq\x05X\x06\x00\x00\x00latin1q\x06tq\x07Rq\x08eX\x01\x00\x00\x00tq\x09(K\x01K\x02K\x03K\x04tq\nX\x01\x00\x00\x00sq\x0bc__builtin__\nset\nq\x0c(]q\x0dK\x01atq\x0eRq\x0fX\x01\x00\x00\x00fq\x10c__builtin__\nfrozenset\nq\x11(]q\x12K\x02atq\x13Rq\x14X\x04\x00\x00\x00selfq\x15]q\x16h\x16aK\x01ccollections\nOrderedDict\nq\x17)Rq\x18X\x01\x00\x00\x00xq\x19K\x01su.",
    b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88X\x02\x00\x00\x00\xc3\xa9q\x03c_codecs\nencode\nq\x04X\x03\x00\x00\x00\x00\xc3\xbfq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08eX\x01\x00\x00\x00tq\x09(K\x01K\x02K\x03K\x04tq\nX\x01\x00\x00\x00sq\x0bc__builtin__\nset\nq\x0c]q\x0dK\x01a\x85q\x0eRq\x0fX\x01\x00\x00\x00fq\x10c__builtin__\nfrozenset\nq\x11]q\x12K\x02a\x85q\x13Rq\x14X\x04\x00\x00\x00selfq\x15]q\x16h\x16aK\x01ccollections\nOrderedDict\nq\x17)Rq\x18X\x01\x00\x00\x00xq\x19K\x01su.",
    b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88X\x02\x00\x00\x00\xc3\xa9q\x03C\x02\x00\xffq\x04eX\x01\x00\x00\x00tq\x05(K\x01K\x02K\x03K\x04tq\x06X\x01\x00\x00\x00sq\x07cbuiltins\nset\nq\x08]q\x09K\x01a\x85q\nRq\x0bX\x01\x00\x00\x00fq\x0ccbuiltins\nfrozenset\nq\x0d]q\x0eK\x02a\x85q\x0fRq\x10X\x04\x00\x00\x00selfq\x11]q\x12h\x12aK\x01ccollections\nOrderedDict\nq\x13)Rq\x14X\x01\x00\x00\x00xq\x15K\x01su.",
    b"\x80\x04\x95\x94\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94e\x8c\x01t\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01s\x94\x8f\x94(K\x01\x90\x8c\x01f\x94(K\x02\x91\x94\x8c\x04self\x94]\x94h\x0caK\x01\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01x\x94K\x01su.",
    b"\x80\x05\x95\x94\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94e\x8c\x01t\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01s\x94\x8f\x94(K\x01\x90\x8c\x01f\x94(K\x02\x91\x94\x8c\x04self\x94]\x94h\x0caK\x01\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01x\x94K\x01su.",
];

fn graph(bytes: &[u8]) -> Graph {
    read(bytes, &Limits::default()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes, &Limits::default()).unwrap_err().to_string()
}

/// A value as Python would print it; names, calls and persistent ids in words.
fn show(graph: &Graph, id: ValueId) -> String {
    fn go(graph: &Graph, id: ValueId, above: &mut Vec<ValueId>) -> String {
        if above.contains(&id) {
            return "...".to_owned();
        }
        above.push(id);
        let list = |ids: &[ValueId], above: &mut Vec<ValueId>| {
            let items: Vec<_> = ids.iter().map(|&i| go(graph, i, above)).collect();
            items.join(", ")
        };
        let pairs = |pairs: &[(ValueId, ValueId)], above: &mut Vec<ValueId>| {
            let items: Vec<_> = pairs
                .iter()
                .map(|&(k, v)| format!("{}: {}", go(graph, k, above), go(graph, v, above)))
                .collect();
            items.join(", ")
        };
        let text = match graph.get(id) {
            Value::None => "None".to_owned(),
            Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
            Value::Int(n) => n.to_string(),
            Value::BigInt(bytes) => format!("int{bytes:02x?}"),
            Value::Float(f) => format!("{f:?}"),
            Value::Str(s) => format!("'{s}'"),
            Value::Bytes(b) => format!("b'{}'", b.escape_ascii()),
            Value::List(items) => format!("[{}]", list(items, above)),
            Value::Tuple(items) => format!("({})", list(items, above)),
            Value::Dict(entries) => format!("{{{}}}", pairs(entries, above)),
            Value::Set(items) => format!("set({})", list(items, above)),
            Value::FrozenSet(items) => format!("frozenset({})", list(items, above)),
            Value::Global { module, name } => format!("{module}.{name}"),
            Value::Persistent(id) => format!("persistent {}", go(graph, *id, above)),
            Value::Extension(code) => format!("extension {code}"),
            Value::Object(o) => {
                let mut text = format!(
                    "{:?} {}{}",
                    o.kind,
                    go(graph, o.callable, above),
                    go(graph, o.args, above)
                );
                if let Some(kwargs) = o.kwargs {
                    text += &format!(" kwargs {}", go(graph, kwargs, above));
                }
                if !o.state.is_empty() {
                    text += &format!(" state {}", list(&o.state, above));
                }
                if !o.items.is_empty() {
                    text += &format!(" items [{}]", list(&o.items, above));
                }
                if !o.entries.is_empty() {
                    text += &format!(" entries {{{}}}", pairs(&o.entries, above));
                }
                format!("<{text}>")
            }
        };
        above.pop();
        text
    }
    go(graph, id, &mut Vec::new())
}

fn shown(bytes: &[u8]) -> String {
    let graph = graph(bytes);
    show(&graph, graph.root)
}
