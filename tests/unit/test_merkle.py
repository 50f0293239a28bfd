"""The Merkle tree of RFC 6962 against its definition, against its own published example, and against wrong paths."""

import hashlib

import pytest

from orchestration.close import merkle

DOCUMENTS = [f"document {number}".encode() for number in range(70)]


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def defined(documents: list[bytes]) -> bytes:
    """MTH as §2.1 defines it."""
    if not documents:
        return sha256(b"")
    if len(documents) == 1:
        return sha256(b"\x00" + documents[0])
    split = 1 << (len(documents) - 1).bit_length() - 1
    return sha256(b"\x01" + defined(documents[:split]) + defined(documents[split:]))


def defined_path(index: int, documents: list[bytes]) -> list[bytes]:
    """PATH as §2.1.1 defines it."""
    if len(documents) == 1:
        return []
    split = 1 << (len(documents) - 1).bit_length() - 1
    if index < split:
        return [*defined_path(index, documents[:split]), defined(documents[split:])]
    return [*defined_path(index - split, documents[split:]), defined(documents[:split])]


def tree_of(size: int) -> merkle.Levels:
    return merkle.levels([merkle.leaf(document) for document in DOCUMENTS[:size]])


@pytest.mark.parametrize("size", range(70))
def test_roots_and_paths_are_those_of_the_definition(size):
    tree = tree_of(size)
    assert merkle.root(tree) == defined(DOCUMENTS[:size])
    for index in range(size):
        path = merkle.path(tree, index)
        assert path == defined_path(index, DOCUMENTS[:size])
        assert merkle.root_of_path(merkle.leaf(DOCUMENTS[index]), index, size, path) == merkle.root(tree)


def test_the_seven_leaves_of_the_rfc_have_the_paths_that_it_draws():
    """§2.1.3: of leaves 0, 3, 4 and 6, in its letters."""
    hashes = [merkle.leaf(document) for document in DOCUMENTS[:7]]
    a, b, c, d, e, f, j = hashes
    g, h, i = merkle.node(a, b), merkle.node(c, d), merkle.node(e, f)
    k, last = merkle.node(g, h), merkle.node(i, j)
    tree = merkle.levels(hashes)
    assert [merkle.path(tree, index) for index in (0, 3, 4, 6)] == [[b, h, last], [c, g, last], [f, j, k], [i, k]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13])
def test_a_path_leads_to_the_root_from_its_own_leaf_alone(size):
    tree = tree_of(size)
    for index in range(size):
        leaf, path = merkle.leaf(DOCUMENTS[index]), merkle.path(tree, index)
        wrong = [path[:-1], [*path, leaf], [*path, path[-1] if path else leaf], path[1:]] if path else [[leaf]]
        if path[::-1] != path:
            wrong.append(path[::-1])
        for one in wrong:
            assert merkle.root_of_path(leaf, index, size, one) != merkle.root(tree)
        assert merkle.root_of_path(merkle.leaf(b"another"), index, size, path) != merkle.root(tree)
        for other in {*range(-1, size + 1)} - {index}:
            assert merkle.root_of_path(leaf, other, size, path) != merkle.root(tree)


def test_a_node_is_no_leaf():
    """A document of two hashes side by side would otherwise be the node above them."""
    tree = tree_of(2)
    assert merkle.leaf(tree[0][0] + tree[0][1]) != merkle.root(tree)
