"""What a request asks of a model, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ...protocol.errors import BadRequestError
from ...types.chat.request import ChatRequest, FunctionTool, JsonObjectFormat, JsonSchemaFormat
from .constraint import Constraint
from .forms import Carrier, Form, Thoughts, literals
from .grammar import ANY_OBJECT, Calls, Offered, compose, json_rule
from .judge import TOO_COSTLY
from .model import ChatModel
from .reader import Reader
from .sampling import Sampling
from .schema_values import Place
from .schemas import blame, in_short, ready
from .tools import Check, Offer, function_schema, offer_of, ready_tool, schema_place

__all__ = ["Plan", "plan", "supported"]

# How many tokens at the end of a prompt are looked at for an opened thought.
OPENING_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """One request's work, in the model's terms; the same for every backend.

    `prompt` are token ids, `limit` is the most tokens that one of the `choices` may take, `grammar` what
    llguidance holds the text to (None leaves it free), `prediction` the ids of the predicted text. `form`
    and `tools` say how calls are written, and of what; `thoughts` the tags of reasoning. `held` says that the
    answer is JSON or a call, in no other words. `constraint` is the grammar made ready, at the beginning of an
    answer: each choice goes its own way with a fork of it.
    """

    prompt: list[int]
    limit: int
    choices: int
    stops: tuple[str, ...]
    sampling: Sampling
    logprobs: bool
    top_logprobs: int
    grammar: str | None
    form: Form | None
    thoughts: Thoughts | None
    prediction: list[int] | None
    tools: Mapping[str, Carrier] = field(default_factory=dict)
    held: bool = False
    constraint: Constraint | None = None

    def reader(self) -> Reader:
        """A fresh reader, for one choice."""
        return Reader(self.form, self.tools, self.thoughts, held=self.held)


def plan(model: ChatModel, request: ChatRequest) -> Plan:
    """The plan of a request.

    Raises `BadRequestError`, with `param`, for what the model cannot honour, and `InternalServerError` with
    status 501 where that takes a package that is not installed.
    """
    offer = offer_of(request)
    if offer is not None and offer.mode != "not":
        _check_knows_tools(model, request)
    shown = offer.tools if offer is not None and offer.mode != "not" else {}
    prompt = model.prompts.write(
        request.messages, most=model.context, tools=shown, variables=_variables(model, request)
    )
    thoughts = _thoughts(model, prompt)
    unwanted = request.reasoning_effort == "none" or model.prompts.opens_thoughts
    silent = thoughts is not None and not thoughts.opened and unwanted
    calls, grammar = _held(model, request, offer, thoughts, silent=silent)
    reading = calls if calls is not None and calls.mode != "not" else None
    room = model.context - len(prompt)
    limit = request.token_limit
    return Plan(
        prompt=prompt,
        limit=room if limit is None else min(room, limit),
        choices=request.n or 1,
        stops=request.stops,
        sampling=Sampling.read(
            request,
            vocabulary=len(model.tokenizer),
            banned=_banned(model, request, reading, None if silent else thoughts),
        ),
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs or 0,
        grammar=grammar,
        form=reading.form if reading else None,
        thoughts=thoughts,
        prediction=_predicted(model, request),
        tools={tool.name: tool.carrier for tool in reading.tools} if reading else {},
        held=_wants_json(request) or (reading is not None and reading.mode == "must"),
        # Compiled here, where nobody else waits for it.
        constraint=None if grammar is None else model.constraints.begin(grammar),
    )


def _predicted(model: ChatModel, request: ChatRequest) -> list[int] | None:
    """The ids of the predicted output, as far as an answer could be as long."""
    if request.prediction is None:
        return None
    content = request.prediction.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    return model.tokenizer.encode(text[: model.context * model.tokenizer.longest])[: model.context]


# --- the template's variables ----------------------------------------------------------------------------

# What turns a model's thoughts on and off in the templates of those that can do without.
SWITCH = "enable_thinking"


def supported(model: ChatModel) -> frozenset[str]:
    """The parameters among `reasoning_effort` and `verbosity` that the model's template knows."""
    known = model.prompts.variables & {"reasoning_effort", "verbosity"}
    return known | {"reasoning_effort"} if SWITCH in model.prompts.variables else known


def _variables(model: ChatModel, request: ChatRequest) -> dict[str, Any]:
    known, effort = model.prompts.variables, request.reasoning_effort
    variables: dict[str, Any] = {}
    if request.verbosity is not None and "verbosity" in known:
        variables["verbosity"] = request.verbosity
    if effort is None:
        return variables
    if "reasoning_effort" in known:
        variables["reasoning_effort"] = effort
    elif SWITCH in known and effort not in ("none", "medium"):
        raise BadRequestError(
            "Invalid value for 'reasoning_effort': this model's thoughts are on ('medium') or off ('none').",
            param="reasoning_effort",
            code="unsupported_value",
        )
    if SWITCH in known:
        variables[SWITCH] = effort != "none"
    return variables


def _thoughts(model: ChatModel, prompt: list[int]) -> Thoughts | None:
    """The tags of the model's thoughts, with whether the prompt has opened them."""
    thoughts = model.prompts.thoughts
    if thoughts is None:
        return None
    end = model.tokenizer.decode(prompt[-OPENING_TOKENS:]).decode("utf-8", "replace")
    return replace(thoughts, opened=end.rstrip().endswith(thoughts.open))


# --- tools and formats -----------------------------------------------------------------------------------


class _Schema(NamedTuple):
    """A schema of the request, and where it stands, for when something turns out to be wrong with it."""

    schema: dict[str, Any]
    place: Place


def _check_knows_tools(model: ChatModel, request: ChatRequest) -> None:
    param = "functions" if request.functions else "tools"
    if "tools" not in model.prompts.variables:
        raise BadRequestError(
            f"This model knows no tools (its chat template has no place for them); leave '{param}' out, or "
            "take a model that was made for tools.",
            param=param,
            code="unsupported_parameter",
        )
    if model.prompts.form is None:
        raise BadRequestError(
            f"This model writes tool calls in a form that is not known here; leave '{param}' out, or take "
            "another model.",
            param=param,
            code="unsupported_parameter",
        )


def _held(
    model: ChatModel,
    request: ChatRequest,
    offer: Offer | None,
    thoughts: Thoughts | None,
    *,
    silent: bool,
) -> tuple[Calls | None, str | None]:
    """The calls that an answer may have, and the grammar that it is held to; `silent` forbids it thoughts."""
    if silent and thoughts is not None and thoughts.open in model.tokenizer.special:
        thoughts, silent = None, False  # the tag is a token, which is banned: that costs nothing
    schemas: list[_Schema] = []
    check = model.constraints.checking()
    answer = _answer(request, schemas)
    calls = _calls(model, offer, answer, schemas, check) if offer is not None else None
    grammar = compose(calls, answer, thoughts, model.tokenizer.structure, silent=silent)
    if grammar is not None and (words := check(grammar)):
        _blame(check, schemas, words, "response_format" if calls is None else "tools")
    return calls, grammar


def _wants_json(request: ChatRequest) -> bool:
    return isinstance(request.response_format, (JsonObjectFormat, JsonSchemaFormat))


def _answer(request: ChatRequest, schemas: list[_Schema]) -> str | None:
    """The rule of an answer that is JSON; None for one in any words."""
    wanted = request.response_format
    if isinstance(wanted, JsonObjectFormat):
        return json_rule(ANY_OBJECT)
    if not isinstance(wanted, JsonSchemaFormat):
        return None
    place = Place("response_format", "response_format.json_schema.schema")
    asked = wanted.json_schema.schema
    schema = ready(ANY_OBJECT if asked is None else asked, place)
    schemas.append(_Schema(schema, place))
    return json_rule(schema)


def _calls(
    model: ChatModel, offer: Offer, answer: str | None, schemas: list[_Schema], check: Check
) -> Calls | None:
    form = model.prompts.form
    if form is None:
        return None  # nobody calls anything, and nobody could tell
    if offer.mode == "not":
        tools = [Offered(tool.name, "raw", "") for tool in offer.tools.values()]
    else:
        tools = [ready_tool(path, tool, check) for path, tool in offer.tools.items()]
        schemas += [
            _Schema(function_schema(tool, path), schema_place(path))
            for path, tool in offer.tools.items()
            if isinstance(tool, FunctionTool)
        ]
    many = offer.many and not model.prompts.one_call
    return Calls(form if answer is None else form.only_marked(), tools, offer.mode, many)


def _blame(check: Check, schemas: list[_Schema], words: str, param: str) -> None:
    """Raise the error for a grammar that cannot be used: that of a schema, or of all together."""

    def wrong(schema: Mapping[str, Any]) -> str:
        """Nothing, too, for what there was no time to look at."""
        found = check(f"start: {json_rule(schema)}")
        return "" if found == TOO_COSTLY else found

    if words == TOO_COSTLY and len(schemas) == 1:
        schemas[0].place.refuse(f"the schema cannot be enforced: {words}.")
    for schema, place in schemas:
        if wrong(schema):
            blame(schema, place, wrong)
    raise BadRequestError(
        f"What '{param}' asks for is together more than can be enforced: {in_short(words)}", param=param
    )


def _banned(
    model: ChatModel, request: ChatRequest, calls: Calls | None, thoughts: Thoughts | None
) -> set[int]:
    """The tokens that are never picked: those that are no text, but for what calls and thoughts are told by.

    Where nothing is to be thought, the tag that thoughts begin with is among them. Where nothing may be called,
    what calls are told by is among them, even if it is text; but not in JSON,
    which a schema may have it in.
    """
    form, special = model.prompts.form, model.tokenizer.special
    banned = set(model.forbidden)
    if form is not None and not _wants_json(request):
        banned |= {special[mark] for mark in form.marked if mark in special}
    known = model.prompts.thoughts
    if thoughts is None and known is not None and known.open in special:
        banned.add(special[known.open])
    allowed = [thoughts.open, thoughts.close] if thoughts is not None else []
    if calls is not None:
        parts = (*calls.form.openings, calls.form.closing, calls.form.between, calls.form.tail)
        spelled = [*calls.form.marks, *(literal for part in parts for literal in literals(part))]
        allowed += [text for literal in spelled for text in model.tokenizer.spelled(literal)]
    return banned - {special[text] for text in allowed if text in special}
