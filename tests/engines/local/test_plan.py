"""What a request asks of a model: its tools and formats as a grammar and a reader, or a refusal by name."""

from __future__ import annotations

from typing import Any

import duologue_pocket
import pytest

from duologue.engines.local import constraint
from duologue.engines.local.model import Model
from duologue.engines.local.plan import Plan, plan, supported
from duologue.protocol.errors import BadRequestError, InternalServerError
from support.gguf_writer import tiny_model

LARK = 'start: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]+/'


def function(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def custom(name: str, syntax: str | None = None, definition: str = "") -> dict[str, Any]:
    tool: dict[str, Any] = {"name": name}
    if syntax:
        tool["format"] = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    return {"type": "custom", "custom": tool}


def named(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, kind: {"name": name}}


def allowed(mode: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


GET = function("get", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
ADD = function("add", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
TOOLS = [GET, ADD, custom("note"), custom("code", "regex", "[a-z]+"), custom("sum", "lark", LARK)]

CALLS = {
    "get": '{"name": "get", "arguments": {"city": "x"}}',
    "add": '{"name": "add", "arguments": {"n": 1}}',
    "note": '{"name": "note", "arguments": {"input": "any \\"text\\""}}',
    "code": '{"name": "code", "arguments": {"input": "abc"}}',
    "sum": '{"name": "sum", "arguments": 1+2}',
}
FORBIDDEN = {
    "an unknown tool": '{"name": "put", "arguments": {}}',
    "arguments that do not fit": '{"name": "add", "arguments": {"n": "1"}}',
    "no arguments": '{"name": "add", "arguments": {}}',
    "an expression that does not fit": '{"name": "code", "arguments": {"input": "a1"}}',
    "a grammar that does not fit": '{"name": "sum", "arguments": 1+}',
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Models of other styles, by name."""
    made: dict[str, Model] = {}

    def tiny(style: str) -> Model:
        if style not in made:
            made[style] = Model(tiny_model("llama", style=style).write(tmp_path_factory.mktemp("models")))
        return made[style]

    return tiny


@pytest.fixture
def planned(model, make_request):
    def planned(messages: Any = "Hello", *, by: Model = model, **parameters: Any) -> Plan:
        return plan(by, make_request(messages, **parameters))

    return planned


@pytest.fixture
def refusal(planned):
    def refusal(**parameters: Any) -> BadRequestError:
        with pytest.raises(BadRequestError) as caught:
            planned(**parameters)
        return caught.value

    return refusal


def call(text: str) -> str:
    return f"<tool_call>\n{text}\n</tool_call>"


def takes(model: Model, asked: Plan, text: str) -> bool:
    """Whether an answer that is held to the plan may be the text."""
    if asked.grammar is None:
        return True
    held = model.constraints.begin(asked.grammar)
    try:
        for token in model.tokenizer.encode(text):
            held.accept(token)
    except BadRequestError:
        return False
    return bool(held.allowed()[list(model.ends)].any())


def test_without_tools_and_formats_generation_is_free(planned, model):
    asked = planned()
    assert (asked.grammar, asked.form, asked.tools) == (None, None, {})
    assert model.tokenizer.special["<tool_call>"] in asked.sampling.banned
    assert planned(response_format={"type": "text"}).grammar is None


# By tool_choice: whether text may be the answer, the tools that may be called, and whether several times.
EVERY = tuple(CALLS)
CODE = named("custom", "code")
CHOICES: dict[str, tuple[Any, bool, tuple[str, ...], bool]] = {
    "none given": (None, True, EVERY, True),
    "auto": ("auto", True, EVERY, True),
    "none": ("none", True, (), False),
    "required": ("required", False, EVERY, True),
    "a function": (named("function", "add"), False, ("add",), False),
    "a custom tool": (CODE, False, ("code",), False),
    "allowed, auto": (allowed("auto", named("function", "get"), CODE), True, ("get", "code"), True),
    "allowed, required": (allowed("required", named("custom", "sum")), False, ("sum",), False),
}  # fmt: skip


@pytest.mark.parametrize(("choice", "text", "names", "many"), CHOICES.values(), ids=CHOICES)
def test_tool_choice(choice, text, names, many, planned, model):
    asked = planned(tools=TOOLS, tool_choice=choice)
    assert set(asked.tools) == set(names)
    assert takes(model, asked, "Hello there.") is text
    for name, said in CALLS.items():
        assert takes(model, asked, call(said)) is (name in names), name
    for wrong in FORBIDDEN.values():
        assert not takes(model, asked, call(wrong))
    assert takes(model, asked, f"Well. {call(CALLS['get'])}") is (text and "get" in names)
    first = names[0] if names else "get"
    assert takes(model, asked, f"{call(CALLS[first])}\n{call(CALLS[first])}") is many


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_not_parallel_is_one_call(choice, planned, model):
    asked = planned(tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
    assert takes(model, asked, call(CALLS["get"]))
    assert not takes(model, asked, f"{call(CALLS['get'])}\n{call(CALLS['add'])}")


def test_a_raw_text_ends_the_calls(planned, model):
    asked = planned(tools=TOOLS)
    assert takes(model, asked, f"{call(CALLS['get'])}\n{call(CALLS['sum'])}")
    assert not takes(model, asked, f"{call(CALLS['sum'])}\n{call(CALLS['get'])}")


def test_what_a_tool_choice_of_none_leaves_out_of_the_prompt(planned):
    plain = planned().prompt
    assert planned(tools=TOOLS, tool_choice="none").prompt == plain
    assert len(planned(tools=TOOLS).prompt) > len(plain) + 50
    assert planned(tools=TOOLS, tool_choice=named("function", "get")).prompt == planned(tools=[GET]).prompt


def test_a_model_that_may_not_call_never_writes_the_mark(planned, model):
    asked = planned(tools=TOOLS, tool_choice="none")
    assert not takes(model, asked, "a <tool_call> b")
    assert takes(model, asked, "a <tool> b")
    assert model.tokenizer.special["<tool_call>"] in asked.sampling.banned


def test_what_must_be_written_is_written_in_the_models_own_tokens(planned, model):
    """Its tags are single tokens."""
    asked = planned(tools=TOOLS, tool_choice="required")
    mark = model.tokenizer.special["<tool_call>"]
    held = model.constraints.begin(asked.grammar)
    assert set(held.allowed().nonzero()[0]) == {mark}
    assert mark not in asked.sampling.banned
    enum = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["<tool_call>"]}}}
    assert mark not in planned(response_format=enum).sampling.banned


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        pytest.param(
            {"response_format": {"type": "json_object"}}, '{"a": [1, {"b": null}]}', id="any object"
        ),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"enum": ["yes", "no"]}},
                }
            },
            '"yes"',
            id="a schema",
        ),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": {"const": 1}},
                }
            },
            "1",
            id="a strict one",
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "{}", id="no schema"
        ),
    ],
)
def test_response_format(parameters, answer, planned, model):
    alone = planned(**parameters)
    assert takes(model, alone, answer)
    assert not takes(model, alone, "Hello")
    assert not takes(model, alone, f" {answer}")
    beside = planned(tools=TOOLS, **parameters)
    assert takes(model, beside, answer)
    assert takes(model, beside, call(CALLS["get"]))
    assert not takes(model, beside, "Hello")
    forced = planned(tools=TOOLS, tool_choice="required", **parameters)
    assert not takes(model, forced, answer)
    never = planned(tools=TOOLS, tool_choice="none", **parameters)
    assert takes(model, never, answer)
    assert not takes(model, never, call(CALLS["get"]))


@pytest.mark.parametrize(
    ("choice", "text", "one"),
    [(None, True, True), ("auto", True, True), ("none", True, False), ({"name": "add"}, False, True)],
    ids=["none given", "auto", "none", "by name"],
)
def test_functions_are_tools_of_which_one_is_called(choice, text, one, planned, model):
    asked = planned(functions=[GET["function"], ADD["function"]], function_call=choice)
    assert takes(model, asked, "Hello") is text
    assert takes(model, asked, call(CALLS["add"])) is one
    assert not takes(model, asked, f"{call(CALLS['add'])}\n{call(CALLS['add'])}")


def test_a_function_without_parameters_is_given_nothing(planned, model):
    asked = planned(tools=[function("now")], tool_choice="required")
    assert takes(model, asked, call('{"name": "now", "arguments": {}}'))
    assert not takes(model, asked, call('{"name": "now", "arguments": {"a": 1}}'))


def test_arguments_are_an_object_even_where_the_schema_does_not_say_so(planned, model):
    asked = planned(tools=[function("f", {"properties": {"a": {}}})], tool_choice="required")
    assert takes(model, asked, call('{"name": "f", "arguments": {"a": 1}}'))
    assert not takes(model, asked, call('{"name": "f", "arguments": 1}'))


BAD = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a keyword in a format": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": BAD}}},
        "response_format",
        "response_format.json_schema.schema.properties.a.uniqueItems: the keyword 'uniqueItems'",
    ),
    "a keyword in a format that is not strict": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "string", "format": "?"}, "strict": False},
            }
        },
        "response_format",
        "schema.format: Unknown format",
    ),
    "a keyword in a tool": (
        {"tools": [GET, function("f", BAD)]},
        "tools[1].function.parameters",
        "tools[1].function.parameters.properties.a.uniqueItems",
    ),
    "a pattern in a tool": (
        {
            "tools": [
                function(
                    "f",
                    {"type": "object", "properties": {"a": {"pattern": "(", "type": "string"}}, "required": ["a"]},
                )
            ]
        },
        "tools[0].function.parameters",
        "parameters.properties.a.pattern: the keyword 'pattern' cannot be enforced as it is here: regex parse",
    ),
    "a keyword in a function": (
        {"functions": [{"name": "f", "parameters": BAD}]},
        "functions[0].parameters",
        "functions[0].parameters.properties.a.uniqueItems",
    ),
    "parameters that are no object": (
        {"tools": [function("f", {"type": "string"})]},
        "tools[0].function.parameters",
        "parameters.type: a function's parameters are an object",
    ),
    "a grammar that does not compile": (
        {"tools": [custom("f", "lark", "start: nobody")]},
        "tools[0].custom.format.grammar.definition",
        'unknown name: "nobody"',
    ),
    "a grammar that lets nothing be written": (
        {"tools": [custom("f", "lark", 'start: a\na: "x" a')]},
        "tools[0].custom.format.grammar.definition",
        "becomes too complex",
    ),
    "a grammar with a schema": (
        {"tools": [custom("f", "lark", 'start: %json {"x-guidance": {"lenient": true}}')]},
        "tools[0].custom.format.grammar.definition",
        "'%json'",
    ),
    "a grammar with a token": (
        {"tools": [custom("f", "lark", "start: /[<]/ <|im_end|>")]},
        "tools[0].custom.format.grammar.definition",
        "name tokens",
    ),
    "an expression with a control character": (
        {"tools": [custom("f", "regex", r"a\x01")]},
        "tools[0].custom.format.grammar.definition",
        "control characters",
    ),
    "a grammar that would break out": (
        {"tools": [custom("f", "lark", 'start: "a" }\nstart: "b"')]},
        "tools[0].custom.format.grammar.definition",
        "expecting",
    ),
    "an expression that does not compile": (
        {"tools": [custom("f", "regex", "[a")]},
        "tools[0].custom.format.grammar.definition",
        "unclosed character class",
    ),
    "an expression that would break out": (
        {"tools": [custom("f", "regex", "a)|(b")]},
        "tools[0].custom.format.grammar.definition",
        "unopened group",
    ),
    "two tools of one name": (
        {"tools": [GET, custom("get")]},
        "tools[1].custom.name",
        "another tool is called 'get', too",
    ),
    "too many tools": ({"tools": [function(f"f{i}") for i in range(129)]}, "tools", "there are 129"),
    "a choice of the wrong kind": (
        {"tools": [GET], "tool_choice": named("custom", "get")},
        "tool_choice",
        "no custom tool 'get'",
    ),
    "a choice of nobody": (
        {"tools": [GET], "tool_choice": named("function", "put")},
        "tool_choice",
        "no function tool 'put'",
    ),
    "allowed tools that are none": (
        {"tools": [GET], "tool_choice": allowed("auto")},
        "tool_choice.allowed_tools.tools",
        "names no tool",
    ),
    "allowed tools in another form": (
        {"tools": [GET], "tool_choice": allowed("auto", {"type": "function", "name": "get"})},
        "tool_choice.allowed_tools.tools[0]",
        "name a tool as in",
    ),
    "a function call of nobody": (
        {"functions": [GET["function"]], "function_call": {"name": "put"}},
        "function_call",
        "no function tool 'put'",
    ),
    "more than can be enforced at all": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"enum": ["a" * 600_000]}},
            }
        },
        "response_format",
        "larger than",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "param", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(parameters, param, words, refusal):
    error = refusal(**parameters)
    assert error.param == param
    assert words in str(error)


def test_a_model_without_a_place_for_tools_says_so(plan, tmp_path, planned, refusal):
    bare = Model(plan.write(tmp_path))
    for parameters, param in (({"tools": [GET]}, "tools"), ({"functions": [GET["function"]]}, "functions")):
        error = refusal(by=bare, **parameters)
        assert (error.param, error.code) == (param, "unsupported_parameter")
        assert "knows no tools" in str(error)
    assert planned(by=bare, tools=[GET], tool_choice="none").grammar is None


def test_a_model_whose_calls_nobody_can_read_says_so(plan, tmp_path, refusal):
    plan.metadata["tokenizer.chat_template"] += "{% if tools %}{{ tools }}{% endif %}"
    error = refusal(by=Model(plan.write(tmp_path)), tools=[GET])
    assert error.param == "tools"
    assert "form that is not known" in str(error)


def test_a_model_of_one_call_is_asked_for_one(tmp_path, planned):
    file = tiny_model("llama", style="llama3")
    file.metadata["tokenizer.chat_template"] += (
        "{% if 0 %}{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}"
    )
    single = Model(file.write(tmp_path))
    said = '{"name": "get", "parameters": {"city": "x"}}'
    asked = planned(by=single, tools=[GET], tool_choice="required")
    assert takes(single, asked, said)
    assert not takes(single, asked, f"{said}; {said}")


@pytest.mark.parametrize(
    ("style", "one", "two"),
    [
        pytest.param("llama3", '{"name": "get", "parameters": {"city": "x"}}', "; ", id="llama 3"),
        pytest.param(
            "mistral", '[TOOL_CALLS][{"name": "get", "arguments": {"city": "x"}}]', "", id="mistral"
        ),
    ],
)
def test_other_forms(style, one, two, tiny, planned):
    """Their marks are tokens of their own, which may be picked only where there is something to call."""
    by = tiny(style)
    asked = planned(by=by, tools=[GET])
    tokens = [
        token
        for part in by.tokenizer.split(f"{one}{two}{one}" if two else one)
        for token in ([part] if isinstance(part, int) else by.tokenizer.encode(part))
    ]
    held = by.constraints.begin(asked.grammar)
    for token in tokens:
        held.accept(token)
        assert token not in asked.sampling.banned
    for mark in asked.form.marked:
        assert by.tokenizer.special[mark] in planned(by=by).sampling.banned
        assert by.tokenizer.special[mark] in planned(by=by, tools=[GET], tool_choice="none").sampling.banned


# --- variables and thoughts ------------------------------------------------------------------------------


def test_what_the_template_knows_is_supported(model, tiny):
    assert supported(model) <= {"reasoning_effort", "verbosity"}
    assert supported(tiny("think")) == {"reasoning_effort", "verbosity"}
    assert supported(tiny("mistral")) == frozenset()


def test_efforts_stand_in_the_prompt(planned, tiny):
    by = tiny("think")

    def prompt(**parameters: Any) -> str:
        return by.tokenizer.decode(planned(by=by, **parameters).prompt).decode()

    assert "Reasoning" not in prompt()
    assert "Reasoning: high" in prompt(reasoning_effort="high")
    assert "Verbosity: low" in prompt(verbosity="low")
    assert prompt(reasoning_effort="none").endswith("<think>\n\n</think>\n\n")
    assert prompt().endswith("assistant\n")


def test_a_switch_is_not_taken_for_a_scale(plan, tmp_path, planned, refusal):
    plan.metadata["tokenizer.chat_template"] += "{% if enable_thinking %}on{% else %}off{% endif %}"
    by = Model(plan.write(tmp_path))
    assert supported(by) == {"reasoning_effort"}
    for effort, text in (("none", "off"), ("medium", "on")):
        assert by.tokenizer.decode(planned(by=by, reasoning_effort=effort).prompt).decode().endswith(text)
    assert refusal(by=by, reasoning_effort="high").param == "reasoning_effort"


def test_thoughts_that_the_prompt_opens(plan, tmp_path, planned):
    plan.metadata["tokenizer.chat_template"] += "<think>\n{# and then </think> #}"
    asked = planned(by=Model(plan.write(tmp_path)))
    assert asked.thoughts.opened
    (part,) = asked.reader().push("Hm")
    assert part.kind == "reasoning"


def test_thoughts_come_before_what_is_asked_for(planned, tiny):
    by = tiny("think")
    asked = planned(by=by, response_format={"type": "json_object"})
    assert takes(by, asked, "{}")
    assert takes(by, asked, "<think>\nHm {\n</think>\n\n{}")
    assert not takes(by, asked, "<think>\nHm")
    assert not takes(by, asked, "<think>Hm</think>Hello")


JSON_MODE = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("parameters", "content"),
    [
        ({}, "<thin"),
        ({"tools": TOOLS}, "<thin"),
        (JSON_MODE, ""),
        ({"tools": TOOLS, "tool_choice": "required"}, ""),
        ({"tools": TOOLS, **JSON_MODE}, ""),
    ],
    ids=["words", "words or calls", "JSON", "calls", "JSON or calls"],
)
def test_the_beginning_of_thoughts_is_content_where_words_may_be(planned, tiny, parameters, content):
    """An answer that is to be JSON or a call, and is cut off in a tag, says nothing yet."""
    reader = planned(by=tiny("think"), **parameters).reader()
    assert "".join(part.text for part in [*reader.push("<thin"), *reader.flush()]) == content


def test_the_reader_knows_the_plans_tools(planned):
    reader = planned(tools=TOOLS).reader()
    parts = reader.push(call(CALLS["code"])) + reader.flush()
    assert [(part.kind, part.text) for part in parts] == [("call", "code"), ("arguments", "abc")]
    (content,) = planned(tools=TOOLS, tool_choice="none").reader().push(call(CALLS["code"]))
    assert content.kind == "content"


def test_limits(planned, model):
    room = model.context - len(planned().prompt)
    assert planned().limit == room
    assert planned(max_completion_tokens=5).limit == 5
    assert planned(max_tokens=10**9).limit == room


def test_the_package_that_is_missing(model, make_request, monkeypatch):
    """What needs no grammar is planned all the same."""
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    fresh = Model(duologue_pocket.path())
    assert plan(fresh, make_request("Hello")).grammar is None
    for parameters in ({"tools": TOOLS}, {"response_format": {"type": "json_object"}}):
        with pytest.raises(InternalServerError, match="pip install llguidance"):
            plan(fresh, make_request("Hello", **parameters))


def test_a_grammar_that_never_compiles_is_refused_in_time(make_request, monkeypatch):
    monkeypatch.setattr(constraint, "MAX_CHECK_S", 0.2)
    endless = custom("f", "lark", "start: T\nT: /.*a.{20}/ & /.*b.{19}/ & ~/.*c.{18}/")
    fresh = Model(duologue_pocket.path())
    with pytest.raises(BadRequestError, match="too costly") as caught:
        plan(fresh, make_request("Hello", tools=[endless]))
    assert caught.value.param == "tools[0].custom.format.grammar.definition"
    monkeypatch.setattr(constraint, "MAX_CHECK_S", 0.001)
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": list(range(50_000))}}}
    with pytest.raises(BadRequestError, match="schema: the schema cannot be enforced: it is too costly"):
        plan(fresh, make_request("Hello", response_format=wanted))


def test_an_effort_of_none_lets_no_thought_begin(planned, tiny):
    by = tiny("think")
    opened = by.tokenizer.special["<think>"]
    assert opened in planned(by=by, reasoning_effort="none").sampling.banned
    assert opened not in planned(by=by, reasoning_effort="medium").sampling.banned
    asked = planned(by=by, reasoning_effort="none", response_format={"type": "json_object"})
    assert takes(by, asked, "{}")
    assert not takes(by, asked, "<think>\nHm {\n</think>\n\n{}")


@pytest.mark.parametrize("parameters", [{}, {"tools": TOOLS}], ids=["freely", "beside tools"])
def test_an_effort_of_none_keeps_a_tag_of_several_tokens_out(parameters, plan, tmp_path, planned):
    """At the beginning, where it would be one. Elsewhere it is text."""
    plan.metadata["tokenizer.chat_template"] += (
        "{{ reasoning_effort }}{# <think>, </think>, <tool_call> with arguments #}{{ tools }}"
    )
    plan.metadata["llama.context_length"] = 4096
    by = Model(plan.write(tmp_path))
    assert planned(by=by, reasoning_effort="high").grammar is None
    asked = planned(by=by, reasoning_effort="none", **parameters)
    for text in ("<think>Hm</think>Hello", "\n <think>", "<think>"):
        assert not takes(by, asked, text)
    for text in ("Hello", "", "<thin", "Say <think>."):
        assert takes(by, asked, text)
    assert takes(by, planned(by=by, reasoning_effort="high", tools=TOOLS), "<think>Hm</think>Hello")


def test_what_the_prompt_would_have_begun_the_answer_does_not(planned, model, tiny):
    """The template of the embedded model writes the tag where an effort is asked for."""
    opened = model.tokenizer.special["<think>"]
    assert opened in planned().sampling.banned
    asked = planned(reasoning_effort="high", response_format={"type": "json_object"})
    assert asked.thoughts.opened
    assert takes(model, asked, "Hm</think>{}")
    asked = planned(response_format={"type": "json_object"})
    assert takes(model, asked, "{}")
    assert not takes(model, asked, "<think>\nHm</think>{}")
    by = tiny("think")
    assert by.tokenizer.special["<think>"] not in planned(by=by).sampling.banned
