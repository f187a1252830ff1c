//! The ledger's hash chain: whoever has a transfer's hash can prove all transfers before it.

use std::io::Write;

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// What is hashed of many transfers, in order.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each transfer's text ends.
    ends: Vec<usize>,
}

impl Texts {
    /// One more transfer: its number, then account, currency and amount of each entry.
    pub fn push<'a>(&mut self, number: u64, currency: &str, entries: impl IntoIterator<Item = (&'a str, i64)>) {
        let line = "memory takes what is written";
        writeln!(self.bytes, "{number}").expect(line);
        for (account, amount) in entries {
            writeln!(self.bytes, "{account}\t{currency}\t{amount}").expect(line);
        }
        self.ends.push(self.bytes.len());
    }

    /// Each transfer's hash: SHA-256 over the hash before it and its text.
    pub fn chain(&self, previous: Hash) -> Vec<Hash> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end]);
        let mut hash = previous;
        let mut next = |text| {
            hash = Sha256::new().chain_update(hash).chain_update(text).finalize().into();
            hash
        };
        texts.map(&mut next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_over_the_one_before_and_the_transfers_text() {
        let mut texts = Texts::default();
        texts.push(1, "CNY", [("merchant:m:payable", -100), ("promoter:p:pending", 100)]);
        texts.push(2, "JPY", []);
        let first: Hash = Sha256::digest(
            [&[0; 32][..], b"1\nmerchant:m:payable\tCNY\t-100\npromoter:p:pending\tCNY\t100\n"].concat(),
        )
        .into();
        let second: Hash = Sha256::digest([&first[..], b"2\n"].concat()).into();
        assert_eq!(texts.chain([0; 32]), [first, second]);
        assert!(Texts::default().chain([7; 32]).is_empty());
    }
}
