"""Signatures of an audit: whoever lacks the key can neither add a row nor make the chain anew.

::

    row        signature = HMAC-SHA256(key, row <seal>), in a column of its own
    MLflow     equipoise.audit.signed = <number> <seal> HMAC-SHA256(key, head <model> <number> <seal>)

The chain vouches for the rows up to the signed one, and each row after it for itself. Only programs with the
key (EQUIPOISE_AUDIT_KEY) look. What no signature tells is an old head with its own signature and the rows of
then, put back by somebody who kept all three: a backup of the audit elsewhere does.
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

SIGNED: Final = "equipoise.audit.signed"
SIGNATURE: Final = "signature"
_HEAD: Final = re.compile(r"([0-9]{1,9}) ([0-9a-f]{64}) ([0-9a-f]{64})")


def sign_row(seal: str, *, key: bytes) -> str:
    """Return the signature of a row by its seal.

    Examples
    --------
    >>> sign_row("5d6a", key=b"k" * 32)[:12]
    '8633597474c7'
    """
    return hmac.new(key, f"row {seal}".encode(), sha256).hexdigest()


def sign_head(model: str, number: int, seal: str, *, key: bytes) -> str:
    """Return how MLflow names the newest row that was vouched for."""
    signature = hmac.new(key, f"head {model} {number} {seal}".encode(), sha256).hexdigest()
    return f"{number} {seal} {signature}"


def find_unsigned(
    seals: Sequence[str], signatures: Sequence[str | None], *, model: str, head: str, key: bytes
) -> str:
    """Say which row nobody with the key vouches for; empty where there is none.

    Parameters
    ----------
    seals : those that the rows should carry, oldest first.
    signatures : those that they carry.
    head : the tag of the registered model, empty where it has none. A single row may stand without it: its
        writer was killed before the tag.

    Examples
    --------
    >>> key, seals = b"k" * 32, ["a" * 64, "b" * 64]
    >>> signed = sign_head("m", 1, seals[1], key=key)
    >>> find_unsigned(seals, [None, None], model="m", head=signed, key=key)
    ''
    >>> find_unsigned(seals, [None, None], model="m", head="", key=key)
    'none of its 2 rows is signed'
    """
    covered = -1
    if head:
        named = _HEAD.fullmatch(head)
        if named is None or not hmac.compare_digest(head, sign_head(model, int(named[1]), named[2], key=key)):
            return f"the tag {SIGNED} is not signed with this key"
        covered = int(named[1])
        if covered >= len(seals) or seals[covered] != named[2]:
            return f"row {covered}, which is signed, is not what was written or is lost"
    elif len(seals) > 1:
        return f"none of its {len(seals)} rows is signed"
    for number in range(covered + 1, len(seals)):
        if not hmac.compare_digest(signatures[number] or "", sign_row(seals[number], key=key)):
            return f"row {number} is not signed with this key"
    return ""
