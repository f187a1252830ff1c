"""The hash chain, Merkle trees and signatures that prove the books."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuike import _core

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ENTRIES = st.lists(st.tuples(NAMES, st.integers(-(2**63), 2**63 - 1)), max_size=5)


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**40),
    st.lists(st.tuples(st.sampled_from(["CNY", "JPY"]), ENTRIES)),
)
def test_a_batch_of_chain_hashes_is_the_ledgers_one_by_one(
    previous: bytes, first: int, transfers: list[tuple[str, list[tuple[str, int]]]]
) -> None:
    expected, last = [], previous
    for number, (currency, entries) in enumerate(transfers, start=first):
        lines = "".join(f"{name}\t{currency}\t{amount}\n" for name, amount in entries)
        last = hashlib.sha256(last + f"{number}\n{lines}".encode()).digest()
        expected.append(last)
    assert _core.chain_hashes(previous, first, transfers) == expected


def test_a_chain_goes_on_from_a_hash_alone() -> None:
    with pytest.raises(ValueError, match="bad_hash"):
        _core.chain_hashes(b"", 1, [])


def merkle_root(leaves: list[bytes]) -> bytes:
    """As RFC 9162 defines it, section 2.1.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + merkle_root(leaves[:half]) + merkle_root(leaves[half:])).digest()


@given(st.lists(st.binary(max_size=4), max_size=40), st.binary(max_size=4))
def test_each_leaf_is_proven_and_no_other(leaves: list[bytes], other: bytes) -> None:
    tree = _core.MerkleTree(leaves)
    assert tree.root == merkle_root(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.proof(index)
        assert _core.merkle_verify(leaf, index, len(leaves), proof, tree.root)
        assert _core.merkle_verify(other, index, len(leaves), proof, tree.root) == (other == leaf)
        assert not _core.merkle_verify(leaf, index, len(leaves), [*proof, tree.root], tree.root)
        assert not _core.merkle_verify(leaf, index, len(leaves), proof, bytes(32))
    with pytest.raises(IndexError):
        tree.proof(len(leaves))


def test_what_is_no_hash_proves_nothing() -> None:
    tree = _core.MerkleTree([b"a", b"b"])
    assert not _core.merkle_verify(b"a", 0, 2, [tree.proof(0)[0][:31]], tree.root)
    assert not _core.merkle_verify(b"a", 0, 2, tree.proof(0), tree.root + b"\0")


# RFC 8032, section 7.1, tests 1 to 3
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_the_rfc(seed: str, public: str, message: str, signature: str) -> None:
    assert _core.ed25519_public(bytes.fromhex(seed)).hex() == public
    assert _core.ed25519_sign(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature
    assert _core.ed25519_verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.integers(0, 511))
def test_a_signature_is_of_one_message_under_one_key(seed: bytes, message: bytes, bit: int) -> None:
    public, signature = _core.ed25519_public(seed), _core.ed25519_sign(seed, message)
    assert _core.ed25519_verify(public, message, signature)
    assert not _core.ed25519_verify(public, message + b"\0", signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not _core.ed25519_verify(public, message, bytes(changed))
    assert not _core.ed25519_verify(_core.ed25519_public(hashlib.sha256(seed).digest()), message, signature)


def test_keys_and_signatures_have_their_lengths() -> None:
    for call in (lambda: _core.ed25519_public(bytes(31)), lambda: _core.ed25519_sign(bytes(33), b"")):
        with pytest.raises(ValueError, match="bad_key"):
            call()
    assert not _core.ed25519_verify(bytes(31), b"", bytes(64))
    assert not _core.ed25519_verify(bytes(32), b"", bytes(63))
