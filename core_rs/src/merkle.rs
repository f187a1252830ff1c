//! Merkle trees that prove what a day's books held (RFC 9162, section 2.1; the tree of RFC 6962).

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// All hashes of a tree: about two for each leaf.
pub struct Tree {
    /// The leaves' hashes, then those of each pair, up to the root. A last one without a sibling goes up
    /// as it is, which is the same tree as splitting at the largest power of two.
    rows: Vec<Vec<Hash>>,
}

impl Tree {
    pub fn new<L: AsRef<[u8]>>(leaves: &[L]) -> Tree {
        let mut rows = vec![leaves.iter().map(|leaf| leaf_hash(leaf.as_ref())).collect::<Vec<_>>()];
        while rows[rows.len() - 1].len() > 1 {
            let row = &rows[rows.len() - 1];
            let above = row.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(left, right),
                alone => alone[0],
            });
            rows.push(above.collect());
        }
        Tree { rows }
    }

    /// Of no leaves: the hash of nothing.
    pub fn root(&self) -> Hash {
        self.rows[self.rows.len() - 1].first().copied().unwrap_or_else(|| Sha256::digest([]).into())
    }

    /// The siblings on the way from a leaf to the root; none where there is no such leaf.
    pub fn proof(&self, index: usize) -> Option<Vec<Hash>> {
        if index >= self.rows[0].len() {
            return None;
        }
        let siblings = self.rows.iter().enumerate().filter_map(|(height, row)| row.get((index >> height) ^ 1));
        Some(siblings.copied().collect())
    }
}

/// Whether `proof` leads from this leaf at `index` of `size` leaves to `root` (section 2.1.3.2).
pub fn verify(leaf: &[u8], index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = leaf_hash(leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // rows in which the node had no sibling
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([LEAF]).chain_update(leaf).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([NODE]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(hash: &[u8]) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The recursive definition of section 2.1.1.
    fn defined_root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => leaf_hash(leaf),
            _ => {
                let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
                node_hash(&defined_root(left), &defined_root(right))
            }
        }
    }

    /// The test data of Certificate Transparency's reference implementation, as many projects publish it.
    #[test]
    fn published_roots_come_out() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        for (size, root) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(&Tree::new(&leaves[..size]).root()), root, "{size} leaves");
        }
    }

    #[test]
    fn a_leaf_that_is_not_there_has_no_proof() {
        assert_eq!(Tree::new(&[b"a", b"b"]).proof(2), None);
        assert_eq!(Tree::new::<Vec<u8>>(&[]).proof(0), None);
        assert!(!verify(b"a", 0, 0, &[], &Tree::new::<Vec<u8>>(&[]).root()));
    }

    proptest! {
        #[test]
        fn every_leafs_proof_verifies_and_no_others(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 1..70),
            other in prop::collection::vec(any::<u8>(), 0..4), at: prop::sample::Index, bit in 0usize..256,
        ) {
            let tree = Tree::new(&leaves);
            let (root, size) = (tree.root(), leaves.len() as u64);
            prop_assert_eq!(root, defined_root(&leaves));
            for (index, leaf) in leaves.iter().enumerate() {
                let mut proof = tree.proof(index).unwrap();
                let index = index as u64;
                prop_assert!(verify(leaf, index, size, &proof, &root));
                prop_assert_eq!(verify(&other, index, size, &proof, &root), other == *leaf);
                for elsewhere in (0..size).filter(|i| *i != index) {
                    prop_assert!(!verify(leaf, elsewhere, size, &proof, &root) || leaves[elsewhere as usize] == *leaf);
                }
                prop_assert!(!verify(leaf, index, size, &[&proof[..], &[root]].concat(), &root));
                if !proof.is_empty() {
                    prop_assert!(!verify(leaf, index, size, &proof[1..], &root));
                    let place = at.index(proof.len());
                    proof[place][bit / 8] ^= 1 << (bit % 8);
                    prop_assert!(!verify(leaf, index, size, &proof, &root));
                }
            }
        }
    }
}
