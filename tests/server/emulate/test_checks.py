"""Tool calls and forms: a choice is held back until it is what was asked for."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import pytest

from duologue import AsyncClient, InternalServerError, as_engine, create_app, user_message
from duologue.engine import Finish, Refusal, Text, ToolArguments, ToolCall
from support.emulated import both, post, yielding

TOOLS = [
    {"type": "function", "function": {"name": "f"}},
    {"type": "function", "function": {"name": "g"}},
    {"type": "custom", "custom": {"name": "c"}},
]
F = [ToolCall("f"), ToolArguments("{}")]
G = [ToolCall("g", index=1), ToolArguments("{}", index=1)]
C = [ToolCall("c", type="custom"), ToolArguments("x")]
NAMED_F = {"type": "function", "function": {"name": "f"}}
NAMED_C = {"type": "custom", "custom": {"name": "c"}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


PASSES = [
    pytest.param(F, "required", id="required, and called"),
    pytest.param(["text ", *F], "required", id="required, after some text"),
    pytest.param(["text"], "none", id="none, and not called"),
    pytest.param(F, NAMED_F, id="the named function"),
    pytest.param(C, NAMED_C, id="the named custom tool"),
    pytest.param(F, allowed("auto", "f"), id="an allowed one"),
    pytest.param(["text"], allowed("auto", "f"), id="allowed, and not called"),
    pytest.param(F, allowed("required", "f", "g"), id="required of the allowed"),
    pytest.param(["text", Finish("length")], "required", id="cut before it could be called"),
]
FAILS = [
    pytest.param(["text"], "required", id="required, and not called"),
    pytest.param(F, "none", id="none, and called"),
    pytest.param(["text"], NAMED_F, id="named, and not called"),
    pytest.param(F + G, NAMED_F, id="another than the named as well"),
    pytest.param([ToolCall("c")], NAMED_C, id="a function of the custom tool's name"),
    pytest.param(F, allowed("auto", "g"), id="not an allowed one"),
    pytest.param(["text"], allowed("required", "f"), id="required of the allowed, and not called"),
    pytest.param([ToolCall("h")], "required", id="one that was not offered"),
    pytest.param([ToolCall("f"), Finish("length")], "none", id="none, and called before it was cut"),
]


@pytest.mark.parametrize(("pieces", "choice"), PASSES)
def test_tool_choice_passes(pieces, choice):
    """Both modes say the same."""
    both(yielding(*pieces), native=["tools"], tools=TOOLS, tool_choice=choice)


def invalid(engine: Any, **fields: Any) -> str:
    """The message of the error that the request is answered with, which is the same in both modes."""
    answers = [post(engine, stream=stream, **fields) for stream in (False, True)]
    assert [status for status, _, _ in answers] == [502, 502]
    errors = [json.loads(body)["error"] for _, _, body in answers]
    assert errors[0] == errors[1]
    assert errors[0]["code"] == "engine_output_invalid"
    message: str = errors[0]["message"]
    return message


@pytest.mark.parametrize(("pieces", "choice"), FAILS)
def test_tool_choice_fails(pieces, choice):
    """After three runs, as a status: nothing had gone out."""
    assert "tool" in invalid(yielding(*pieces), native=["tools"], tools=TOOLS, tool_choice=choice)


def test_one_call_at_a_time():
    """Two are an error; one is none, nor are none."""
    asked = {"native": ["tools"], "tools": TOOLS, "parallel_tool_calls": False}
    assert "'parallel_tool_calls' is false" in invalid(yielding(*F, *G), **asked)
    assert both(yielding(*F), **asked).choices[0]["calls"] == [["f", "{}"]]
    assert both(yielding("text"), **asked).text == "text"


@pytest.mark.parametrize(
    "asked",
    [{"tool_choice": "required"}, {"parallel_tool_calls": False}],
    ids=lambda asked: next(iter(asked)),
)
def test_what_is_about_tools_needs_an_engine_that_knows_them(asked):
    """It is refused, not emulated over an engine that never calls any; lenient drops it with the tools."""
    status, _, body = post(yielding("text"), tools=TOOLS, **asked)
    assert (status, json.loads(body)["error"]["code"]) == (400, "unsupported_parameter")
    status, headers, _ = post(yielding("text"), tools=TOOLS, profile="lenient", **asked)
    assert status == 200
    assert set(headers["duologue-ignored-params"].split(", ")) == {*asked, "tools"}


OBJECT = {"type": "json_object"}


def schema(**keywords: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": keywords}}


POINT = schema(
    type="object",
    properties={"x": {"type": "integer"}, "next": {"$ref": "#"}},
    required=["x"],
    additionalProperties=False,
)


@pytest.mark.parametrize(
    ("pieces", "form"),
    [
        pytest.param(['{"a"', ": 1}"], OBJECT, id="an object"),
        pytest.param([' {"a": 1}\n'], OBJECT, id="an object and white space"),
        pytest.param(['{"x": 1, "next": {"x": 2}}'], POINT, id="by the schema"),
        pytest.param(["[1]"], {"type": "json_schema", "json_schema": {"name": "x"}}, id="no schema"),
        pytest.param(['{"pattern": 1}'], schema(properties={"pattern": {}}), id="a property named pattern"),
        pytest.param(['"pattern"'], schema(enum=["pattern", {"format": 1}]), id="a value with such a name"),
        pytest.param([Refusal("no")], POINT, id="a refusal in its place"),
        pytest.param(["{", Finish("length")], OBJECT, id="cut by the engine"),
        pytest.param(["{", Finish("content_filter")], OBJECT, id="filtered"),
    ],
)
def test_a_form_passes(pieces, form):
    """The text is as the engine made it."""
    said = both(yielding(*pieces), response_format=form)
    assert said.text == "".join(piece for piece in pieces if isinstance(piece, str))


def test_a_call_in_place_of_the_text_passes():
    """The form is that of the text."""
    both(yielding(*F), native=["tools"], tools=TOOLS, response_format=OBJECT)


def test_what_the_limit_cut_passes():
    """It cannot be whole."""
    said = both(yielding('{"a": 1}'), response_format=OBJECT, max_tokens=1)
    assert (said.text, said.reason) == ('{"a"', "length")


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        pytest.param("[1]", OBJECT, "is no object", id="a list"),
        pytest.param("", OBJECT, "is not JSON", id="nothing"),
        pytest.param('{"a": 1', OBJECT, "is not JSON", id="not whole"),
        pytest.param('{"a": 1} ok', OBJECT, "is not JSON", id="more than JSON"),
        pytest.param('{"a": NaN}', OBJECT, "is not JSON", id="NaN"),
        pytest.param("[" * 100_000, OBJECT, "nested too deeply", id="deeply nested"),
        pytest.param('{"x": "1"}', POINT, "at $.x", id="a wrong type"),
        pytest.param('{"x": 1, "next": {"y": 2}}', POINT, "at $.next", id="wrong inside"),
        pytest.param("{}", POINT, "'x' is a required property", id="missing"),
        pytest.param("1" + "0" * 400, schema(multipleOf=0.1), "a number that cannot", id="a huge number"),
    ],
)
def test_a_form_fails(text, form, words):
    """The error says what is wrong, and where."""
    assert words in invalid(yielding(text), response_format=form)


# What cannot be judged, the path of it in the schema, and what is said.
UNFIT = {
    "a pattern": ({"pattern": "(a+)+$"}, ".pattern", "'pattern'"),
    "a format": ({"items": {"format": "date"}}, ".items.format", "'format'"),
    "unique items": ({"items": {"uniqueItems": True}}, ".items.uniqueItems", "'uniqueItems'"),
    "an id": ({"anyOf": [{}, {"$id": "http://x"}]}, ".anyOf[1].$id", "'$id'"),
    "another dialect inside": ({"items": {"$schema": "x"}}, ".items.$schema", "'$schema'"),
    "another document": ({"$ref": "http://127.0.0.1:9/x"}, ".$ref", "another document"),
    "a reference to nothing": ({"$ref": "#/$defs/x"}, ".$ref", "leads nowhere"),
    "a reference to no anchor": ({"items": {"$ref": "#x"}}, ".items.$ref", "leads nowhere"),
    "a wrong reference that no text comes to": (
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"c": {}}},
        ".properties.a.$ref",
        "'#/$defs/b' leads nowhere",
    ),
    "a reference to a reference to nothing": (
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/c"}}},
        ".$defs.b.$ref",
        "'#/$defs/c' leads nowhere",
    ),
    "a reference to a text": ({"$ref": "#/title", "title": "x"}, ".$ref", "no schema"),
    "a reference to what was not checked": (
        {"$ref": "#/enum/0", "enum": [{"pattern": "(a+)+$"}]},
        ".$ref",
        "no schema",
    ),
    "a reference to the properties": (
        {"$ref": "#/properties", "properties": {"pattern": {}}},
        ".$ref",
        "no schema",
    ),
    "a reference to itself": ({"$ref": "#"}, ".$ref", "in a circle"),
    "references in a circle": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        ".$defs.b.$ref",
        "in a circle",
    ),
    "no schema": ({"properties": {"a": {"type": "integr"}}}, ".properties.a.type", "'integr'"),
    "too large": ({"$defs": {str(i): {} for i in range(3000)}}, "", "parts"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_schema_that_cannot_be_judged_is_refused(case):
    """With a 400 that says where and why, before any run; lenient drops the parameter and names it."""
    keywords, path, words = UNFIT[case]
    asked: list[Any] = []

    async def engine(request):
        asked.append(request.response_format)
        yield "{}"

    status, _, body = post(engine, response_format=schema(**keywords))
    error = json.loads(body)["error"]
    assert (status, error["param"]) == (400, f"response_format.json_schema.schema{path}")
    assert error["code"] == "invalid_json_schema"
    assert words in error["message"]
    assert asked == []
    status, headers, _ = post(engine, response_format=schema(**keywords), profile="lenient")
    assert (status, headers["duologue-ignored-params"]) == (200, "response_format")
    assert asked == [None]


def test_references_that_lead_somewhere_pass():
    """To a definition, to an anchor, to the whole, through another one, and a property of that name."""
    tree = {
        "type": "object",
        "properties": {
            "left": {"$ref": "#"},
            "name": {"$ref": "#/$defs/a~1b"},
            "tag": {"$ref": "#tag"},
            "$ref": {"type": "string"},
        },
        "$defs": {
            "a/b": {"$ref": "#/$defs/text"},
            "text": {"type": "string"},
            "t": {"$anchor": "tag", "type": "integer"},
        },
    }
    good = '{"left": {"name": "x", "tag": 1}, "$ref": "#/nowhere"}'
    assert both(yielding(good), response_format=schema(**tree)).text == good
    assert "at $.left.tag" in invalid(yielding('{"left": {"tag": "x"}}'), response_format=schema(**tree))


def test_a_judgement_is_bounded():
    """A schema whose references multiply cannot keep the server busy."""
    definitions = {
        str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}, {"$ref": f"#/$defs/{i + 1}"}]} for i in range(30)
    }
    form = schema(**{"$defs": {**definitions, "30": {"type": "object"}}, "$ref": "#/$defs/0"})
    assert "steps to be judged" in invalid(yielding("{}"), response_format=form)


async def test_who_is_judged_holds_up_nobody():
    """The schema is looked at, and the text judged by it, while the event loop has its turns."""
    definitions = {
        str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}, {"$ref": f"#/$defs/{i + 1}"}]} for i in range(30)
    }
    wide = {f"p{i}": {"type": "string"} for i in range(600)}
    form = schema(**{"$defs": {**definitions, "30": {"properties": wide}}, "$ref": "#/$defs/0"})
    app = create_app(as_engine(yielding("{}"), model="m"), allowed_hosts=["*"])
    async with AsyncClient(app=app, max_retries=0) as client:
        asked = asyncio.ensure_future(
            client.chat.completions.create(
                model="m", messages=[user_message("Hi")], response_format=cast("Any", form)
            )
        )
        longest = 0.0
        while not asked.done():
            begun = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - begun)
        with pytest.raises(InternalServerError, match="steps to be judged"):
            await asked
    assert longest < 0.15  # of the loop's own thread; a judgement takes more


def test_schemas_are_prepared_once_and_a_bounded_number_is_kept():
    """Requests that come with the same schema do not pay for it again; the verdict is the same."""
    from duologue.server.emulate import form

    wanted = schema(type="object", required=["a"])
    for _ in range(2):
        assert "'a' is a required property" in invalid(yielding("{}"), response_format=wanted)
        assert both(yielding('{"a": 1}'), response_format=wanted).text == '{"a": 1}'
    for size in range(form.MAX_KEPT + 9):
        both(yielding("{}"), response_format=schema(type="object", maxProperties=size))
    both(yielding("{}"), response_format=schema(type="object", description="x" * form.MAX_KEPT_BYTES))
    assert len(form._kept) == form.MAX_KEPT
    assert all(len(written) <= form.MAX_KEPT_BYTES for written in form._kept)


def test_without_jsonschema_a_schema_is_a_clear_error(monkeypatch):
    """It says what to install."""
    from duologue.server.emulate import form

    monkeypatch.setitem(sys.modules, "jsonschema", None)
    form._validators.cache_clear()
    try:
        never_seen = schema(type="object", description="of this test alone")
        status, _, body = post(yielding("{}"), response_format=never_seen)
    finally:
        form._validators.cache_clear()
    assert (status, json.loads(body)["error"]["code"]) == (501, "schemas_unavailable")
    assert both(yielding("{}"), response_format=OBJECT).text == "{}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("good", "status"), [(0, 200), (1, 200), (2, 200), (3, 502)])
def test_up_to_two_further_runs(good, status, stream):
    """Each counts in the usage, and nothing of those that failed is seen."""
    runs: list[Any] = []

    async def engine(request):
        runs.append(request)
        yield Text('{"a": 1}' if len(runs) > good else "nope", tokens=5)

    found, _, body = post(engine, response_format=OBJECT, stream=stream, stream_options=None)
    assert (found, len(runs)) == (status, min(good + 1, 3))
    assert (b"nope" in body) is False
    if status == 200 and not stream:
        assert json.loads(body)["usage"]["completion_tokens"] == 5 * (good + 1)


def test_each_run_has_a_seed_of_its_own():
    """Else an engine that honours the seed would fail three times in the same way. No two choices share one."""
    first = 2**63 - 3
    numbers: list[int] = []

    async def engine(request):
        number = (request.seed - first) % 2**64  # they go round at the end of their range
        numbers.append(number)
        yield json.dumps({"run": number}) if number >= 4 else "nope"

    said = both(engine, response_format=OBJECT, n=2, seed=first)
    assert [choice["content"] for choice in said.choices] == ['{"run": 4}', '{"run": 5}']
    assert sorted(numbers) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_without_a_seed_none_is_made():
    """A further run is left to the engine's own chance."""
    seeds: list[Any] = []

    async def engine(request):
        seeds.append(request.seed)
        yield "nope"

    invalid(engine, response_format=OBJECT)
    assert seeds == [None] * 6


def test_a_stream_is_held_back_and_then_whole():
    """In the pieces that the engine made."""
    _, _, body = post(yielding('{"a"', ": 1}"), response_format=OBJECT, stream=True)
    assert body.count(b'"delta":{"content":') == 2


FUNCTIONS = [{"name": "f", "parameters": {"type": "object"}}]


def test_functions_are_handed_over_as_tools():
    """And the calls come back in the old form, messages of the past included."""
    seen: list[Any] = []

    async def engine(request):
        seen.append(request)
        for piece in F:
            yield piece

    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
    ]
    said = both(engine, native=["tools"], functions=FUNCTIONS, function_call={"name": "f"}, messages=messages)
    assert said.choices[0]["function_call"] == {"name": "f", "arguments": "{}"}
    assert said.reason == "function_call"
    request = seen[0]
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.tools[0].function.parameters == {"type": "object"}
    assert (request.functions, request.function_call) == (None, None)
    assert request.tool_choice.function.name == "f"
    assert request.messages[1].tool_calls[0].id == request.messages[2].tool_call_id
    assert request.messages[2].text == "42"


def test_a_function_call_is_checked_as_a_tool_choice_is():
    """It must come where it is asked for, not where it is forbidden, and be of a function that is there."""
    asked = {"native": ["tools"], "functions": FUNCTIONS}
    assert "no tool call" in invalid(yielding("text"), function_call={"name": "f"}, **asked)
    assert "does not allow" in invalid(yielding(*F), function_call="none", **asked)
    status, _, body = post(yielding(*F), function_call={"name": "g"}, **asked)
    assert (status, json.loads(body)["error"]["param"]) == (400, "function_call.name")
