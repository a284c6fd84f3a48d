//! Pickles where none belongs: inside storages, headers, padding, behind the end.
//!
//! Random bytes are full of things that could begin a pickle, so a candidate counts only if running it reaches a call
//! of a name: the chance of that in random data is below one in 10^12 bytes. Candidates are the ways in which a name
//! can be written: PROTO at a beginning; GLOBAL or INST with two names on two lines; STACK_GLOBAL after two short texts.
//! What running candidates may cost in all is bounded by the length of the file.

use std::ops::Range;

use super::known::{self, Known};
use crate::bytes::Limits;
use crate::pickle;
use crate::pickle::Graph;
use crate::pickle::Value;

/// Longest name that is looked for.
const LONGEST_NAME: usize = 100;
/// How far before an INST its MARK is looked for.
const MARK_WITHIN: usize = 64;
/// Opcodes that may be run, beyond one for each byte of the file.
const WORK: u64 = 4 << 20;
/// Opcodes' worth of beginning to run a pickle.
const BEGINNING: u64 = 16;

/// A pickle that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    pub(super) at: usize,
    pub(super) len: usize,
}

/// What a search found, and whether it was cut short.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) found: Vec<Stray>,
    pub(super) gave_up_at: Option<usize>,
}

/// Searches `bytes`, except for `known` ranges (sorted), which are pickles anyway.
pub(super) fn search(bytes: &[u8], known: &[Range<usize>]) -> Search {
    let limits = Limits {
        pickle_steps: 4 << 20,
        pickle_memory: 64 << 20,
        ..Limits::default()
    };
    let mut search = Search::default();
    let mut work = WORK.saturating_add(bytes.len() as u64);
    let mut known = known.iter().peekable();
    let mut at = 0;
    while at < bytes.len() {
        while known.peek().is_some_and(|range| range.end <= at) {
            known.next();
        }
        let until = match known.peek() {
            Some(range) if range.start <= at => {
                at = range.end;
                continue;
            }
            Some(range) => range.start,
            None => bytes.len(),
        };
        let Some(candidate) = next_candidate(bytes, at, until) else {
            at = until;
            continue;
        };
        at = candidate.byte + 1;
        for start in candidate.starts {
            if work == 0 {
                break;
            }
            let (len, steps, calls) = run(&bytes[start..], &limits);
            if calls {
                at = at.max(start + len);
                search.found.push(Stray { at: start, len });
                break;
            }
            work = work.saturating_sub(steps + BEGINNING);
        }
        if work == 0 {
            search.gave_up_at = Some(at);
            break;
        }
    }
    search
}

/// Where a pickle might begin, and the byte that gave rise to the thought.
struct Candidate {
    byte: usize,
    starts: Vec<usize>,
}

fn next_candidate(bytes: &[u8], from: usize, until: usize) -> Option<Candidate> {
    const PROTO: u8 = 0x80;
    const STACK_GLOBAL: u8 = 0x93;
    (from..until).find_map(|byte| {
        let starts = match bytes[byte] {
            PROTO if matches!(bytes.get(byte + 1), Some(2..=5)) => vec![byte],
            b'c' if two_names(&bytes[byte + 1..]) => vec![byte],
            b'i' if two_names(&bytes[byte + 1..]) => {
                let within = byte.saturating_sub(MARK_WITHIN)..byte;
                within.rev().filter(|&at| bytes[at] == b'(').collect()
            }
            STACK_GLOBAL => two_texts_before(bytes, byte).into_iter().collect(),
            _ => return None,
        };
        (!starts.is_empty()).then_some(Candidate { byte, starts })
    })
}

fn is_name(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.iter().all(|&b| is_name_byte(b))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// Two lines, each a name.
fn two_names(bytes: &[u8]) -> bool {
    let line = |bytes: &[u8]| {
        let within = &bytes[..bytes.len().min(LONGEST_NAME + 1)];
        let end = memchr::memchr(b'\n', within)?;
        is_name(&bytes[..end]).then_some(end + 1)
    };
    // most candidates end at the first byte
    bytes
        .first()
        .is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_')
        && line(bytes).is_some_and(|first| line(&bytes[first..]).is_some())
}

/// Two texts, each perhaps memoised, before `end`: where the first begins.
fn two_texts_before(bytes: &[u8], end: usize) -> Option<usize> {
    text_before(bytes, text_before(bytes, end)?)
}

/// SHORT_BINUNICODE or BINUNICODE.
fn text_before(bytes: &[u8], end: usize) -> Option<usize> {
    const SHORT_BINUNICODE: u8 = 0x8c;
    const BINUNICODE: u8 = b'X';
    const MEMOIZE: u8 = 0x94;
    const BINPUT: u8 = b'q';
    let end = match bytes[..end] {
        [.., MEMOIZE] => end - 1,
        [.., BINPUT, _] => end - 2,
        _ => end,
    };
    // most end at the first byte, which is no letter
    let letters = |&len: &usize| {
        end.checked_sub(len)
            .is_some_and(|at| is_name_byte(bytes[at]))
    };
    (1..=LONGEST_NAME).take_while(letters).find_map(|len| {
        let name = end - len;
        let before = match bytes[..name] {
            [.., SHORT_BINUNICODE, length] if usize::from(length) == len => 2,
            [.., BINUNICODE, length, 0, 0, 0] if usize::from(length) == len => 5,
            _ => return None,
        };
        is_name(&bytes[name..end]).then_some(name - before)
    })
}

/// Runs what might be a pickle: its length, its opcodes, and whether it calls a name.
fn run(bytes: &[u8], limits: &Limits) -> (usize, u64, bool) {
    let trace = pickle::trace(bytes, limits);
    let consumed = trace.graph.consumed;
    let plausible = trace.oddities.len() < 8;
    (consumed, trace.steps, calls_a_name(&trace.graph, plausible))
}

/// Whether a name is called; where the rest is not plausible, one that is known to reach beyond data.
fn calls_a_name(graph: &Graph, plausible: bool) -> bool {
    graph.values.iter().any(|value| {
        let Value::Object(object) = value else {
            return false;
        };
        match graph.get(object.callable) {
            Value::Global { module, name } => {
                is_name(module.as_bytes())
                    && is_name(name.as_bytes())
                    && (plausible || matches!(known::known(module, name), Known::Dangerous))
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Stray, search};

    #[test]
    fn pickles_are_found_wherever_they_lie() {
        let pickles: [&[u8]; 8] = [
            // notation that nobody writes hides nothing
            b"\x80\x02I0x1\n0I0x1\n0I0x1\n0I0x1\n0I0x1\n0I0x1\n0I0x1\n0I0x1\n0I0x1\n0cposix\nsystem\n)R.",
            b"X\x05\0\0\0posixX\x06\0\0\0system\x93)R.",
            b"X\x05\0\0\0posixq\x01X\x06\0\0\0systemq\x02\x93q\x03)R.",
            b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
            b"cposix\nsystem\n(S'true'\ntR.",
            b"(S'true'\niposix\nsystem\n.",
            b"\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x85R.",
            b"\x80\x02cposix\nsystem\nU\x04true\x85R",
        ];
        for pickle in pickles {
            for before in [0, 1, 1000] {
                let bytes = [&vec![0x5a; before], pickle, &[0; 100]].concat();
                let found = search(&bytes, &[]).found;
                assert_eq!(found.len(), 1, "{}", pickle.escape_ascii());
                assert_eq!(found[0].at, before, "{}", pickle.escape_ascii());
                let known = std::iter::once(0..before + pickle.len());
                let known: Vec<_> = known.collect();
                assert_eq!(search(&bytes, &known).found, []);
            }
        }
    }

    #[test]
    fn data_is_not_taken_for_pickles() {
        // names alone, and numbers, do nothing
        assert_eq!(search(b"\x80\x02ctorch\nfloat32\n.", &[]).found, []);
        assert_eq!(search(b"\x80\x02}q\x00.", &[]).found, []);
        let mut state = 1u64;
        let random: Vec<u8> = (0..4 << 20)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        assert_eq!(search(&random, &[]).found, Vec::<Stray>::new());
    }

    #[test]
    fn the_work_is_bounded() {
        // each candidate runs to the end of the file
        let bytes = b"\x80\x02(".repeat(200_000);
        let search = search(&bytes, &[]);
        assert!(search.gave_up_at.is_some());
        assert_eq!(search.found, []);
    }
}
