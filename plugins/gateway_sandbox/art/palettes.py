# ruff: noqa: RUF001  # Cyrillic and Chinese are meant
"""Colours that belong together."""

import random
import re

import msgspec

__all__ = ["Color", "Palette", "blend", "choose_palette", "mentions"]

Color = tuple[int, int, int]


class Palette(msgspec.Struct, frozen=True):
    """A sky from top to horizon, the light in it, and land from far to near."""

    sky: tuple[Color, ...]
    light: Color
    far: Color
    near: Color
    accents: tuple[Color, ...]


def _hex(text: str) -> Color:
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def _palette(sky: str, light: str, far: str, near: str, accents: str) -> Palette:
    colors = tuple(_hex(text) for text in sky.split())
    return Palette(colors, _hex(light), _hex(far), _hex(near), tuple(_hex(text) for text in accents.split()))


_PALETTES = {
    "dawn": _palette(
        "2b3a67 6b5b95 d98299 f7b89c ffe3c2", "fff1d6", "b98aa8", "1f2a4a", "f26a5a f7b267 84a59d 2e4057"
    ),
    "dusk": _palette(
        "1b1536 4a2364 a8386b ee6c4d ffc15e", "ffe9a8", "9c4668", "160f29", "ff7d5c ffb35c c0427a 5a3d8c"
    ),
    "sea": _palette(
        "12355b 2a6f97 61a5c2 a9d6e5 eef7f2", "fffbe6", "5f9fb8", "0b2f45", "f4a259 2a9d8f 8ecae6 264653"
    ),
    "forest": _palette(
        "23434a 47786f 8fb79a cfe0b8 f6f1d3", "fffbe0", "86ad93", "10281f", "c9a227 588157 a3b18a 344e41"
    ),
    "night": _palette(
        "050818 0b1533 14284f 22446e 3b6c8e", "f3f1e4", "274a6b", "040a14", "64dfdf 80ffdb 5e60ce ffd6a5"
    ),
    "desert": _palette(
        "35628a 76a5b8 d3cdb0 f1cfa0 f8e3c0", "fff6dc", "dba36f", "6e2f1d", "e07a5f d9a05b 81b29a 3d405b"
    ),
    "blossom": _palette(
        "7d8fc4 b3a7d6 e5bcd8 fbd7dc fff2ea", "ffffff", "b9a0c9", "4a2f57", "f28cab ffc2d4 9d8df1 5b7db1"
    ),
    "winter": _palette(
        "4d6a8f 7f9dbd b3c9dc dde8ef fbf7ef", "fff8e7", "a3b9cd", "26394f", "8fb8de e8c39e 5c7c9c d6e4f0"
    ),
}
_WORDS = {
    "dawn": r"dawn|sunrise|morning|рассвет|утро|日出|晨",
    "dusk": r"sunset|dusk|evening|fire|autumn|закат|вечер|осень|日落|夕",
    "night": r"night|star|moon|space|aurora|neon|galaxy|cyber|futur|ночь|звезд|夜|星|月",
    "winter": r"winter|snow|ice|cold|frost|polar|penguin|зим|снег|雪|冬",
    "blossom": r"flower|blossom|rose|cherry|pink|love|cute|cat|kitten|цвет|кот|花|猫|樱",
    "desert": r"desert|dune|sand|canyon|camel|mars|пустын|沙",
    "sea": r"sea|ocean|wave|lake|water|beach|blue|boat|ship|море|океан|волн|海|湖",
    "forest": r"forest|tree|wood|jungle|green|garden|spring|bird|лес|дерев|森|树|鸟",
}


def choose_palette(prompt: str, source: random.Random) -> Palette:
    """Return the palette that the words suggest, or any."""
    fallback = source.choice(sorted(_PALETTES))
    named = [name for name, words in _WORDS.items() if mentions(prompt, words)]
    return _PALETTES[named[0] if named else fallback]


def mentions(prompt: str, words: str) -> bool:
    """Whether a prompt holds a word that begins like one of `words`, alternatives of a pattern."""
    return re.search(rf"(?<![a-zа-яё])(?:{words})", prompt.lower()) is not None


def blend(one: Color, other: Color, share: float) -> Color:
    """Return a colour between two: `share` 0 is the first, 1 the second."""
    first, second, third = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return first, second, third
