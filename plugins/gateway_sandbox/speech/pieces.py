"""Cut a text into the pieces that a stream sends, and count them."""

import re

__all__ = ["count_tokens", "pieces"]

_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")
_BYTES_PER_TOKEN = 4


def pieces(text: str) -> list[str]:
    """Token-sized pieces; joined they are the text again, character by character."""
    return _PIECE.findall(text)


def count_tokens(text: str) -> int:
    """Return a cheap estimate for input, which may be large: four bytes are a token."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)
