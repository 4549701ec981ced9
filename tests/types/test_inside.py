"""Classes that skip unknown fields stand in for every response class."""

import msgspec
import pytest

from duologue.types._inside import become, skipping
from duologue.types._wire import WireObject
from duologue.types.chat import (
    chat_completion,
    chat_completion_chunk,
    chat_completion_deleted,
    chat_completion_list,
)
from duologue.types.model import ModelList

MODULES = (chat_completion, chat_completion_chunk, chat_completion_deleted, chat_completion_list)


def below(cls):
    return [cls, *(inner for each in cls.__subclasses__() for inner in below(each))]


CLASSES = [
    cls
    for cls in below(WireObject)
    if cls.__module__.startswith("duologue.types.chat.chat_completion") or cls is ModelList
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
def test_what_skips_unknown_fields_becomes_the_class_itself(cls):
    """The same fields in the same slots, with the same defaults; only what is unknown passes."""
    made = skipping(cls)
    assert len(CLASSES) > 20
    assert made.__struct_fields__ == cls.__struct_fields__
    assert [(f.name, f.default, f.default_factory, f.required) for f in msgspec.structs.fields(made)] == [
        (f.name, f.default, f.default_factory, f.required) for f in msgspec.structs.fields(cls)
    ]
    values = {name: object() for name in cls.__struct_fields__}
    obj = become(cls, made(**values), {}, None)
    assert type(obj) is cls
    assert {name: getattr(obj, name) for name in values} == values


def test_no_two_defaults_are_shared():
    """A list that a field begins with is made for each object."""
    one, other = (
        become(ModelList, msgspec.convert({"x": 1}, skipping(ModelList)), {"x": 1}, None) for _ in "ab"
    )
    assert one.data == other.data == []
    assert one.data is not other.data
