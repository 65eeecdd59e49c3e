"""Turn an animated AVIF into an MP4: the same AV1 track under the names that players expect.

An AVIF sequence already is an ISO media file. What changes: the file type, the
handler (`pict` becomes `vide`), the endless loop (edit list and unlimited
durations become the length of one pass), and the chunk offsets, as everything
in front of the media data has a new size. Tags follow the iTunes convention.
"""

import struct

import msgspec

from .boxes import Box, BoxError, full_box, parse_boxes, payload_start

__all__ = ["Mp4Error", "wrap_avif"]

_FTYP = Box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso6mp41av01")
_UTF8_TEXT = 1
_TITLE, _COMMENT, _TOOL = b"\xa9nam", b"\xa9cmt", b"\xa9too"
_BOX_HEADER = 8


class Mp4Error(ValueError):
    """An AVIF that is not a film of one track."""


def wrap_avif(avif: bytes, *, title: str, comment: str, tool: str = "qwen-gateway sandbox") -> bytes:
    """Return the MP4 of an animated AVIF; raises `Mp4Error` if it has no single track to take over."""
    moov, mdat, old_start = _parts(avif)
    tags = {_TITLE: title, _COMMENT: comment, _TOOL: tool}
    film = _film(moov, tags)
    new_start = len(bytes(_FTYP)) + len(bytes(film)) + _BOX_HEADER
    return bytes(_FTYP) + bytes(_shifted(film, new_start - old_start)) + bytes(mdat)


def _parts(avif: bytes) -> tuple[Box, Box, int]:
    """Movie header, media data, and where the media data started."""
    try:
        boxes = parse_boxes(avif)
    except BoxError as error:
        raise Mp4Error(str(error)) from error
    found = {box.kind: box for box in boxes}
    moov, mdat = found.get(b"moov"), found.get(b"mdat")
    if moov is None or mdat is None:
        raise Mp4Error("an AVIF of one picture has no track")
    return moov, mdat, payload_start(avif, b"mdat")


def _film(moov: Box, tags: dict[bytes, str]) -> Box:
    tracks = [child for child in moov.children if child.kind == b"trak"]
    media_header = tracks[0].find(b"mdia", b"mdhd") if len(tracks) == 1 else None
    movie_header = moov.find(b"mvhd")
    if media_header is None or movie_header is None:
        raise Mp4Error("exactly one track is needed")
    ticks = _media_ticks(media_header, movie_header)
    track = _track(tracks[0], ticks)
    return Box(b"moov", children=(_movie_header(movie_header, ticks), track, _user_data(tags)))


def _media_ticks(media_header: Box, movie_header: Box) -> int:
    """Return the length of the film in ticks of the movie's clock."""
    media_scale, media_duration = struct.unpack_from(">IQ", media_header.payload, 20)
    movie_scale: int = struct.unpack_from(">I", movie_header.payload, 20)[0]
    return int(media_duration) * movie_scale // int(media_scale)


def _movie_header(box: Box, ticks: int) -> Box:
    return Box(box.kind, _patched(box.payload, 24, struct.pack(">Q", ticks)))


def _track(track: Box, ticks: int) -> Box:
    kept = (child for child in track.children if child.kind not in (b"edts", b"meta", b"tref"))
    return Box(track.kind, children=tuple(_track_part(child, ticks) for child in kept))


def _track_part(box: Box, ticks: int) -> Box:
    if box.kind == b"tkhd":
        return Box(box.kind, _patched(box.payload, 28, struct.pack(">Q", ticks)))
    if box.kind == b"hdlr":
        return full_box(b"hdlr", struct.pack(">4x4s12x", b"vide") + b"VideoHandler\0")
    return msgspec.structs.replace(box, children=tuple(_track_part(child, ticks) for child in box.children))


def _user_data(tags: dict[bytes, str]) -> Box:
    handler = full_box(b"hdlr", struct.pack(">4x4s4s8x", b"mdir", b"appl") + b"\0")
    items = tuple(_tag(kind, text) for kind, text in tags.items() if text)
    return Box(b"udta", children=(full_box(b"meta", b"", handler, Box(b"ilst", children=items)),))


def _tag(kind: bytes, text: str) -> Box:
    value = struct.pack(">II", _UTF8_TEXT, 0) + text.encode("utf-8", "replace")
    return Box(kind, children=(Box(b"data", value),))


def _shifted(box: Box, by: int) -> Box:
    """Return the same tree with every chunk offset moved."""
    if box.kind == b"stco":
        count = struct.unpack_from(">I", box.payload, 4)[0]
        offsets = struct.unpack_from(f">{count}I", box.payload, 8)
        return Box(
            box.kind, box.payload[:8] + struct.pack(f">{count}I", *(offset + by for offset in offsets))
        )
    return msgspec.structs.replace(box, children=tuple(_shifted(child, by) for child in box.children))


def _patched(payload: bytes, at: int, value: bytes) -> bytes:
    return payload[:at] + value + payload[at + len(value) :]
