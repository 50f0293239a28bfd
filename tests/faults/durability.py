"""What of a command's calls would outlive a power cut, told from a trace: an order that must hold, and a model of a disk.

What belongs here: the rules of fsync, taken at their worst. What does not: running anything. A kill tests none of it,
since the kernel keeps what a killed process has written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.strace import SYNCING, WRITING, Call

RENAMES = ("rename", "renameat", "renameat2")


def violations(calls: Sequence[Call], data: Path) -> list[str]:
    """Where bytes or names were not yet asked to be on the disk when something that others rely on named them."""
    found = []
    placed = {call.paths[1]: place for place, call in enumerate(calls) if call.name in RENAMES and call.done}
    published = {final: place for final, place in placed.items() if _is_published(final, data)}
    warehouse = data / "warehouse.duckdb"
    for final, place in published.items():
        staged = calls[place].paths[0]
        for inner in [final] if final.is_file() else sorted([final, *final.rglob("*")]):
            path = staged / inner.relative_to(final)
            changes, syncs = _changed(calls[:place], path), _synced(calls[:place], path)
            if not syncs or syncs[-1] < max(changes, default=-1):
                found.append(
                    f"{path.relative_to(data)} is not synced before it is renamed to {final.relative_to(data)}"
                )
        for folder in final.parents:
            if folder.is_relative_to(data) and not any(sync > place for sync in _synced(calls, folder)):
                found.append(f"{folder.relative_to(data)} is not synced after {final.relative_to(data)} is in place")
    if warehouse in placed and max(published.values()) > placed[warehouse]:
        found.append("the warehouse is not swapped last")
    return found


def _is_published(path: Path, data: Path) -> bool:
    """A frozen month, a landed batch, the warehouse."""
    parts = path.relative_to(data).parts
    return parts == ("warehouse.duckdb",) or (parts[0], len(parts)) in (("statements", 2), ("landing", 3))


def _changed(calls: Sequence[Call], path: Path) -> list[int]:
    """Where a file's bytes or a folder's names change."""
    names = ("mkdir", "unlink", "unlinkat", "rmdir", *RENAMES)
    return [
        place
        for place, call in enumerate(calls)
        if call.done
        and (
            (call.name in WRITING and path in call.paths)
            or (call.name in names and path in [one.parent for one in call.paths])
            or ("O_CREAT" in call.arguments and call.name == "openat" and path == call.paths[0].parent)
        )
    ]


def _synced(calls: Sequence[Call], path: Path) -> list[int]:
    return [place for place, call in enumerate(calls) if call.done and call.name in SYNCING and path in call.paths]


@dataclass(eq=False)
class Node:
    """A file or a folder: what a process sees of it, and what the disk surely holds.

    `version` counts the changes of a file's bytes. `names` are a folder's, none in a file.
    """

    names: "dict[str, Node] | None" = None
    version: int = 0
    held_names: "dict[str, Node] | None" = None
    held_version: int = 0

    def sync(self) -> None:
        self.held_version = self.version
        self.held_names = None if self.names is None else dict(self.names)


@dataclass
class Disk:
    """A data folder through a command's calls. What is there at first is on the disk."""

    data: Path
    root: Node = field(default_factory=lambda: Node({}))

    def load(self, folder: Path, node: Node) -> None:
        for path in folder.iterdir():
            node.names[path.name] = Node({} if path.is_dir() else None)
            if path.is_dir():
                self.load(path, node.names[path.name])
            node.names[path.name].sync()
        node.sync()

    def find(self, path: Path) -> Node | None:
        node = self.root
        for name in path.relative_to(self.data).parts:
            node = (node.names or {}).get(name) if node else None
        return node

    def apply(self, call: Call) -> None:
        paths = [path for path in call.paths if path.is_relative_to(self.data) and path != self.data]
        if not call.done or not call.is_change or not paths:
            if call.done and call.name in SYNCING:
                self.root.sync()
            return
        path = paths[0]
        folder = self.find(path.parent)
        if call.name in RENAMES:
            self.find(paths[1].parent).names[paths[1].name] = folder.names.pop(path.name)
        elif call.name in ("unlink", "unlinkat", "rmdir"):
            folder.names.pop(path.name)
        elif call.name == "mkdir":
            folder.names[path.name] = Node({})
        elif call.name == "openat":
            if "O_CREAT" in call.arguments and path.name not in folder.names:
                folder.names[path.name] = Node()
            elif "O_TRUNC" in call.arguments:
                folder.names[path.name].version += 1
        elif call.name in WRITING:
            # With two descriptors, the first is written to.
            self.find(path).version += 1
        elif call.name in SYNCING:
            self.find(path).sync()


def _seen(node: Node, path: str, lost_names: set[Node], *, lose_bytes: bool) -> Iterator[tuple[str, Node, int]]:
    """Everything that is there after a cut: name, node, version of the bytes."""
    names = node.held_names if node in lost_names else node.names
    for name, inner in (names or {}).items():
        yield f"{path}/{name}", inner, inner.held_version if lose_bytes else inner.version
        yield from _seen(inner, f"{path}/{name}", lost_names, lose_bytes=lose_bytes)


def _unsynced(node: Node) -> Iterator[Node]:
    if node.names is not None:
        if node.names != node.held_names:
            yield node
        for inner in {**node.names, **(node.held_names or {})}.values():
            yield from _unsynced(inner)


def power_cuts(calls: Sequence[Call], before: Path, data: Path) -> tuple[int, list[str]]:
    """Cut the power after each call: how many states of the disk that makes, and what is wrong in any of them.

    After a cut the names in each folder and the bytes that were not synced are there or not: all of them, none, those
    of any one folder.
    """
    disk = Disk(data)
    disk.load(before, disk.root)
    known = {
        path: node
        for path, node, _ in _seen(disk.root, "", set(), lose_bytes=False)
        if path.startswith(("/landing/", "/statements/")) or path == "/warehouse.duckdb"
    }
    final = Disk(data)
    final.load(before, final.root)
    for call in calls:
        final.apply(call)
    whole = {path: node.version for path, node, _ in _seen(final.root, "", set(), lose_bytes=False)}
    published = {
        path: [name for name in whole if name == path or name.startswith(f"{path}/")]
        for path in whole
        if _is_published(data / path[1:], data)
    }
    last = max(place for place, call in enumerate(calls) if call.is_change and call.done)
    states, wrong = 0, set()
    for place, call in enumerate(calls):
        disk.apply(call)
        if not (call.is_change and call.done):
            continue
        unsynced = set(_unsynced(disk.root))
        for lost in [set(), unsynced, *({one} for one in unsynced), *(unsynced - {one} for one in unsynced)]:
            for lose_bytes in (False, True):
                states += 1
                seen = {
                    path: (node, version) for path, node, version in _seen(disk.root, "", lost, lose_bytes=lose_bytes)
                }
                wrong |= {
                    f"after {call.name} {call.paths[0].name}: {one}"
                    for one in _problems(seen, whole, published, known, ended=place == last)
                }
    return states, sorted(wrong)


def _problems(
    seen: dict, whole: dict[str, int], published: dict[str, list[str]], known: dict[str, Node], *, ended: bool
) -> Iterator[str]:
    """What was landed or frozen is there, the same; what is new is whole, or absent and not yet said to be done."""
    for path, node in known.items():
        if path != "/warehouse.duckdb" and seen.get(path, (None, 0))[0] is not node:
            yield f"{path} is lost"
    for path, inner in published.items():
        if path not in seen:
            if ended or path in known:
                yield f"{path} is lost"
        elif seen[path][0] is not known.get(path):
            yield from (f"{name} is not whole" for name in inner if seen.get(name, (None, -1))[1] != whole[name])
