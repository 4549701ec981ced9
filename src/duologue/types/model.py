"""A model that an endpoint serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ._wire import ABSENT, Open, WireObject

__all__ = ["Model", "ModelList"]


class Model(WireObject):
    """One entry of `GET /models`. `created` is in Unix seconds, `shutdown_date` an ISO date."""

    id: str = ABSENT
    created: int = ABSENT
    object: Open[Literal["model"]] = "model"
    owned_by: str = ABSENT
    shutdown_date: str | None = None


class ModelList(WireObject):
    """The answer of `GET /models`; iterating gives its models."""

    data: list[Model] = []
    object: Open[Literal["list"]] = "list"

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)
