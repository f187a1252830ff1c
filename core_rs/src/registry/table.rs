//! Finding records by their keys: open addressing over 8-byte slots, in memory or in a mapped file.
//!
//! Records stand in a *heap* of bytes, and each begins with its key: a byte that says how long it is, then it.
//! A slot is 24 bits of the key's hash and 40 bits that say where in the heap the record begins; 0 is empty, and
//! no record begins at 0. A search reads on from the slot that the hash says, mostly within one cache line, and
//! one line of the heap where the 24 bits agree.

use std::hash::Hasher;

/// Bytes of a slot.
pub const SLOT: usize = 8;
/// Longest key, in bytes.
pub const MAX_KEY: usize = u8::MAX as usize;

const PLACE_BITS: u32 = 40;
/// No heap is longer, in bytes.
pub const MAX_HEAP: u64 = 1 << PLACE_BITS;
const FEWEST_SLOTS: usize = 8;

/// What keys are hashed under. It is random: who may choose codes must not choose their slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashKey(pub [u8; 16]);

impl HashKey {
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let half = |at: usize| u64::from_le_bytes(self.0[at..at + 8].try_into().expect("8 bytes"));
        // the only hasher in std that is specified (SipHash 2-4), and so may stand in a file
        #[expect(deprecated, reason = "in favour of a hasher that is not specified")]
        let mut hasher = std::hash::SipHasher::new_with_keys(half(0), half(8));
        hasher.write(key);
        hasher.finish()
    }
}

/// Slots for so many records that a quarter stays empty.
pub fn slots_for(records: usize) -> usize {
    (records + records.div_ceil(3)).max(FEWEST_SLOTS)
}

/// The key of the record that begins at `place`.
#[inline]
pub fn key_at(heap: &[u8], place: usize) -> &[u8] {
    &heap[place + 1..][..usize::from(heap[place])]
}

/// Where the record of this key begins.
#[inline]
pub fn find(slots: &[u8], heap: &[u8], hash: u64, key: &[u8]) -> Option<usize> {
    search(slots, hash, |place| key_at(heap, place) == key).1
}

/// Puts a key that is not there yet. Some slot must be empty.
pub fn put_new(slots: &mut [u8], hash: u64, place: usize) {
    let (slot, _) = search(slots, hash, |_| false);
    set(slots, slot, hash, place);
}

/// The slot of the record that `is_it`, and where that begins; the slot where it would be put where there is none.
#[inline]
fn search(slots: &[u8], hash: u64, is_it: impl Fn(usize) -> bool) -> (usize, Option<usize>) {
    let count = slots.len() / SLOT;
    let mut slot = ((u128::from(hash) * count as u128) >> 64) as usize;
    loop {
        let value = u64::from_le_bytes(slots[slot * SLOT..][..SLOT].try_into().expect("8 bytes"));
        if value == 0 {
            return (slot, None);
        }
        let place = (value & (MAX_HEAP - 1)) as usize;
        if value >> PLACE_BITS == print(hash) && is_it(place) {
            return (slot, Some(place));
        }
        slot = if slot + 1 == count { 0 } else { slot + 1 };
    }
}

fn set(slots: &mut [u8], slot: usize, hash: u64, place: usize) {
    let value = (print(hash) << PLACE_BITS) | place as u64;
    slots[slot * SLOT..][..SLOT].copy_from_slice(&value.to_le_bytes());
}

/// The bits of a hash that a slot keeps: the lowest, since the highest say which slot.
fn print(hash: u64) -> u64 {
    hash & ((1 << (64 - PLACE_BITS)) - 1)
}

/// A table that grows. A record that is put in place of another leaves its bytes unused.
pub struct Table {
    heap: Vec<u8>,
    slots: Vec<u8>,
    records: usize,
}

impl Default for Table {
    fn default() -> Table {
        Table { heap: vec![0], slots: vec![0; FEWEST_SLOTS * SLOT], records: 0 }
    }
}

impl Table {
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// All records; [`Table::find`] says where in it one begins.
    pub fn heap(&self) -> &[u8] {
        &self.heap
    }

    pub fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        find(&self.slots, &self.heap, hash, key)
    }

    /// Puts a record, in place of the one with its key where there is one.
    pub fn put(&mut self, hash_key: &HashKey, record: &[u8]) {
        let place = self.heap.len();
        self.heap.extend_from_slice(record);
        let key = key_at(&self.heap, place);
        let hash = hash_key.hash(key);
        let (slot, before) = search(&self.slots, hash, |other| key_at(&self.heap, other) == key);
        set(&mut self.slots, slot, hash, place);
        self.records += usize::from(before.is_none());
        if slots_for(self.records) > self.slots.len() / SLOT {
            self.grow(hash_key);
        }
    }

    fn grow(&mut self, hash_key: &HashKey) {
        let mut slots = vec![0; 2 * self.slots.len()];
        for slot in self.slots.chunks_exact(SLOT) {
            let value = u64::from_le_bytes(slot.try_into().expect("8 bytes"));
            if value != 0 {
                let place = (value & (MAX_HEAP - 1)) as usize;
                put_new(&mut slots, hash_key.hash(key_at(&self.heap, place)), place);
            }
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_siphash_2_4() {
        // the vector of the paper (Aumasson, Bernstein, 2012, appendix A)
        let key = HashKey(std::array::from_fn(|i| i as u8));
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(key.hash(&text), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn a_search_goes_round_the_end_and_tells_equal_prints_apart() {
        let heap = b"\0\x01a\x01b\x01c";
        let mut slots = [0; FEWEST_SLOTS * SLOT];
        let hash = u64::MAX;
        for place in [1, 3] {
            put_new(&mut slots, hash, place);
        }
        assert_eq!(find(&slots, heap, hash, b"a"), Some(1));
        assert_eq!(find(&slots, heap, hash, b"b"), Some(3));
        assert_eq!(find(&slots, heap, hash, b"c"), None);
        assert_ne!(slots[..SLOT], [0; SLOT], "the second stands in the first slot");
    }
}
