"""The dialogues that pocket learns from."""

from __future__ import annotations

import json
import re
from datetime import datetime
from operator import add, sub
from pathlib import Path

import pytest
from recipe import skills
from recipe.actions import ACTIONS, NOTES
from recipe.dialogue import LATER, Dialogue, dialogue
from recipe.extraction import extract
from recipe.faq import FACTS, faq
from recipe.fields import FIELDS
from recipe.lines import LINES
from recipe.marks import LIGHT, unmark
from recipe.reports import report
from recipe.systems import GIVEN
from recipe.tools import both, offer, others, twice
from recipe.trades import NUMBERS
from recipe.unknown import UNKNOWN, unknown
from recipe.voice import VALUES, Voice

from duologue.engines.local.template import ChatTemplate

MANY = 400
TEMPLATE = Path(__file__).parents[2] / "models/pocket/recipe/template.jinja"
JSON_TYPES = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
# Values of choices, which a text may mean by other words.
MEANT = {
    *re.findall(r"=([^{}]+)\}", "".join(LINES)),
    *(option for field in FIELDS.values() for option in field.options),
    *(meaning for action in (*ACTIONS, *NOTES) for meaning in action.meanings),
    *(option for action in (*ACTIONS, *NOTES) for field in action.values for option in field.options),
}
MEANT |= {style(value) for value in MEANT for style in (str.lower, str.upper, str.capitalize)}


def voices(name: str) -> list[Voice]:
    return [Voice(f"{name}-{index}") for index in range(MANY)]


def texts(made: Dialogue) -> list[str]:
    return [message["content"] for message in made.messages]


def test_a_seed_makes_a_dialogue():
    """The same one for the same seed, and others for others."""
    assert [dialogue(voice) for voice in voices("a")] == [dialogue(voice) for voice in voices("a")]
    assert len({json.dumps(texts(dialogue(voice))) for voice in voices("a")}) > 0.9 * MANY


@pytest.mark.parametrize("early", [True, False])
def test_a_dialogue_is_one_that_an_engine_may_be_sent(early):
    """It ends with an answer, answers what was said, and its tools have different names."""
    for voice in voices("dialogue"):
        made = dialogue(voice, early=early)
        roles = [message["role"] for message in made.messages]
        assert roles[-1] == "assistant"
        assert re.fullmatch(r"(system )?(user assistant (tool (tool )*assistant )?)+", " ".join(roles) + " ")
        names = [tool["function"]["name"] for tool in made.tools]
        assert len(set(names)) == len(names)


def test_no_place_of_a_form_is_left_open():
    """Whatever is to be filled into a form has been."""
    for voice in voices("forms"):
        for text in texts(dialogue(voice)):
            assert not re.search(r"\{(\w{1,2}|noun|verbs?|city|name|topic|\d+-\d+)\}|\\[ns]", text), text


def test_calls_are_what_the_tools_declare():
    """Every argument is declared, of its type, and one of the choices if there are any; none lacks."""
    for voice in voices("tools"):
        one = offer(voice)
        schema = one.tool["function"]["parameters"]
        assert set(schema["required"]) <= set(one.arguments) <= set(schema["properties"])
        for name, value in one.arguments.items():
            declared = schema["properties"][name]
            assert isinstance(value, JSON_TYPES[declared["type"]])
            assert value in declared.get("enum", [value])
            if isinstance(value, dict):
                assert list(value) == declared["required"] == list(declared["properties"])


def test_what_is_passed_to_a_tool_was_said():
    """A text among the arguments stands in the request, letter for letter, but for choices."""
    for voice in voices("tools"):
        one = offer(voice)
        assert all(stands(value, one.request) for value in leaves(one.arguments))


def test_what_may_be_left_out_is_shown_so():
    """Where a request says nothing of a parameter, the declaration marks it."""
    template, left_out = ChatTemplate(TEMPLATE.read_text("utf-8")), 0
    for voice in voices("optional"):
        one = offer(voice)
        prompt = template.render([], datetime.now(), tools=[one.tool["function"]])
        for name in one.tool["function"]["parameters"]["properties"]:
            if name not in one.arguments:
                assert re.search(rf"[(, {{]{re.escape(name)}\?: ", prompt)
                left_out += 1
    assert left_out > MANY // 10


def test_a_field_is_said_in_one_way_at_least():
    """Every choice that a field has can be said, by its name or by other words."""
    for field in FIELDS.values():
        assert field.said or {meaning for _, meaning in field.flags} >= set(field.options or (True, False))


def test_texts_and_requests_hold_what_their_actions_have():
    """Each is begun by its values alone, and all of one action hold the same."""
    for action in (*ACTIONS, *NOTES):
        for requests in action.requests:
            held = {frozenset(re.findall(r"\{(\d+)\}", request)) for request in requests}
            assert held == {frozenset(map(str, range(len(action.values))))}, action.names
        assert set(action.fields) <= {*FIELDS, "{w}"}, action.names


def test_other_tools_are_not_asked_for():
    """What tells the tool from those offered beside it is in the request, or they have nothing in common."""
    for voice in voices("others"):
        one = offer(voice)
        beside = others(voice, [one], 3)
        assert len({one.name, *(other.name for other in beside)}) == 1 + len(beside)
        about = [other for other in beside if one.trade.noun and other.trade.noun == one.trade.noun]
        assert not about or one.trade.cue in one.request.lower()


def test_two_tools_are_asked_for_one_value():
    for voice in voices("both"):
        (one, other), request = both(voice)
        assert one.name != other.name
        assert list(one.arguments.values()) == list(other.arguments.values())
        assert all(str(value) in request for value in one.arguments.values())


def test_two_calls_of_one_tool():
    made = [pair for voice in voices("twice") if (pair := twice(voice))]
    assert len(made) > MANY // 2
    for one, request, calls, results in made:
        assert len(calls) == len(results) >= 2
        assert {name for name, _ in calls} == {one.name}
        assert all(stands(value, request) for _, arguments in calls for value in leaves(arguments))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('{"temperature": 21, "sky": "clear"}', "The temperature is 21 and the sky is clear."),
        ('["a", "b", "c"]', "The results are a, b and c."),
        ("42", "The result is 42."),
        ("sent", "The result is: sent."),
        ('{"error": "not found"}', "The tool reported an error: not found."),
        ('{"ok": true}', "The ok is true."),
        ('{"at": {"city": "Oslo", "room": null}}', "The at is city Oslo and room unknown."),
        ('[{"a": 1}, {"a": 2}]', "The results are a 1; a 2."),
    ],
)
def test_what_is_said_to_a_result(result, said):
    assert report([result], ["x"]) == said


def test_two_results_are_told_apart():
    assert report(["1", "2"], ["Oslo", "Rome"]) == "Oslo: the result is 1. Rome: the result is 2."


def test_extraction_is_json_of_the_text():
    """The answer is one JSON object; what it holds stands in the text, was not said there, or is what it means."""
    for voice in voices("extract"):
        _, said, answer = extract(voice)
        record = json.loads(unmark(answer)[0])
        assert record
        assert all(stands(value, said) for value in leaves(record))


def stands(value, said):
    """Whether a text holds a value that is one; choices are left aside."""
    if not isinstance(value, str) or value in MEANT:
        return True
    forms = value, value.capitalize(), value.lower()
    return any(form in said or form in said.replace(",", "") for form in forms)


def leaves(value):
    """All values in JSON that are no array and no object."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if inner is None else [leaf for part in inner for leaf in leaves(part)]


def test_keys_are_marked_where_the_text_does_not_name_them():
    """So is everything else that a schema dictates: braces, the quotation mark that opens a text."""
    answers = [answer for voice in voices("extract") if LIGHT in (answer := extract(voice)[2])]
    assert 0.3 * MANY < len(answers) < 0.6 * MANY
    for answer in answers:
        text, spans = unmark(answer)
        marked = "".join(text[low:high] for low, high, _ in spans)
        assert re.findall(r'"(\w+)":', marked) == re.findall(r'"(\w+)": ', text)


def test_sums_are_right():
    for voice in voices("sums"):
        _, answer = skills.arithmetic(voice)
        term, result = re.fullmatch(r"(\d+ [+-] \d+|\d+ \+ \d+ \+ \d+) = (-?\d+)", answer).groups()
        first, *rest = re.findall(r"[+-]?\d+", term.replace(" ", ""))
        assert int(first) + sum(map(int, rest)) == int(result)


def test_thoughts_about_sums_are_right():
    """Each step of them."""
    for a in range(60):
        for b in range(60):
            for sign in "+-":
                for step in skills.thought(a, b, sign).split(", "):
                    term, result = step.split(" = ")
                    left, operator, right = term.split(" ")
                    assert {"+": add, "-": sub}[operator](int(left), int(right)) == int(result)


def test_what_is_repeated_was_said():
    for voice in voices("repeat"):
        said, answer = skills.repeat(voice)
        assert answer in said or set(answer.split()) <= set(re.findall(r"[^\s\"'“”`.,!]+", said))


def test_what_is_asked_of_a_system_prompt_stands_there():
    """Every name, number and word of the answer that was drawn; so no answer has to be guessed."""
    for given in GIVEN:
        drawn = set(re.findall(r"{.+?}", given["answer"]))
        assert drawn
        assert all(drawn <= set(re.findall(r"{.+?}", told)) for told in given["told"])
        assert all(set(re.findall(r"{.+?}", asked)) <= drawn | {"{nouns}"} for asked in given["asked"])


def test_every_fact_can_be_asked_after():
    """There are phrases for each, and the short answer begins the long one."""
    for fact in FACTS:
        assert fact.about or fact.do or fact.ask or fact.parameter
        assert fact.answer.startswith(fact.brief[:-1])
        assert all(fact.asked(voice) for voice in voices("faq")[:5])
    assert len({fact.answer for fact in FACTS}) == len(FACTS)


@pytest.mark.parametrize(("verbosity", "compare"), [("low", "__le__"), ("high", "__ge__")])
def test_verbosity_changes_the_length(verbosity, compare):
    lengths = [(len(faq(Voice(i), verbosity)[1]), len(faq(Voice(i))[1])) for i in range(100)]
    assert all(getattr(changed, compare)(plain) for changed, plain in lengths)
    assert any(changed != plain for changed, plain in lengths)


def test_the_unknown_is_admitted():
    asked = [unknown(voice) for voice in voices("unknown")]
    assert {answer for _, answer in asked} == {UNKNOWN}
    assert len({question for question, _ in asked}) > 0.95 * MANY


@pytest.mark.parametrize("kind", [*VALUES, "cities", "3-7", "this|that"])
def test_values_are_drawn_by_kind(kind):
    drawn = {Voice(index).value(kind) for index in range(60)}
    assert len(drawn) > 1
    assert all(drawn)


def test_every_skill_has_its_share():
    assert set(LATER) >= {"faq", "unknown", "arithmetic", "repeat", "extract", "tools", "system"}
    assert all(low <= high for low, high in NUMBERS.values())
