//! What `core_rs/fuzz` tries with a nightly compiler and sanitizers, on any compiler and for a second: the same targets
//! are given their seeds, and so many changes of them. The changes are the same each time; a find is printed.

use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::{fs, iter};

#[path = "../fuzz/fuzz_targets/cookie.rs"]
mod cookie;
#[path = "../fuzz/fuzz_targets/event.rs"]
mod event;
#[path = "../fuzz/fuzz_targets/head.rs"]
mod head;
#[path = "../fuzz/fuzz_targets/journal.rs"]
mod journal;
#[path = "../fuzz/fuzz_targets/responder.rs"]
mod responder;

const RUNS: u32 = 50_000;
const MOST_EDITS: usize = 6;
/// Bytes of an input that is made of nothing.
const MOST_NEW: usize = 200;
/// What parsers take for more than a byte.
const WORDS: [&[u8]; 12] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b":",
    b"&",
    b"%00",
    b"//",
    b"\\",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"Content-Length: 9\r\n",
    b"18446744073709551616",
];

#[test]
fn cookies() {
    try_out("cookie", cookie::run);
}

#[test]
fn events() {
    try_out("event", event::run);
}

#[test]
fn heads() {
    try_out("head", head::run);
}

#[test]
fn journals() {
    try_out("journal", journal::run);
}

#[test]
fn requests() {
    try_out("responder", |input| _ = responder::run(input));
}

fn try_out(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = Random(7);
    let changed = iter::repeat_with(|| change(&mut random, &seeds)).take(RUNS as usize);
    for input in seeds.iter().cloned().chain(changed) {
        if let Err(panic) = catch_unwind(|| run(&input)) {
            eprintln!("{target} fails on b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    }
}

/// A seed with a few edits, or bytes that come from none.
fn change(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if random.below(8) == 0 {
        let length = random.below(MOST_NEW);
        return iter::repeat_with(|| random.byte()).take(length).collect();
    }
    let mut input = random.pick(seeds).clone();
    for _ in 0..=random.below(MOST_EDITS) {
        let from = random.below(input.len() + 1);
        let to = (from + random.below(16)).min(input.len());
        match random.below(5) {
            0 => drop(input.drain(from..to)),
            1 => drop(input.splice(from..to, random.pick(&WORDS).iter().copied())),
            2 => input.truncate(from),
            3 => {
                let other = random.pick(seeds);
                let start = random.below(other.len() + 1);
                drop(input.splice(from..to, other[start..].iter().copied()));
            }
            _ if from < to => input[from] = random.byte(),
            _ => input.push(random.byte()),
        }
    }
    input
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
