"""The Merkle tree of RFC 6962 §2.1 over SHA-256: leaves, nodes, the root, and the audit path from a leaf to it.

What belongs here: hashes of bytes. What does not: what a leaf stands for, or where a tree is kept.
"""

import hashlib
from collections.abc import Sequence

# A leaf and a node are hashed apart, so that no document can be taken for two hashes side by side.
LEAF, NODE = b"\x00", b"\x01"
# The leaves first, the root alone last; a node without a sibling stands on the next level too.
Levels = Sequence[Sequence[bytes]]


def leaf(document: bytes) -> bytes:
    return hashlib.sha256(LEAF + document).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def levels(leaves: Sequence[bytes]) -> Levels:
    """Every level of the tree over these leaves. The root over none is the hash of nothing."""
    built = [leaves or [hashlib.sha256(b"").digest()]]
    while len(built[-1]) > 1:
        below = built[-1]
        pairs = [node(below[place], below[place + 1]) for place in range(0, len(below) - 1, 2)]
        built.append(pairs + list(below[len(pairs) * 2 :]))
    return built


def root(tree: Levels) -> bytes:
    return tree[-1][0]


def path(tree: Levels, index: int) -> list[bytes]:
    """The audit path of a leaf (§2.1.1): the sibling on each level that has one, leaf upwards."""
    siblings = []
    for level in tree[:-1]:
        if index ^ 1 < len(level):
            siblings.append(level[index ^ 1])
        index //= 2
    return siblings


def root_of_path(hashed: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root to which a path leads from the leaf at `index` of a tree of `size` leaves; None when it fits no such
    leaf (RFC 9162 §2.1.3.2, the same trees)."""
    last = size - 1
    if not 0 <= index <= last:
        return None
    for sibling in siblings:
        if last == 0:
            return None
        if index % 2 or index == last:
            hashed = node(sibling, hashed)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            hashed = node(hashed, sibling)
        index, last = index // 2, last // 2
    return hashed if last == 0 else None
