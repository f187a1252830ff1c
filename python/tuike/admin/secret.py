"""Secrets that are made for a caller and shown once."""

import hashlib

from tuike.admin.routes import Answer, Call

SECRET_BYTES = 32


def fresh_secret(call: Call, purpose: str) -> str:
    """64 hex digits. Under an Idempotency-Key they derive from the request, so that a repeat shows them again."""
    key = call.idempotency_key
    if key is None:
        return call.service.random(SECRET_BYTES).hex()
    parts = (purpose, call.actor.name, key, call.fingerprint)
    instance = bytes.fromhex(call.service.secret)
    return hashlib.blake2b("\0".join(parts).encode(), key=instance, digest_size=SECRET_BYTES).hexdigest()


def show(answer: Answer, **secret: str) -> Answer:
    """Adds it to the answer of what was made just now, or will be: nobody can ask for it later."""
    return Answer(answer.status, answer.body | secret) if answer.status in (201, 202) else answer
