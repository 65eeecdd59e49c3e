# ruff: noqa: RUF001  # Cyrillic and Chinese are meant
"""Sentences for every occasion, in the language of the question."""

import random
import re

__all__ = ["essay", "language_of", "reflection", "remark"]

_SENTENCES = {
    "en": (
        "A river does not hurry, and yet it arrives.",
        "Every good answer begins with a careful question.",
        "Morning light lies on the harbour and the boats swing slowly at their ropes.",
        "What is built from small honest parts can be mended by anybody.",
        "Far away a bell is counting the hours for people who do not listen.",
        "The hills grow paler the farther they are, until the last one is only air.",
        "Somebody has left a window open, and the curtain breathes.",
        "Between two measurements there is always room for a little wonder.",
        "The road bends twice before it finds the sea.",
        "Names are promises, and short names are promises that can be kept.",
    ),
    "ru": (
        "Река не торопится, но всё же приходит к морю.",
        "Хороший ответ начинается с точного вопроса.",
        "Утренний свет лежит на пристани, и лодки тихо качаются.",
        "То, что собрано из простых частей, починит каждый.",
        "Чем дальше холмы, тем они бледнее.",
    ),
    "zh": (
        "江水不急，终归大海。",
        "好的答案始于认真的提问。",
        "晨光落在港口，小船轻轻摇晃。",
        "山越远，颜色越淡。",
        "简单的部件，人人都能修好。",
    ),
}
_REMARKS = {
    "en": "You wrote: “{topic}”. I am the sandbox that stands in for Qwen: this is composed, not thought.",
    "ru": "Вы написали: «{topic}». Я песочница, которая заменяет Qwen: этот текст составлен, а не продуман.",
    "zh": "你写道：“{topic}”。我是代替 Qwen 的沙盒：这段文字是拼成的，不是思考的结果。",
}
_THOUGHTS = {
    "en": ("The user writes “{topic}”.", "Let me see what is asked.", "A short and honest answer will do."),
    "ru": ("Пользователь пишет «{topic}».", "Посмотрим, что нужно.", "Хватит короткого честного ответа."),
    "zh": ("用户写道“{topic}”。", "先看看需要什么。", "简短诚实的回答就够了。"),
}
_TOPIC_CHARS = 80
_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_HAN = re.compile(r"[\u4e00-\u9fff]")


def language_of(text: str) -> str:
    """One of en, ru, zh, by the letters of the text."""
    if _HAN.search(text):
        return "zh"
    return "ru" if _CYRILLIC.search(text) else "en"


def remark(text: str, seed: int) -> str:
    """Return a few sentences that take up the text."""
    language = language_of(text)
    chosen = random.Random(seed).sample(_SENTENCES[language], 2)  # noqa: S311  # repeatable, not secret
    return " ".join([_REMARKS[language].format(topic=_topic(text)), *chosen])


def reflection(text: str) -> list[str]:
    """Return the thoughts before an answer, one sentence each."""
    return [sentence.format(topic=_topic(text)) for sentence in _THOUGHTS[language_of(text)]]


def essay(words: int, seed: int) -> str:
    """Exactly so many words, in paragraphs of five sentences."""
    source = random.Random(seed)  # noqa: S311  # repeatable, not secret
    taken: list[str] = []
    sentences = 0
    while len(taken) < words:
        sentence = source.choice(_SENTENCES["en"]).split()
        sentences += 1
        if sentences % 5 == 0:
            sentence[-1] += "\n\n"
        taken += sentence
    return " ".join(taken[:words]).replace("\n\n ", "\n\n").strip()


def _topic(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TOPIC_CHARS else line[: _TOPIC_CHARS - 1] + "…"
