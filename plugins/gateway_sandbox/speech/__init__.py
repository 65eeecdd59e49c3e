"""The answering machine: deterministic texts that obey simple instructions."""

from .answers import Answer, AttachedFile, Question, compose
from .pieces import count_tokens, pieces

__all__ = ["Answer", "AttachedFile", "Question", "compose", "count_tokens", "pieces"]
