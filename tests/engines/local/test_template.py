"""Chat templates: what they find, what they are kept from, and what they say about the model."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jinja2
import pytest

from duologue.engines.local.template import MAX_REPEATED, MAX_WRITTEN, ChatTemplate
from duologue.protocol.errors import BadRequestError

NOW = datetime(2024, 2, 29, 12, 0)
MESSAGES = [{"role": "user", "content": "Hello"}]


def render(source: str, **more: Any) -> str:
    return ChatTemplate(source, bos_token="<s>").render(MESSAGES, NOW, **more)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("{{ bos_token }}{{ messages[0].content }}", "<s>Hello", id="constants and messages"),
        pytest.param("{{ tools is none }}", "True", id="no tools are none"),
        pytest.param("{{ strftime_now('%d %b %Y') }}", "29 Feb 2024", id="the date"),
        pytest.param("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}', id="JSON as it is"),
        pytest.param("{{ 'é' | tojson(ensure_ascii=True) }}", '"\\u00e9"', id="JSON in ASCII"),
        pytest.param("{{ [1] | tojson(indent=2) }}", "[\n  1\n]", id="JSON on lines"),
        pytest.param("{{ '-' * 3 }}{{ 2 ** 3 }}{{ [0] * 2 }}", "---8[0, 0]", id="small products"),
        pytest.param("a{% generation %}b{{ 1 }}{% endgeneration %}c", "ab1c", id="a mark for training"),
        pytest.param("{% for i in range(9) %}{{ i }}{% break %}{% endfor %}", "0", id="break"),
    ],
)
def test_what_templates_find(source, text):
    assert render(source) == text


def test_tools_and_variables():
    source = "{{ tools[0].function.name }} {{ reasoning_effort }}"
    tools = [{"type": "function", "function": {"name": "get"}}]
    assert render(source, tools=tools, variables={"reasoning_effort": "low"}) == "get low"


@pytest.mark.parametrize(
    ("source", "known"),
    [
        pytest.param("{% if tools %}{{ tools }}{% endif %}", True, id="tools"),
        pytest.param(
            "{% if x %}{% set tools = x %}{% endif %}{% if tools is not defined %}{% set tools = none %}"
            "{% endif %}{% for t in tools %}{% endfor %}",
            True,
            id="tools that it also sets",
        ),
        pytest.param("The word tools alone. {{ messages }}", False, id="only the word"),
    ],
)
def test_the_variables_that_it_looks_at(source, known):
    assert ("tools" in ChatTemplate(source).variables) is known


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("{{ raise_exception('Not so!') }}", "Not so!", id="its own words"),
        pytest.param("{{ messages.__class__.__mro__ }}", "unsafe", id="the interpreter"),
        pytest.param("{{ cycler.__init__.__globals__ }}", "unsafe", id="modules"),
        pytest.param("{{ messages.append(1) }}", "unsafe", id="its arguments"),
        pytest.param("{% include 'x' %}", "loader", id="files"),
        pytest.param(f"{{{{ 'a' * {MAX_REPEATED + 1} }}}}", "pieces", id="a long text"),
        pytest.param(f"{{{{ {MAX_REPEATED + 1} * [0] }}}}", "pieces", id="a long list"),
        pytest.param("{{ 9 ** 999999999 }}", "pieces", id="a power"),
        pytest.param("{{ 2 ** 99999 * 2 ** 999999 }}", "pieces", id="a large product"),
        pytest.param("{{ range(10 ** 9) | list }}", "Range too big", id="a range"),
        pytest.param(
            "{% for i in range(9999) %}{% for j in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}",
            f"more than {MAX_WRITTEN} characters",
            id="writing without end",
        ),
    ],
)
def test_what_templates_are_kept_from(source, words):
    with pytest.raises(BadRequestError, match="chat template does not take these messages") as caught:
        render(source)
    assert words in str(caught.value)
    assert caught.value.param == "messages"


def test_a_source_that_does_not_parse():
    with pytest.raises(jinja2.TemplateSyntaxError):
        ChatTemplate("{% if %}")


def test_a_model_of_one_call():
    refuses = "{{ raise_exception('This model only supports single tool-calls at once!') }}"
    assert ChatTemplate(refuses).one_call
    assert not ChatTemplate("{{ messages }}").one_call
