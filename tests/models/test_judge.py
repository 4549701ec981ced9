"""The judge of the held-out prompts, and that each prompt can be met and failed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

EVAL = Path(__file__).resolve().parents[2] / "models" / "pocket" / "eval"
COUNTS = {
    "tools": 60, "json": 40, "repeat": 40, "faq": 60, "arithmetic": 40, "unknown": 40, "system": 20, "count": 15,
    "greet": 15,
}  # fmt: skip
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool}


def load_judge():
    spec = importlib.util.spec_from_file_location("pocket_judge", EVAL / "judge.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.judge


judge = load_judge()


def cases(skill):
    return [json.loads(line) for line in (EVAL / f"{skill}.jsonl").read_text(encoding="utf-8").splitlines()]


EVERY = [pytest.param(case, id=f"{skill}-{i}") for skill in COUNTS for i, case in enumerate(cases(skill), 1)]


def calling(*calls, content=None):
    calls = [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for i, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def saying(text):
    return {"role": "assistant", "content": text}


LIFT = {"calls": [{"name": "lift", "arguments": {"to": "B", "fast": True, "kg": 5}}]}
TWO = {"calls": [{"name": "a", "arguments": {"n": 1}}, {"name": "a", "arguments": {"n": 2}}]}
RIGHT = {"to": "B", "fast": True, "kg": 5}


@pytest.mark.parametrize(
    ("expect", "message", "met"),
    [
        pytest.param(LIFT, calling(("lift", RIGHT)), True, id="call"),
        pytest.param(LIFT, calling(("lift", RIGHT | {"to": " b", "kg": 5.0})), True, id="call-loosely-equal"),
        pytest.param(LIFT, calling(("lift", RIGHT | {"fast": 1})), False, id="call-one-is-not-true"),
        pytest.param(LIFT, calling(("lift", RIGHT | {"kg": "5"})), False, id="call-string-is-not-number"),
        pytest.param(LIFT, calling(("lift", RIGHT | {"more": 1})), False, id="call-extra-argument"),
        pytest.param(LIFT, calling(("lower", RIGHT)), False, id="call-other-name"),
        pytest.param(LIFT, calling(("lift", RIGHT), ("lift", RIGHT)), False, id="call-twice"),
        pytest.param(LIFT, saying("lift"), False, id="call-missing"),
        pytest.param(LIFT, saying(None), False, id="call-nothing"),
        pytest.param(TWO, calling(("a", {"n": 2}), ("a", {"n": 1})), True, id="parallel-any-order"),
        pytest.param(TWO, calling(("a", {"n": 1}), ("a", {"n": 1})), False, id="parallel-same-twice"),
        pytest.param({"no_call": True}, saying("Hello!"), True, id="no-call"),
        pytest.param({"no_call": True}, saying(""), False, id="no-call-no-text"),
        pytest.param({"no_call": True}, calling(("a", {}), content="Hello!"), False, id="no-call-called"),
        pytest.param({"contains": ["4.7"], "no_call": True}, saying("It weighs 4.7kg."), True, id="contains"),
        pytest.param({"contains": ["24", "13"]}, saying("24 °C"), False, id="contains-one-missing"),
        pytest.param({"contains": ["3"]}, saying("31"), False, id="contains-number-goes-on"),
        pytest.param(
            {"contains_any": [["repeat"], ["no", "yes"]]}, saying("Yes: repeated"), True, id="any-of-each"
        ),
        pytest.param(
            {"contains_any": [["no"]]}, saying("I do not know."), False, id="any-short-word-is-whole"
        ),
        pytest.param(
            {"contains_any": [["--port"]]}, saying("Use `duologue serve --port 9`."), True, id="any-option"
        ),
        pytest.param({"json": {"a": 1, "b": ["X"]}}, saying(' {"b": ["x"], "a": 1.0}\n'), True, id="json"),
        pytest.param({"json": {"a": {"any_of": [6, "6"]}}}, saying('{"a": "6"}'), True, id="json-any-of"),
        pytest.param({"json": {"a": 1}}, saying('{"a": 1, "b": 2}'), False, id="json-extra-field"),
        pytest.param({"json": {"a": 1}}, saying('Here: {"a": 1}'), False, id="json-with-prose"),
        pytest.param({"equals": "good day"}, saying(" “Good  day.”\n"), True, id="equals"),
        pytest.param({"equals": "good day"}, saying("'good day'."), True, id="equals-stop-outside"),
        pytest.param({"equals": "good day"}, saying("You said good day"), False, id="equals-more"),
        pytest.param({"exact": "xK9"}, saying("`xK9`"), True, id="exact"),
        pytest.param({"exact": "xK9"}, saying("xk9"), False, id="exact-case"),
        pytest.param({"one_of": ["yes", "no"]}, saying("Yes."), True, id="one-of"),
        pytest.param({"number": 7}, saying("3 + 4 = 7."), True, id="number-last"),
        pytest.param({"number": 7}, saying("The answer is seven."), True, id="number-spelled"),
        pytest.param({"number": 2}, saying("5-3=2"), True, id="number-no-space"),
        pytest.param({"number": 7}, saying("It is -7"), False, id="number-negative"),
        pytest.param({"number": 7}, saying("It is 17"), False, id="number-longer"),
        pytest.param({"number": 5}, saying("It is twenty-five."), False, id="number-spelled-longer"),
        pytest.param({"number": 7}, saying("many"), False, id="number-none"),
        pytest.param({"sequence": [3, 2, 1]}, saying("Three, two, one."), True, id="sequence-spelled"),
        pytest.param(
            {"sequence": [1, 2, 3]}, saying("From 1 to 3: 1, 2, 3"), True, id="sequence-after-colon"
        ),
        pytest.param({"sequence": [1, 2, 3]}, saying("1...2...3"), True, id="sequence-dots"),
        pytest.param({"sequence": [1, 2, 3]}, saying("1, 2, 3, 4"), False, id="sequence-too-far"),
        pytest.param({"admits": True}, saying("Sorry, I don\u2019t know that."), True, id="admits"),
        pytest.param({"admits": True}, saying("It is Paris."), False, id="admits-not"),
        pytest.param({"starts_with": "sure thing"}, saying("Sure thing! 1"), True, id="starts"),
        pytest.param({"ends_with": "over"}, saying("Hello. Over."), True, id="ends"),
        pytest.param({"ends_with": "!"}, saying("Hello."), False, id="ends-not"),
        pytest.param({"upper": True}, saying("HELLO, 5!"), True, id="upper"),
        pytest.param({"upper": True}, saying("Hello"), False, id="upper-not"),
        pytest.param({"lower": True}, saying("hello."), True, id="lower"),
        pytest.param({"max_words": 1}, saying("Fine."), True, id="words"),
        pytest.param({"max_words": 2}, saying("I am fine"), False, id="words-too-many"),
    ],
)
def test_condition(expect, message, met):
    """Each condition is met by what its rule allows, and by nothing else."""
    assert judge({"expect": expect}, message) is met


def test_unknown_condition_raises():
    """A misspelled condition is an error, not a pass."""
    with pytest.raises(KeyError, match="contians"):
        judge({"expect": {"contians": ["a"]}}, saying("a"))


def first(value):
    """One right value for what a case expects."""
    if isinstance(value, dict):
        return (
            first(value["any_of"][0])
            if value.keys() == {"any_of"}
            else {k: first(v) for k, v in value.items()}
        )
    return [first(item) for item in value] if isinstance(value, list) else value


WRITE = {
    "no_call": lambda wanted: "",
    "contains": " ".join,
    "contains_any": lambda wanted: " ".join(words[0] for words in wanted),
    "json": lambda wanted: json.dumps(first(wanted)),
    "equals": str,
    "exact": str,
    "one_of": lambda wanted: wanted[0],
    "number": lambda wanted: f"It is {wanted}.",
    "sequence": lambda wanted: ", ".join(map(str, wanted)),
    "admits": lambda wanted: "I cannot do that.",
    "starts_with": str,
    "ends_with": lambda wanted: f"Good day {wanted}",
    "upper": lambda wanted: "YES",
    "lower": lambda wanted: "yes",
    "max_words": lambda wanted: "yes",
}


@pytest.mark.parametrize("case", EVERY)
def test_case_can_be_met_and_failed(case):
    """The answer that a case describes passes; silence, and a call of a function that is not there, do not."""
    expect = case["expect"]
    if "calls" in expect:
        right = calling(*((call["name"], first(call["arguments"])) for call in expect["calls"]))
    else:
        right = saying(" ".join(WRITE[name](wanted) for name, wanted in expect.items()).strip() or "Hello.")
    assert judge(case, right)
    assert not judge(case, saying(None))
    assert not judge(case, calling(("no_such_function", {})))


@pytest.mark.parametrize(("skill", "count"), COUNTS.items())
def test_file_is_whole(skill, count):
    """A file has its cases, each asked once and ending where the model speaks."""
    asked = [json.dumps(case["messages"]) for case in cases(skill)]
    assert len(asked) == len(set(asked)) == count
    assert all(case["messages"][-1]["role"] in ("user", "tool") for case in cases(skill))


@pytest.mark.parametrize("case", cases("tools"), ids=lambda case: case["messages"][0]["content"][:30])
def test_expected_calls_fit_their_tools(case):
    """What is expected is offered: the function, its required parameters, and their types and enums."""
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in case["tools"]}
    for call in case["expect"].get("calls", []):
        schema = offered[call["name"]]
        assert set(schema.get("required", [])) <= set(call["arguments"]) <= set(schema["properties"])
        for name, value in first(call["arguments"]).items():
            rule = schema["properties"][name]
            assert isinstance(value, TYPES[rule["type"]])
            assert isinstance(value, bool) == (rule["type"] == "boolean")
            assert value in rule.get("enum", [value])
