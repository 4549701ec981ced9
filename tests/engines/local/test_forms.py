"""The tables of forms and thoughts: which template chooses which, and how their patterns are read and written."""

from __future__ import annotations

import re

import pytest

from duologue.engines.local.forms import FORMS, MAX_SPACE, as_regex, as_written, form_of, match, thoughts_of
from support.gguf_writer import STYLES

# What the templates of well-known families say about calls, in short.
QWEN = r"""{{- "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-object>}\n</tool_call>" }}"""
TEMPLATES = {
    "Qwen 2.5 and Hermes": (QWEN, "hermes", None),
    "Qwen 3": (QWEN + "{%- if '</think>' in content %}", "hermes", "<think>"),
    "Qwen 3 Coder": (QWEN.replace("{", "<function=name><parameter=x>{"), None, None),
    "GLM 4.5": ("<tool_call>{{ tc.name }}<arg_key>{{ tc.arguments }}</arg_key></think>", None, "<think>"),
    "Llama 3.1": (
        """'<|start_header_id|>' '{"name": function name, "parameters": dictionary of argument name}'""",
        "llama 3",
        None,
    ),
    "Llama 3 without tools": ("'<|start_header_id|>' + message['role'] + '<|end_header_id|>'", None, None),
    "Mistral 7B v0.3": ("[AVAILABLE_TOOLS] [TOOL_CALLS] [", "mistral", None),
    "Mistral Small 3.2": ("'[TOOL_CALLS]' + name + '[CALL_ID]' + id + '[ARGS]'", "mistral with [ARGS]", None),
    "Magistral": ("[THINK] [TOOL_CALLS]{{ name }}[ARGS]", "mistral with [ARGS]", "[THINK]"),
    "DeepSeek R1, distilled": ("'<tool-calls-begin>' '<Assistant><think>\\n'", None, "<think>"),
    "a plain one": ("{% for m in messages %}{{ m.content }}{% endfor %}", None, None),
}


@pytest.mark.parametrize(("template", "form", "thoughts"), TEMPLATES.values(), ids=TEMPLATES)
def test_the_template_tells_the_form(template, form, thoughts):
    found, tags = form_of(template), thoughts_of(template)
    assert (found.name if found else None) == form
    assert (tags.open if tags else None) == thoughts


@pytest.mark.parametrize(
    ("style", "form"),
    [("hermes", "hermes"), ("think", "hermes"), ("llama3", "llama 3"), ("mistral", "mistral")],
)
def test_the_templates_of_the_test_models(style, form):
    found = form_of(STYLES[style].template)
    assert found is not None
    assert found.name == form


@pytest.mark.parametrize(
    ("pattern", "text", "end", "name", "partly"),
    [
        pytest.param("ab", "abc", 2, "", False, id="a text"),
        pytest.param("ab", "a", 1, "", True, id="a piece of it"),
        pytest.param("ab", "", 0, "", True, id="nothing of it"),
        pytest.param("~a~ b", " a \n\tb", 6, "", False, id="white space of any kind"),
        pytest.param("~a~ b", "ab", 2, "", False, id="no white space"),
        pytest.param("@(", "get_all(", 8, "get_all", False, id="a name"),
        pytest.param("@(", "get(", 4, "get", False, id="a name that another begins with"),
        pytest.param("@(", "get", 3, "", True, id="a name that may go on"),
        pytest.param("#.", "aB3.", 4, "", False, id="an id"),
        pytest.param("#.", "aB3", 3, "", True, id="an id that may go on"),
    ],
)
def test_a_pattern_and_what_it_takes(pattern, text, end, name, partly):
    assert match(pattern, text, 0, ["get", "get_all"]) == (end, name, partly)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("ab", "ac", id="another text"),
        pytest.param("a", " a", id="white space that it does not have"),
        pytest.param("~a", " " * (MAX_SPACE + 1) + "a", id="too much white space"),
        pytest.param("@(", "put(", id="a name that is none of them"),
        pytest.param("@(", "put", id="a piece of such a name"),
        pytest.param("@(", "get_" + "x" * 100, id="a name that is too long"),
    ],
)
def test_a_pattern_and_what_it_does_not_take(pattern, text):
    assert match(pattern, text, 0, ["get", "get_all"]) is None


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_written_is_read(form):
    """By the reader's matching and by the grammar's regular expression, which are the same."""
    for opening in form.openings:
        text = as_written(opening, "get").replace("#", "aB3dE6gH9")
        found = match(opening, text, 0, ["get"])
        assert found == (len(text), "get" if "@" in opening else "", False)
        assert re.fullmatch(as_regex(opening, ["get"]), text)
        for end in range(len(text)):
            cut = match(opening, text[:end], 0, ["get"])
            # White space at the end of a pattern is none of its needs.
            assert cut is not None
            assert cut.partly or not text[end:].strip()


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_every_form_has_a_mark_for_answers_in_json(form):
    assert form.only_marked().marks
    assert not form.only_marked().bare
