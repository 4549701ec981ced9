"""Which engine answers to which model."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ..engine import Engine, Event, as_engine
from ..protocol.errors import NotFoundError
from ..protocol.wording import short
from ..types.chat.request import ChatRequest
from ..types.model import Model
from .life import Life
from .support import check_declaration

__all__ = ["Models", "Served"]


class Served(NamedTuple):
    """What answers to a model id."""

    engine: Engine  # answers to the id, whatever it calls itself
    life: Life


class Models:
    """The models of a server, the default one first.

    `target` is an engine or a function, which answers to its own ids, or a mapping of ids to such: there an
    engine answers to the id it is given, by its default model unless the id is one of its own.
    """

    def __init__(self, target: Any) -> None:
        named = target if isinstance(target, Mapping) else _by_own_ids(as_engine(target))
        if not named:
            raise ValueError("there is no model to serve: the mapping of models is empty")
        lives: dict[int, Life] = {}
        self._served: dict[str, Served] = {}
        for name, item in named.items():
            engine = as_engine(item)
            _check(engine)
            if not isinstance(name, str) or not name:
                raise ValueError(f"a model id must be a string that is not empty, not {name!r}")
            life = lives.setdefault(id(item), Life(engine))
            self._served[name] = Served(engine if name in engine.models else Renamed(engine, name), life)
        self.lives: tuple[Life, ...] = tuple(lives.values())
        self._made = int(time.time())

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    @property
    def default(self) -> str:
        """The id of the first model."""
        return next(iter(self._served))

    def find(self, name: str, *, lenient: bool = False) -> Served:
        """What answers to `name`; lenient, the default model answers to any name. Raises `NotFoundError`."""
        found = self._served.get(name)
        if found is not None:
            return found
        if lenient:
            first = self._served[self.default]
            return first._replace(engine=Renamed(first.engine, name))
        raise NotFoundError(
            f"The model '{short(name)}' does not exist. This server has: {', '.join(self)}.",
            param="model",
            code="model_not_found",
        )

    def describe(self, name: str) -> Model:
        """The model's entry in the list of models. Raises `NotFoundError`."""
        self.find(name)
        return Model(id=name, created=self._made, object="model", owned_by="duologue")


class Renamed:
    """An engine that answers to another name than its own."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.models = (name,)
        self.supports = engine.supports
        self._engine = engine
        self._own = engine.models[0]

    def generate(self, request: ChatRequest) -> AsyncIterator[Event | str]:
        return self._engine.generate(msgspec.structs.replace(request, model=self._own))


def _by_own_ids(engine: Engine) -> dict[str, Engine]:
    _check(engine)
    return dict.fromkeys(engine.models, engine)


def _check(engine: Engine) -> None:
    """Raise `ValueError` for an engine that says of itself what cannot be."""
    if not engine.models or isinstance(engine.models, str):
        raise ValueError(
            f"{type(engine).__name__}.models is {engine.models!r}: it must list the ids that the engine answers "
            "to, such as ('my-model',)"
        )
    check_declaration(engine)
