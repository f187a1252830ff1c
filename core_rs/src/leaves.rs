//! The leaves of the days' Merkle trees: what of a ledger's entry a proof shows.

use std::io::Write;

/// An entry of a transfer, with what its transfer says.
pub struct Entry<'a> {
    pub transfer: u64,
    pub position: u32,
    pub account: &'a str,
    pub currency: &'a str,
    /// In minor units, debits negative.
    pub amount: i64,
    pub kind: &'a str,
    /// The instant it concerns, ms.
    pub at: u64,
    /// The transfer's id: its step, after the order's id and a colon where it is about an order.
    pub id: &'a str,
}

/// Makes leaves. Each ends with a salt, without which nobody can guess an entry from its hash.
pub struct Leaves {
    key: [u8; 32],
}

impl Leaves {
    /// The salts follow from the instance's secret and the entry's place alone.
    pub fn new(secret: &[u8; 32]) -> Leaves {
        Leaves { key: blake3::derive_key("tuike 1 salts of leaves", secret) }
    }

    /// The entry's fields and the salt in hex, with tabs between.
    pub fn leaf(&self, entry: &Entry<'_>) -> Vec<u8> {
        let Entry { transfer, position, account, currency, amount, kind, at, id } = entry;
        let mut leaf = Vec::with_capacity(160);
        write!(leaf, "{transfer}\t{position}\t{account}\t{currency}\t{amount}\t{kind}\t{at}\t{id}\t")
            .expect("memory takes what is written");
        for byte in self.salt(*transfer, *position) {
            leaf.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        leaf
    }

    fn salt(&self, transfer: u64, position: u32) -> [u8; 16] {
        let mut place = [0; 12];
        place[..8].copy_from_slice(&transfer.to_le_bytes());
        place[8..].copy_from_slice(&position.to_le_bytes());
        let hash = blake3::keyed_hash(&self.key, &place);
        hash.as_bytes()[..16].try_into().expect("half of 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(transfer: u64, position: u32) -> Entry<'static> {
        let (account, id) = ("promoter:p:pending", "0f:accrue:1");
        Entry { transfer, position, account, currency: "CNY", amount: -5, kind: "accrue", at: 9, id }
    }

    #[test]
    fn a_leaf_is_the_entrys_fields_and_a_salt() {
        let leaf = String::from_utf8(Leaves::new(&[1; 32]).leaf(&entry(7, 2))).unwrap();
        let (fields, salt) = leaf.rsplit_once('\t').unwrap();
        assert_eq!(fields, "7\t2\tpromoter:p:pending\tCNY\t-5\taccrue\t9\t0f:accrue:1");
        assert!(salt.len() == 32 && salt.bytes().all(|digit| b"0123456789abcdef".contains(&digit)));
    }

    #[test]
    fn each_entry_of_each_instance_has_a_salt_of_its_own_and_always_the_same() {
        let leaf = |secret, transfer, position| Leaves::new(&[secret; 32]).leaf(&entry(transfer, position));
        let salt = |leaf: Vec<u8>| leaf[leaf.len() - 32..].to_vec();
        let all = [(1, 7, 2), (2, 7, 2), (1, 8, 2), (1, 7, 3)].map(|(s, t, p)| salt(leaf(s, t, p)));
        assert_eq!(leaf(1, 7, 2), leaf(1, 7, 2));
        for (i, one) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(one));
        }
    }
}
