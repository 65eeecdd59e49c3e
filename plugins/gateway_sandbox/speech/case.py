"""One question, taken apart, as the rules see it."""

import msgspec

from ..records import Attachment
from .prompt import Prompt

__all__ = ["AttachedFile", "Case"]


class AttachedFile(msgspec.Struct, frozen=True):
    """An attachment, with the first line of it if it is a text that was uploaded here."""

    attachment: Attachment
    first_line: str | None = None


class Case(msgspec.Struct, frozen=True):
    """A prompt, the (role, text) turns before it, what is attached, and a number that varies the answer."""

    prompt: Prompt
    history: tuple[tuple[str, str], ...] = ()
    files: tuple[AttachedFile, ...] = ()
    seed: int = 0

    @property
    def text(self) -> str:
        """The question itself."""
        return self.prompt.text

    @property
    def said(self) -> list[str]:
        """What the user said before, oldest first."""
        return [text for role, text in self.history if role == "user"]
