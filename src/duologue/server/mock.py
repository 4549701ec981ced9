"""Stored completions in the profile `mock`, where any id exists; in the other profiles there are none.

A double for the test suites of clients: the answers have the shapes of the protocol and hold what was asked
for. Nothing is kept: what was updated or deleted is there again, as it was, at the next request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from ..protocol.codec import encode
from ..protocol.errors import BadRequestError, NotFoundError
from ..types.chat.chat_completion import ChatCompletion, Choice
from ..types.chat.chat_completion_deleted import ChatCompletionDeleted
from ..types.chat.chat_completion_list import ChatCompletionList, ChatCompletionMessageList
from ..types.chat.chat_completion_message import ChatCompletionMessage
from ..types.chat.chat_completion_store_message import ChatCompletionStoreMessage
from ..types.chat.request import ChatUpdate
from ..types.completion_usage import CompletionUsage
from .admission import read_body
from .asgi import Scope
from .exchange import Exchange
from .routes import Route
from .support import IGNORED, listed

if TYPE_CHECKING:
    from .app import App

__all__ = ["MOCK_ROUTES", "NO_STORE_ROUTES"]

# What the lists hold, from the oldest to the newest.
COMPLETIONS = ("chatcmpl-mock-1", "chatcmpl-mock-2", "chatcmpl-mock-3")
TEXTS = ("Who are you?", "A mock: any stored completion that you ask for exists.")

# The same at every start, so that tests may compare; in Unix seconds.
CREATED = 1_750_000_000

DEFAULT_LIMIT = 20
LIMITS = range(1, 101)
ORDERS = ("asc", "desc")

# How many fields of a query are read; 16 may be metadata.
MAX_FIELDS = 64

Item = TypeVar("Item", ChatCompletion, ChatCompletionStoreMessage)


class Query(NamedTuple):
    """What a list was asked for, and the names of the fields that mean nothing."""

    after: str | None
    limit: int
    order: str
    model: str | None
    metadata: dict[str, str]
    ignored: list[str]


async def _list(app: App, exchange: Exchange, _: str) -> None:
    query = _read_query(exchange.scope, ("model", "metadata"))
    model = query.model or app.models.default
    completions = [_completion(name, model, query.metadata) for name in COMPLETIONS]
    await _send_page(exchange, ChatCompletionList, completions, query)


async def _messages(_: App, exchange: Exchange, name: str) -> None:
    query = _read_query(exchange.scope)
    messages = [
        ChatCompletionStoreMessage(id=f"{name}-{number}", content=text) for number, text in enumerate(TEXTS)
    ]
    await _send_page(exchange, ChatCompletionMessageList, messages, query)


async def _get(app: App, exchange: Exchange, name: str) -> None:
    await exchange.send_json(encode(_completion(name, app.models.default)))


async def _update(app: App, exchange: Exchange, name: str) -> None:
    body = await read_body(exchange)
    try:
        update = msgspec.json.decode(body, type=ChatUpdate)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(
            f'{error}. Send {{"metadata": {{"name": "text"}}}} and nothing else, with at most 16 names of at most '
            "64 characters and texts of at most 512.",
            param="metadata",
        ) from None
    await exchange.send_json(encode(_completion(name, app.models.default, update.metadata)))


async def _delete(_: App, exchange: Exchange, name: str) -> None:
    await exchange.send_json(encode(ChatCompletionDeleted(id=name, deleted=True)))


async def _no_store(_: App, __: Exchange, ___: str) -> None:
    raise NotFoundError(
        "This server stores no completions, so there is none to list, read, change or delete. A test double "
        "whose every id exists is `duologue serve echo --profile mock`.",
        code="no_stored_completions",
    )


def _completion(name: str, model: str, metadata: dict[str, str] | None = None) -> ChatCompletion:
    return ChatCompletion(
        id=name,
        choices=[Choice(finish_reason="stop", index=0, message=ChatCompletionMessage(content=TEXTS[-1]))],
        created=CREATED,
        model=model,
        metadata=metadata or {},
        usage=CompletionUsage(prompt_tokens=3, completion_tokens=9, total_tokens=12),
    )


def _read_query(scope: Scope, filters: Sequence[str] = ()) -> Query:
    """The query of a list. Lenient, as the profile is: what is unknown or wrong is put among the ignored."""
    try:
        text = scope["query_string"].decode("latin-1")
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise BadRequestError(f"The query has more than {MAX_FIELDS} fields. Ask for less.") from None
    after, limit = fields.pop("after", None), fields.pop("limit", str(DEFAULT_LIMIT))
    order, model = fields.pop("order", ORDERS[0]), fields.pop("model", None) if "model" in filters else None
    ignored: list[str] = []
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3 and int(limit) in LIMITS):
        ignored.append("limit")
        limit = str(DEFAULT_LIMIT)
    if order not in ORDERS:
        ignored.append("order")
    metadata = {}
    for name, value in fields.items():
        if "metadata" in filters and name.startswith("metadata[") and name.endswith("]"):
            metadata[name.removeprefix("metadata[").removesuffix("]")] = value
        else:
            ignored.append(name)
    return Query(after, int(limit), order, model, metadata, ignored)


async def _send_page(exchange: Exchange, page: type[Any], items: list[Item], query: Query) -> None:
    """The part of a list that was asked for. After an id that is not in it comes all of it: any id exists."""
    if query.order == "desc":
        items.reverse()
    ids = [item.id for item in items]
    first = ids.index(query.after) + 1 if query.after in ids else 0
    ids, items = ids[first:], items[first:]
    shown = ids[: query.limit]
    answer = page(
        data=items[: query.limit],
        first_id=shown[0] if shown else None,
        last_id=shown[-1] if shown else None,
        has_more=len(shown) < len(ids),
    )
    headers = {IGNORED: listed(query.ignored)} if query.ignored else {}
    await exchange.send_json(encode(answer), headers=headers)


_ALL = "/chat/completions"
_ONE = "/chat/completions/{completion_id}"

_PAGE = {
    "after": "The id after which the page begins.",
    "limit": f"How many items at most, {LIMITS[0]} to {LIMITS[-1]}; {DEFAULT_LIMIT} unless given.",
    "order": f"By time: {' or '.join(ORDERS)}.",
}
_FILTERS = {"model": "Completions of this model.", "metadata": "Completions with these names and texts."}

MOCK_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        _ALL,
        _list,
        "List stored completions",
        answer=ChatCompletionList,
        errors=(400,),
        query=_PAGE | _FILTERS,
    ),
    Route("GET", _ONE, _get, "A stored completion", answer=ChatCompletion),
    Route(
        "POST",
        _ONE,
        _update,
        "Change the metadata of a stored completion",
        answer=ChatCompletion,
        body=ChatUpdate,
    ),
    Route("DELETE", _ONE, _delete, "Delete a stored completion", answer=ChatCompletionDeleted),
    Route(
        "GET",
        f"{_ONE}/messages",
        _messages,
        "The messages of a stored completion",
        answer=ChatCompletionMessageList,
        errors=(400,),
        query=_PAGE,
    ),
)

# The same paths where nothing is stored: they say so.
NO_STORE_ROUTES: tuple[Route, ...] = tuple(
    route._replace(handler=_no_store, absent=True) for route in MOCK_ROUTES
)
