//! Ed25519 signatures (RFC 8032) of statements.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// The public key of a private one.
pub fn public(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

pub fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(seed).sign(message).to_bytes()
}

/// Whether the signature is the key's over the message. Keys and signatures that could be someone
/// else's too (of small order, not in lowest terms) are none.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}
