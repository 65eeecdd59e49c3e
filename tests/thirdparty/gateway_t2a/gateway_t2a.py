"""Text to audio: every prompt has its own short tune. It needs no provider."""

import asyncio
import hashlib
import io
import math
import wave
from array import array
from collections.abc import AsyncGenerator

from gateway.generation.errors import InvalidRequest
from gateway.generation.events import AnyEvent, Finish, Media
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Run

__all__ = ["TuneGenerator"]

_RATE = 16_000
_NOTE_SECONDS = 0.25
_LOUDNESS = 12_000
_PENTATONIC = (0, 2, 4, 7, 9, 12, 14, 16)
"""Semitones above the root; no two of them clash, whatever the prompt."""
_ROOT_HERTZ = 261.63


class TuneGenerator:
    """Plays the prompt."""

    chat_type = "t2a"

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        """Yield one WAV file. Raises `InvalidRequest` when there is no prompt."""
        if not request.prompt.strip():
            raise InvalidRequest("A tune needs a prompt.", param="prompt")
        sound = await asyncio.to_thread(_play, request.prompt)
        yield Media("audio", data=sound, media_type="audio/wav")
        yield Finish()


def _play(prompt: str) -> bytes:
    """Return the tune as a WAV file: 16 bits, mono."""
    melody = hashlib.sha256(prompt.encode()).digest()[:16]
    samples = array("h")
    for step in melody:
        samples.extend(_note(_PENTATONIC[step % len(_PENTATONIC)]))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(_RATE)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def _note(semitones: int) -> list[int]:
    """Return a plucked note: a sine with its octave, dying away."""
    turn = 2 * math.pi * _ROOT_HERTZ * 2 ** (semitones / 12) / _RATE
    length = int(_RATE * _NOTE_SECONDS)
    return [
        int(_LOUDNESS * (1 - at / length) ** 2 * (math.sin(turn * at) + math.sin(2 * turn * at) / 3))
        for at in range(length)
    ]
