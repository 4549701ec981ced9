"""The protocol's predicted output: text that the answer will largely repeat, as guesses at its next tokens.

A model reads many tokens at once in little more time than one. So the guesses are read behind the last token,
and the answer's own next tokens are picked from what the model makes of them, each as it would be without:
where a guess turns out right, the pick behind it has been computed already. The rest is read in vain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["MAX_DRAFT", "Draft", "Prediction"]

# The most tokens that are guessed ahead at a time.
MAX_DRAFT = 16


class Prediction:
    """The predicted tokens, and where the text goes on behind each pair of them."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self.places: dict[tuple[int, int], list[int]] = {}
        for at, pair in enumerate(pairwise(tokens), 2):
            self.places.setdefault(pair, []).append(at)


class Draft:
    """Guesses at one choice's next tokens. `accepted` and `rejected` count those that were right and wrong.

    It follows the prediction as the choice does. Where the choice departs from it, the draft takes it up again
    further on, where the choice's last two tokens stand in it.
    """

    def __init__(self, prediction: Prediction) -> None:
        self.accepted = 0
        self.rejected = 0
        self._prediction = prediction
        self._at = 0
        self._lost = False
        self._last = -1

    def propose(self, most: int) -> Sequence[int]:
        """The next guesses, not more than `most`; none while the choice goes its own way."""
        return () if self._lost else self._prediction.tokens[self._at : self._at + min(most, MAX_DRAFT)]

    def follow(self, guesses: Sequence[int], picked: Sequence[int], *, own: bool = True) -> None:
        """Take what the choice has said where these guesses were made: as far as they were right, and one more.

        Guesses that are not its `own` are never wrong; those that are as it would have guessed are accepted, too.
        """
        before = self.accepted
        for at, token in enumerate(picked):
            self.accepted += at < len(guesses) and token in self.propose(1)
            self._step(token)
        if own:
            self.rejected += len(guesses) - (self.accepted - before)

    def _step(self, token: int) -> None:
        if token in self.propose(1):
            self._at += 1
        else:
            places = self._prediction.places.get((self._last, token), [])
            found = bisect_left(places, self._at)
            self._lost = found == len(places)
            if not self._lost:
                self._at = places[found]
        self._last = token
