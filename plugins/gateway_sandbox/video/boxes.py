"""ISO base media boxes (ISO/IEC 14496-12): parse, change, write."""

import struct
from collections.abc import Iterator

import msgspec

__all__ = ["Box", "BoxError", "full_box", "parse_boxes", "payload_start"]

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"udta"})
_HEADER = struct.Struct(">I4s")
_LARGE = struct.Struct(">Q")


class BoxError(ValueError):
    """Bytes that are not a sequence of boxes."""


class Box(msgspec.Struct, frozen=True):
    """A box: four letters, and either a payload or other boxes."""

    kind: bytes
    payload: bytes = b""
    children: tuple["Box", ...] = ()

    def __bytes__(self) -> bytes:
        content = self.payload + b"".join(bytes(child) for child in self.children)
        return _HEADER.pack(_HEADER.size + len(content), self.kind) + content

    def find(self, *path: bytes) -> "Box | None":
        """Return the first box down a path of kinds, or `None`."""
        if not path:
            return self
        child = next((child for child in self.children if child.kind == path[0]), None)
        return child.find(*path[1:]) if child else None

    def walk(self) -> Iterator["Box"]:
        """Yield this box and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def full_box(kind: bytes, payload: bytes, *children: Box) -> Box:
    """Return a box with a version and flags, both zero."""
    return Box(kind, bytes(4) + payload, children)


def parse_boxes(data: bytes) -> list[Box]:
    """All boxes of a file, containers opened; raises `BoxError` for anything else."""
    boxes, at = [], 0
    while at < len(data):
        kind, start, end = _header(data, at)
        content = data[start:end]
        box = Box(kind, children=tuple(parse_boxes(content))) if kind in _CONTAINERS else Box(kind, content)
        boxes.append(box)
        at = end
    return boxes


def payload_start(data: bytes, kind: bytes) -> int:
    """Offset of the payload of the first top-level box of a kind; raises `BoxError` if there is none."""
    at = 0
    while at < len(data):
        found, start, at = _header(data, at)
        if found == kind:
            return start
    raise BoxError(f"no {kind!r} box")


def _header(data: bytes, at: int) -> tuple[bytes, int, int]:
    """Kind, start of the content and end of the box at an offset."""
    if at + _HEADER.size > len(data):
        raise BoxError(f"half a box header at {at}")
    size, kind = _HEADER.unpack_from(data, at)
    start = at + _HEADER.size
    if size == 1 and start + _LARGE.size <= len(data):
        size = _LARGE.unpack_from(data, start)[0]
        start += _LARGE.size
    end = len(data) if size == 0 else at + size
    if not start <= end <= len(data):
        raise BoxError(f"box {kind!r} at {at} claims {size} bytes")
    return kind, start, end
