"""Forged statements and proofs: every way we could think of to change what was handed out.

What belongs here: making them from true ones. What does not: expectations. A forgery is a name, the bytes of
`statement.json` and those of `proof.json`.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator

from orchestration.close import merkle

Pair = tuple[bytes, bytes]
Forgery = tuple[str, bytes, bytes]
ZEROS, ONES = "0" * 64, "f" * 64
# Texts that look like others, or mean the same to somebody.
LOOK_ALIKES = {"a": "а", "e": "е", "o": "ο", "0": "０", "1": "１", "-": "‑", ".": "․", "/": "∕", "T": "Τ"}  # noqa: RUF001
MARKS = ("\u200b", "\u200d", "\u202e", "\u2060", "\ufeff", "\u0301", "\x00", "\x0b", "\xad")


def canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def in_statement(true: Pair) -> Iterator[Forgery]:
    """Another statement under the same proof."""
    statement, proof = true
    text = statement.decode()
    for found in list(re.finditer(r'"(-?[0-9]+(?:\.[0-9]+)?)"', text))[:40]:
        amount = found[1]
        for name, other in (("one more", amount[:-1] + str((int(amount[-1]) + 1) % 10)), ("no sign", amount.lstrip("-") + "0"),
                            ("zeros ahead", f"0{amount}"), ("exponent", f"{amount}e0"), ("plus", f"+{amount}"),
                            ("huge", "9" * 400), ("tiny", f"0.{'0' * 400}1")):  # fmt: skip
            yield f"{name} at {found.start()}", (text[: found.start(1)] + other + text[found.end(1) :]).encode(), proof
        bare = text[: found.start()] + (amount.lstrip("0") or "0") + text[found.end() :]
        yield f"a number at {found.start()}", bare.encode(), proof
    for place in range(0, len(statement), max(1, len(statement) // 40)):
        changed = bytearray(statement)
        changed[place] ^= 1
        yield f"a bit of byte {place}", bytes(changed), proof
    said = json.loads(statement)
    for name in said:
        yield f"without {name}", canonical({key: value for key, value in said.items() if key != name}), proof
        yield f"{name} is null", canonical(said | {name: None}), proof
    for part in ("lines", "statements", "number_inventory"):
        rows = said[part]
        yield f"{part} turned around", canonical(said | {part: rows[::-1]}), proof
        yield f"{part} twice", canonical(said | {part: rows * 2}), proof
        yield f"{part} without the first", canonical(said | {part: rows[1:]}), proof
    yield "another name more", canonical(said | {"zz": "1"}), proof
    yield "another salt", canonical(said | {"salt": ONES}), proof


def in_letters(true: Pair) -> Iterator[Forgery]:
    """Texts that look the same, or that a reader may normalize to the same."""
    statement, proof = true
    said, proved = json.loads(statement), json.loads(proof)
    for name in ("tenant_name", "account_id", "month"):
        value = said[name]
        forms = [unicodedata.normalize(form, value) for form in ("NFC", "NFD", "NFKC", "NFKD")]
        forms += [value.replace(letter, other) for letter, other in LOOK_ALIKES.items()]
        forms += [f"{value}{mark}" for mark in MARKS] + [f"{mark}{value}" for mark in MARKS]
        forms += [value.upper(), value.lower(), f"{value} ", f" {value}"]
        for other in dict.fromkeys(forms):
            yield f"{name} as {other!a}", canonical(said | {name: other}), proof
            if name in proved:
                yield f"{name} of the proof as {other!a}", statement, canonical(proved | {name: other})
    yield "half a character", canonical(said | {"tenant_name": "\ud800"}), proof


def in_form(true: Pair) -> Iterator[Forgery]:
    """The same content, or none, in other bytes."""
    for place, name in enumerate(("statement", "proof")):
        raw = true[place]
        said = json.loads(raw)
        forms = {
            "indented": json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False).encode(),
            "with blanks": json.dumps(said, sort_keys=True, ensure_ascii=False).encode(),
            "in another order": json.dumps(
                dict(reversed(said.items())), separators=(",", ":"), ensure_ascii=False
            ).encode(),
            "with a line break": raw + b"\n",
            "with a return": b"\r\n" + raw,
            "with a mark": b"\xef\xbb\xbf" + raw,
            "in UTF-16": raw.decode().encode("utf-16"),
            "in UTF-32": raw.decode().encode("utf-32"),
            "escaped": raw.replace(b'"month"', b'"\\u006donth"'),
            "slashes escaped": raw.replace(b"-0", b"\\u002d0"),
            "a name twice": b'{"account_id":"x",' + raw[1:],
            "a name twice, at the end": raw[:-1] + b',"tree_size":1}',
            "with a comment": raw + b"//",
            "twice": raw + raw,
            "cut off": raw[:-1],
            "in a list": b"[" + raw + b"]",
            "as text": json.dumps(raw.decode()).encode(),
            "empty": b"",
            "nothing": b"null",
            "deep": b"[" * 100_000,
            "not UTF-8": raw[:-2] + b"\xff" + raw[-1:],
            "a NUL": raw + b"\x00",
        }
        for form, content in forms.items():
            pair = [*true]
            pair[place] = content
            yield f"{name} {form}", *pair


def in_proof(true: Pair) -> Iterator[Forgery]:
    """The same statement under another proof."""
    statement, proof = true
    said = json.loads(proof)
    path, size, index = said["path"], said["tree_size"], said["leaf_index"]

    def forged(name: str, **given: object) -> Forgery:
        return name, statement, canonical(said | given)

    for other in (*range(18), 2**31, 2**53, 2**64, -1, -size, 10**400):
        yield forged(f"tree of {other}", tree_size=other)
        yield forged(f"leaf {other}", leaf_index=other)
    for name in ("leaf_index", "tree_size"):
        for other in (float(said[name]), str(said[name]), True, None, [said[name]], said[name] + 0.5, float("nan")):
            yield forged(f"{name} {other!r}", **{name: other})
    yield forged("leaf of a tree twice as large", tree_size=size * 2, leaf_index=index * 2, path=[ZEROS, *path])
    yield forged("the last leaf twice", tree_size=size + 1, leaf_index=size)
    yield from ((f"path without step {place}", statement, canonical(said | {"path": path[:place] + path[place + 1 :]}))
                for place in range(len(path)))  # fmt: skip
    yield from (forged(f"path cut at {length}", path=path[:length]) for length in range(len(path)))
    yield from (forged(f"path with {name}", path=longer) for name, longer in {
        "its end twice": [*path, *path[-1:]], "its leaf ahead": [said["leaf_sha256"], *path],
        "the root behind": [*path, said["root_sha256"]], "zeros behind": [*path, ZEROS], "zeros ahead": [ZEROS, *path],
        "its steps turned around": path[::-1], "all twice": path * 2, "in capitals": [step.upper() for step in path],
        "with blanks": [f" {step}" for step in path], "as one text": "".join(path), "nothing for a step": [None, *path[1:]],
        "steps cut short": [step[:-2] for step in path], "steps with a tail": [f"{step}00" for step in path],
    }.items())  # fmt: skip
    for place in range(len(path) - 1):
        swapped = [*path]
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        yield forged(f"steps {place} and {place + 1} swapped", path=swapped)
    for place, step in enumerate(path):
        for digit in (0, 31, 63):
            changed = step[:digit] + f"{int(step[digit], 16) ^ 1:x}" + step[digit + 1 :]
            yield forged(f"digit {digit} of step {place}", path=[*path[:place], changed, *path[place + 1 :]])
    for name in ("leaf_sha256", "root_sha256", "manifest_sha256"):
        value = said[name]
        for other in (
            ZEROS,
            ONES,
            value[::-1],
            value.upper(),
            value[:-1],
            f"{value}0",
            f" {value}",
            "",
            None,
            said["month"],
        ):
            yield forged(f"{name} {other!r}", **{name: other})
    yield from (
        forged(f"month {other}", month=other) for other in ("2026-02", "2026-3", "2026-03-01", "", None, 202603)
    )
    yield from (
        (f"proof without {name}", statement, canonical({key: said[key] for key in said if key != name}))
        for name in said
    )
    yield forged("a name more", signature="x")


def of_others(trues: list[Pair]) -> Iterator[Forgery]:
    """One tenant's statement under another's proof, or a proof made of two."""
    for mine, (statement, proof) in enumerate(trues):
        for other, (_, others_proof) in enumerate(trues):
            if mine != other:
                yield f"{mine} under the proof of {other}", statement, others_proof
                said, others = json.loads(proof), json.loads(others_proof)
                for name in said:
                    yield f"{mine} with {name} of {other}", statement, canonical(said | {name: others[name]})


def own_trees(true: Pair) -> Iterator[Forgery]:
    """A changed statement in a tree that the forger made: whole in itself, under a root of its own."""
    statement, proof = true
    said, proved = json.loads(statement), json.loads(proof)
    cheap = said | {"statements": [row | {"total_cost": "0.000000000"} for row in said["statements"]]}
    for name, changed in (("alone", cheap | {"leaf_index": "0", "tree_size": "1"}), ("in place", cheap)):
        document = canonical(changed)
        size, index = int(changed["tree_size"]), int(changed["leaf_index"])
        leaves = [hashlib.sha256(bytes([place])).digest() for place in range(size)]
        leaves[index] = merkle.leaf(document)
        tree = merkle.levels(leaves)
        made = {"leaf_index": index, "tree_size": size, "leaf_sha256": leaves[index].hex(), "root_sha256": merkle.root(tree).hex(),
                "path": [step.hex() for step in merkle.path(tree, index)]}  # fmt: skip
        yield f"own tree, {name}", document, canonical(proved | made)
        yield (
            f"own tree, {name}, under the true root",
            document,
            canonical(proved | made | {"root_sha256": proved["root_sha256"]}),
        )
    # A node for a leaf: the bytes of two hashes as a statement.
    path = [bytes.fromhex(step) for step in proved["path"]]
    leaf = merkle.leaf(statement)
    node = path[0] + leaf if proved["leaf_index"] % 2 else leaf + path[0]
    shorter = {"leaf_sha256": hashlib.sha256(b"\x00" + node).hexdigest(), "path": proved["path"][1:],
               "leaf_index": proved["leaf_index"] // 2, "tree_size": (proved["tree_size"] + 1) // 2}  # fmt: skip
    yield "a node for a leaf", node, canonical(proved | shorter)
    yield "a node for a leaf, hashed as one", b"\x01" + node, canonical(proved | shorter)
