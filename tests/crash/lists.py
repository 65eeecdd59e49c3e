"""The three lists that are held against each other after the kills."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.crash.clients import Answer

__all__ = ["Lists"]


class Lists(msgspec.Struct, frozen=True):
    """What clients were answered, how often the provider made each film, and the tasks of our store.

    Films and answers go by prompt: each intention has one of its own.
    """

    answers: Mapping[str, Answer]
    made: Counter[str]
    tasks: Sequence[Mapping[str, Any]]

    def under_way(self) -> set[str]:
        """Return the prompts that the provider was paid for and that we have not finished."""
        return set(self.made) - self._completed()

    def lost(self) -> dict[str, str]:
        """Return what was paid for or promised and is not there, with the reason."""
        known = {task["id"]: task["prompt"] for task in self.tasks}
        completed = self._completed()
        unfinished = dict.fromkeys(self.under_way(), "paid for, never finished")
        unknown = {
            prompt: f"answered with {answer}, which is not known"
            for prompt, answer in self.answers.items()
            if known.get(answer.task_id) != prompt
        }
        broken = {
            prompt: f"answered with {answer}, never finished"
            for prompt, answer in self.answers.items()
            if answer.status == 200 and prompt not in completed
        }
        return unfinished | unknown | broken

    def doubled(self) -> dict[str, str]:
        """Return what was paid for twice, or is there twice."""
        tasks = Counter(task["prompt"] for task in self.tasks)
        return {
            prompt: f"made {self.made[prompt]} times, {tasks[prompt]} tasks"
            for prompt in set(self.made) | set(tasks)
            if max(self.made[prompt], tasks[prompt]) > 1
        }

    def invented(self) -> set[str]:
        """Return what we say is finished although no provider has ever made it."""
        return self._completed() - set(self.made)

    def _completed(self) -> set[str]:
        return {task["prompt"] for task in self.tasks if task["status"] == "completed"}
