"""Pages that go round in a circle: found out whatever its size, by one word that is remembered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Trail:
    """The words by which one list's pages were asked for. Every word is compared with one that came a while ago, and
    the while doubles (R. P. Brent's way): a circle is told after at most three times its pages and those before it."""

    _landmark: object = None
    _steps: int = 0
    _while: int = 1

    def comes_back_to(self, word: object) -> bool:
        """Whether the pages have been here before; `word` is where the next one begins."""
        if word == self._landmark:
            return True
        self._steps += 1
        if self._steps == self._while:
            self._landmark, self._steps, self._while = word, 0, 2 * self._while
        return False
