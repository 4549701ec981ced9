"""What requests and texts say besides their matter: fields with the many ways in which their values are said."""

from __future__ import annotations

from dataclasses import replace

from .lists import phrases, table
from .trades import Parameter
from .voice import Voice

__all__ = ["ANY", "FIELDS", "draw"]

TRUTH = {"true": True, "false": False}
WORD = "{w}"


def _read(line: str) -> Parameter:
    """The field of a line `names; kind; descriptions; how it is said`."""
    names, kind, about, said = (part.strip() for part in line.split(";", 3))
    options = tuple(kind.split("/")) if "/" in kind else ()
    forms = [form.rstrip() for form in said.split("|")]
    mapped = [form.partition(">") for form in forms if ">" in form]
    return Parameter(
        names=names,
        kind="flag" if kind == "true/false" else "enum" if options else kind,
        about=tuple(filter(None, about.split("|"))),
        said=tuple(map(_added, (form for form in forms if ">" not in form))),
        flags=tuple((_added(words), TRUTH.get(value.strip(), value.strip())) for value, _, words in mapped),
        options=options if kind != "true/false" else (),
    )


def _added(form: str) -> str:
    """What is added to a sentence, with the space before it."""
    return form if form[:1] in (",", ".", ":") else f" {form}"


LINES = [_read(line) for line in phrases(table("fields")["fields"])]
FIELDS = {field.names.split()[0]: field for field in LINES if WORD not in field.names}
# Those that may be about anything.
ANY = [field for field in LINES if WORD in field.names]


def draw(voice: Voice, name: str = "") -> Parameter:
    """The field of this name, or one about any word at all."""
    if name in FIELDS:
        return FIELDS[name]
    field = voice.random.choice(ANY)
    adjective = field.names.startswith("is_")
    word = voice.value(
        "adjectives" if adjective else voice.pick(("nouns", "things", "tool_nouns", "patched"))
    )

    def put(text: str) -> str:
        return text.replace(WORD, word)

    return replace(
        field,
        names=put(field.names),
        about=tuple(map(put, field.about)),
        said=tuple(map(put, field.said)),
        flags=tuple((put(said), meaning) for said, meaning in field.flags),
    )
