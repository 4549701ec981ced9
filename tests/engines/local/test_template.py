"""Chat templates: what they find, what they are kept from, and what they say about the model."""

from __future__ import annotations

import tracemalloc
from datetime import datetime
from typing import Any

import jinja2
import pytest

from duologue.engines.local import meter
from duologue.engines.local.meter import MAX_MADE
from duologue.engines.local.template import MAX_WRITTEN, ChatTemplate
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
        pytest.param("{{ 'a' ~ 1 ~ none }}{{ 'a' + 'b' }}{{ [1] + [2] }}", "a1Noneab[1, 2]", id="sums"),
        pytest.param("{{ 7 % 4 }}{{ 7 // 2 }}{{ -3 + 1 }}", "33-2", id="numbers"),
        pytest.param("{{ 'abc'[::-1] }}{{ [1, 2, 3][1:] }}", "cba[2, 3]", id="slices"),
        pytest.param("{{ '{}={x:03d} {!r}'.format('a', 'b', x=7) }}", "a=007 'b'", id="format"),
        pytest.param("{{ 'a\nb' | indent(2, first=true) }}", "  a\n  b", id="indent"),
        pytest.param("{{ 'aba' | replace('a', 'x') }}{{ 'aba'.replace('a', '', 1) }}", "xbxba", id="replace"),
        pytest.param("{{ ['a', 1] | join('-') }}{{ '-'.join(['a', 'b']) }}", "a-1a-b", id="join"),
        pytest.param("{{ [{'a': 1}, {'a': 2}] | join(',', attribute='a') }}", "1,2", id="join of attributes"),
        pytest.param("{{ ['a', 'b'] | map('upper') | list }}", "['A', 'B']", id="map"),
        pytest.param(
            "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1", id="selectattr"
        ),
        pytest.param("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1", id="items"),
        pytest.param("{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{% endfor %}", "ab", id="dictsort"),
        pytest.param(
            "{% for i in 'abc' if i != 'b' %}{{ loop.index0 }}{{ loop.last }}{{ loop.length }}{{ i }}{% endfor %}",
            "0False2a1True2c",
            id="loop",
        ),
        pytest.param(
            "{% for i in [[1, [2]]] recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}",
            "12",
            id="a loop in itself",
        ),
        pytest.param(
            "{% set ns = namespace(n=1) %}{% for i in range(3) %}{% set ns.n = ns.n * 2 %}{% endfor %}{{ ns.n }}",
            "8",
            id="namespace",
        ),
        pytest.param(
            "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}"
            "{% set x %}{{ f(2) }}!{% endset %}{{ x }}{% filter upper %}a{{ x }}{% endfilter %}",
            "210!A210!",
            id="macros and blocks",
        ),
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
        pytest.param("{{ 9 ** 999999999 }}", "bits", id="a power"),
        pytest.param("{{ 2 ** 999 * 2 ** 999 }}", "bits", id="a large product"),
        pytest.param("{{ messages.pop }}{{ messages[0].pop('role') }}", "unsafe", id="its arguments' items"),
        pytest.param("{{ '%999999999d' % 1 }}", "%", id="wide numbers"),
        pytest.param("{{ 'a'.center(10 ** 9) }}", "unsafe", id="padding"),
        pytest.param("{{ (1).to_bytes(10 ** 9, 'little') }}", "unsafe", id="bytes"),
        pytest.param("{{ '{:{w}}'.format(1, w=10 ** 9) }}", "names and widths", id="a width that is given"),
        pytest.param("{{ '{0.role}'.format(messages[0]) }}", "names and widths", id="attributes in a format"),
        pytest.param("{{ [1] | tojson(indent=10 ** 9) }}", "indents", id="indented JSON"),
        pytest.param("{{ strftime_now('%Y' * 100) }}", "date", id="a long date"),
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


DOUBLE = (
    "{% set ns = namespace(x=messages[0].content) %}"
    "{% for i in range(40) %}{% set ns.x = TWICE %}{% endfor %}{{ ns.x | length }}"
)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ 'a' * 10 ** 9 }}", id="repeated text"),
        pytest.param("{{ 10 ** 9 * [0] }}", id="a repeated list"),
        pytest.param("{{ '{:>999999999}'.format(1) }}", id="format"),
        pytest.param("{{ 'a' | indent(10 ** 9, first=true) }}", id="indent"),
        pytest.param("{{ 'a' | indent('a' * 10 ** 7) | indent('b' * 10 ** 9) }}", id="indent with a text"),
        pytest.param("{{ ('a' * 10 ** 5) | replace('a', 'b' * 10 ** 5) }}", id="replace"),
        pytest.param("{{ ('a' * 10 ** 5).replace('a', 'b' * 10 ** 5) }}", id="the method replace"),
        pytest.param("{{ ([''] * 10 ** 5) | join('b' * 10 ** 5) }}", id="join"),
        pytest.param("{{ ('b' * 10 ** 5).join([''] * 10 ** 5) }}", id="the method join"),
        pytest.param("{{ ''.join(['b' * 10 ** 5] * 10 ** 5) }}", id="join of long texts"),
        pytest.param("{{ ['b' * 10 ** 5] * 10 ** 5 }}", id="long texts written"),
        pytest.param("{{ (['b' * 10 ** 5] * 10 ** 5) | string | length }}", id="long texts as one"),
        pytest.param("{{ (['b' * 10 ** 5] * 10 ** 5) | tojson | length }}", id="long texts as JSON"),
        pytest.param("{{ [['b' * 10 ** 5] * 10 ** 5, 1] | map('upper') | list | length }}", id="map"),
        pytest.param(DOUBLE.replace("TWICE", "ns.x + ns.x"), id="doubled with +"),
        pytest.param(DOUBLE.replace("TWICE", "ns.x ~ ns.x"), id="doubled with ~"),
        pytest.param(DOUBLE.replace("TWICE", "[ns.x, ns.x]"), id="doubled in lists"),
        pytest.param(DOUBLE.replace("TWICE", "(ns.x, ns.x)"), id="doubled in tuples"),
        pytest.param(DOUBLE.replace("TWICE", "{'a': ns.x, 'b': ns.x}"), id="doubled in mappings"),
        pytest.param(DOUBLE.replace("TWICE", "dict(a=ns.x, b=ns.x)"), id="doubled in dict()"),
        pytest.param(DOUBLE.replace("TWICE", "[ns.x] + [ns.x]"), id="doubled in sums of lists"),
        pytest.param(
            "{% set ns = namespace() %}{% macro f() %}{% set ns.x = varargs %}{% endmacro %}"
            "{% for i in range(40) %}{{ f(ns.x, ns.x) }}{% endfor %}",
            id="doubled in arguments",
        ),
        pytest.param(
            "{% set ns = namespace(x=[]) %}{% set t = 'x' * 10 ** 6 %}"
            "{% for i in range(10 ** 4) %}{% set ns.x = ns.x + [t[1:]] %}{% endfor %}",
            id="slices",
        ),
        pytest.param(
            "{% set x %}{% for i in range(10 ** 4) %}{{ 'x' * 10 ** 5 }}{% endfor %}{% endset %}",
            id="a block",
        ),
        pytest.param(
            "{% macro f() %}{% for i in range(10 ** 4) %}{{ 'x' * 10 ** 5 }}{% endfor %}{% endmacro %}{{ f() }}",
            id="a macro",
        ),
        pytest.param(
            "{% filter upper %}{% for i in range(10 ** 4) %}{{ 'x' * 10 ** 5 }}{% endfor %}{% endfilter %}",
            id="a filter's block",
        ),
    ],
)
def test_nothing_large_is_made(source, monkeypatch):
    """Neither while the template is opened nor while it is rendered, however it goes about it."""
    monkeypatch.setattr(meter, "MAX_MADE", 2**21)
    tracemalloc.start()
    try:
        with pytest.raises(BadRequestError, match="makes more than 2097152 characters"):
            render(source)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_a_namespace_says_nothing_of_itself():
    """Or a few of them, each in the next one twice, would be a text without end."""
    assert render("{% set ns = namespace(x=1) %}{{ ns }}{{ ns.x }}") == "<namespace>1"


def test_a_template_that_computes_without_end(monkeypatch):
    monkeypatch.setattr(meter, "MAX_SECONDS", 0.05)
    endless = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"
    with pytest.raises(BadRequestError, match="computes for more than"):
        render(endless)
    assert render("{{ messages[0].content }}") == "Hello"


def test_each_rendering_may_make_as_much():
    """What one has made, and one that failed, is not counted against the next."""
    large = ChatTemplate(f"{{{{ ('a' * {MAX_MADE // 4}) | length }}}}")
    for _ in range(3):
        assert large.render(MESSAGES, NOW) == str(MAX_MADE // 4)


@pytest.mark.parametrize("name", ["center", "batch", "slice", "wordwrap", "format", "pprint", "xmlattr"])
def test_a_filter_that_is_not_known(name):
    with pytest.raises(jinja2.TemplateAssertionError, match=f"No filter named '{name}'"):
        ChatTemplate(f"{{{{ messages | {name} }}}}")


def test_a_failure_without_words_is_named():
    class Exhausted(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            raise MemoryError

    with pytest.raises(BadRequestError, match=r"these messages: MemoryError$"):
        ChatTemplate("{{ messages[0]['content'] }}").render([Exhausted()], NOW)


def test_a_source_that_does_not_parse():
    with pytest.raises(jinja2.TemplateSyntaxError):
        ChatTemplate("{% if %}")


def test_a_model_of_one_call():
    refuses = "{{ raise_exception('This model only supports single tool-calls at once!') }}"
    assert ChatTemplate(refuses).one_call
    assert not ChatTemplate("{{ messages }}").one_call
