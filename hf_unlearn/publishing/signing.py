"""Signatures by Ed25519 (RFC 8032): keys in PEM files, and what is signed with them."""

from __future__ import annotations

import os
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from hf_unlearn.errors import UnlearningError, one_line

ALGORITHM = "Ed25519"
# A passphrase on the command line would stand in everybody's list of processes.
PASSPHRASE = "HF_UNLEARN_KEY_PASSPHRASE"
_MAKE_ONE = "openssl genpkey -algorithm ed25519 -out key.pem"


def read_private_key(path: str) -> Ed25519PrivateKey:
    """The key in a PEM file; of an encrypted one the passphrase is in the environment.

    Raises:
        UnlearningError: there is none, it is of another kind, or the passphrase is missing or wrong.
    """
    content = _content(path)
    passphrase = os.environ.get(PASSPHRASE)
    try:
        key: Any = load_pem_private_key(
            content, passphrase.encode() if passphrase and b"ENCRYPTED" in content else None
        )
    except TypeError as error:
        raise UnlearningError(f"key {path!r} is encrypted; expected its passphrase in {PASSPHRASE}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in content and passphrase:
            raise UnlearningError(f"key {path!r} does not open with the passphrase in {PASSPHRASE}") from error
        said = "a public key" if b"BEGIN PUBLIC KEY" in content else "no private key in PEM"
        raise UnlearningError(
            f"{path!r} holds {said}; expected an {ALGORITHM} private key, as by {_MAKE_ONE}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
        raise UnlearningError(f"key {path!r} is of kind {kind}; expected {ALGORITHM}, as by {_MAKE_ONE}")
    return key


def read_public_key(path: str) -> str:
    """The 32 bytes, in hexadecimal, of a public key in a PEM file.

    Raises:
        UnlearningError: there is none, or it is of another kind.
    """
    content = _content(path)
    if b"PRIVATE KEY" in content:
        raise UnlearningError(
            f"{path!r} holds a private key, which only its owner should have; expected the public one, as by openssl "
            "pkey -in key.pem -pubout -out key.pub.pem"
        )
    try:
        key: Any = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnlearningError(f"{path!r} holds no public key in PEM: {one_line(error, 100)}") from error
    if not isinstance(key, Ed25519PublicKey):
        kind = type(key).__name__.removesuffix("PublicKey").lstrip("_")
        raise UnlearningError(f"key {path!r} is of kind {kind}; expected {ALGORITHM}")
    return key.public_bytes_raw().hex()


def public_half(key: Ed25519PrivateKey) -> str:
    """The public key of a private one, 32 bytes in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, content: bytes) -> str:
    """The signature of some bytes, in hexadecimal."""
    return key.sign(content).hex()


def is_signed(content: bytes, signature: str, public_key: str) -> bool:
    """Whether a signature is of these bytes by that key, both in hexadecimal."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UnlearningError(f"key {path!r} cannot be read: {error.strerror}") from error
