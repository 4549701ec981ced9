"""Functions as tools: what the model is told of them, and what calls them with what it wrote."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pydantic
import pytest

from duologue import (
    Context,
    CustomTool,
    ParseError,
    SchemaError,
    SchemaTool,
    Tool,
    custom_tool,
    schema_tool,
    tool,
)
from duologue.protocol.schema.docstring import read_docstring
from duologue.tools import result_text
from duologue.types.chat.request_tool import FunctionTool
from support.strict import strict_faults


class Database:
    """What a runner hands in."""


@dataclasses.dataclass
class Place:
    """Somewhere."""

    city: str
    country: str = "Norway"


@tool
def weather(city: str, unit: Literal["C", "F"] = "C", days: int | None = 1, *, exact: bool = False) -> str:
    """The weather there.

    As good as it gets.

    Args:
        city: where,
            in English
        unit (str, optional): of the temperature
        exact: whether to look twice

    Returns:
        A sentence.
    """
    return f"{city} {unit} {days} {exact}"


def sent(made: Tool[..., Any]) -> dict[str, Any]:
    param: Any = made.to_param()
    assert param["type"] == "function"
    assert param["function"]["strict"] is False or strict_faults(param["function"]["parameters"]) == []
    msgspec.convert(param["function"], type=dict[str, Any])
    return param["function"]


def test_what_a_model_is_told():
    """Name, description, and for each parameter its type, its description and its default; all are required."""
    assert sent(weather) == {
        "name": "weather",
        "description": "The weather there.\n\nAs good as it gets.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "where, in English"},
                "unit": {
                    "anyOf": [{"type": "string", "enum": ["C", "F"]}, {"type": "null"}],
                    "description": 'of the temperature (default: "C")',
                },
                "days": {
                    "anyOf": [{"type": "integer"}, {"type": "null"}],
                    "description": "(default: 1)",
                },
                "exact": {
                    "anyOf": [{"type": "boolean"}, {"type": "null"}],
                    "description": "whether to look twice (default: false)",
                },
            },
            "required": ["city", "unit", "days", "exact"],
            "additionalProperties": False,
        },
    }


def test_the_function_is_what_it_was():
    """It can be called, and says who it is."""
    assert weather("Oslo", days=3) == "Oslo C 3 False"
    assert weather.__name__ == weather.name == "weather"
    assert inspect.signature(weather) == inspect.signature(weather.function)
    assert weather.__doc__ == weather.function.__doc__


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('{"city": "Oslo", "unit": "F", "days": 2, "exact": true}', "Oslo F 2 True"),
        # null is the default, but where null is a value of the parameter's type
        ('{"city": "Oslo", "unit": null, "days": null, "exact": null}', "Oslo C None False"),
        # what is absent is the default, too: not every server holds its model to a schema
        ('{"city": "Oslo"}', "Oslo C 1 False"),
        ('{"city": "Oslo", "invented": 1}', "Oslo C 1 False"),
    ],
)
def test_calling_with_what_a_model_wrote(arguments, result):
    """The arguments are checked, and defaults are the function's own."""
    assert weather.call(arguments) == result


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        (
            '{"city": 1, "unit": "K"}',
            ["Expected `str`, got `int` - at `$.city`", "Expected one of 'C', 'F', got 'K'"],
        ),
        ("{}", ["Object missing required field `city` - at `$`"]),
        ("", ["Object missing required field `city` - at `$`"]),
        ('{"city": "Os', ["not JSON"]),
        ('["Oslo"]', ["Expected `object`, got `list`"]),
        ('{"city": null}', ["Expected `str`, got `null` - at `$.city`"]),
    ],
)
def test_bad_arguments(arguments, errors):
    """All that is wrong, in words that the model may be told; the function is not called."""
    with pytest.raises(ParseError) as caught:
        weather.call(arguments)
    assert caught.value.text == arguments
    assert all(words in str(caught.value) for words in errors)


def test_the_steps_of_a_call():
    """A runner may look at the arguments before the function is called."""
    arguments = weather.parse('{"city": "Oslo", "unit": null}')
    assert arguments == {"city": "Oslo"}
    assert weather.invoke({**arguments, "city": "Bergen"}) == "Bergen C 1 False"


async def test_async_functions():
    """Calling gives something to await."""

    @tool
    async def double(number: int) -> int:
        return 2 * number

    assert double.is_async
    assert not weather.is_async
    assert await double.call('{"number": 4}') == 8
    assert await double(3) == 6


def test_options():
    """Name, description and `strict` may be said; a name is not changed behind anybody's back."""

    @tool(name="look-up", description="Looks up.", strict=False)
    def find(key: str, extra: dict[str, int], limit: int = 3) -> None:
        """Not this."""

    assert sent(find) == {
        "name": "look-up",
        "description": "Looks up.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {
                "key": {"type": "string"},
                "extra": {"type": "object", "additionalProperties": {"type": "integer"}},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
            },
            "required": ["key", "extra"],
            "additionalProperties": False,
        },
    }
    with pytest.raises(SchemaError, match="a name has 1 to 64"):
        tool(name="look up")(find.function)
    assert "description" not in sent(tool(lambda: None))
    assert tool(lambda: None).name == "lambda"


def test_context():
    """Given by whoever runs the tools; the model knows nothing of it, a direct call passes it like the others."""

    @tool
    def find(key: str, database: Context[Database]) -> tuple[str, Database]:
        return key, database

    database = Database()
    assert list(sent(find)["parameters"]["properties"]) == ["key"]
    assert find.call('{"key": "a"}', context=database) == ("a", database)
    assert find("a", database) == ("a", database)
    with pytest.raises(ParseError):
        find.call('{"database": "mine"}', context=database)

    @tool
    def count(*, user: Context[Place] | None = None) -> Place | None:
        return user

    assert sent(count)["parameters"]["properties"] == {}
    assert count.call('{"user": {"city": "Oslo"}}') is None
    assert count.call("{}", context=Place("Bergen")) == Place("Bergen")


class Shop:
    def __init__(self, prices: dict[str, float]) -> None:
        self.prices = prices

    @tool
    def price(self, item: Annotated[str, "its name"], /, currency: str = "NOK") -> str:
        """The price of an item."""
        return f"{self.prices[item]} {currency}"

    @tool
    async def stock(self) -> int:
        return len(self.prices)

    @tool
    @staticmethod
    def opens(day: str) -> str:
        return f"{day}: 9"

    @staticmethod
    @tool
    def closes(day: str) -> str:
        return f"{day}: 17"


async def test_methods():
    """Had from an object they are bound to it; `self` is nobody's argument."""
    shop, other = Shop({"tea": 2.5}), Shop({"tea": 3.5, "milk": 1.0})
    assert sent(shop.price)["parameters"]["properties"]["item"] == {
        "type": "string",
        "description": "its name",
    }
    assert sent(Shop.price) == sent(shop.price) == sent(other.price)
    assert shop.price.call('{"item": "tea", "currency": null}') == "2.5 NOK"
    assert other.price.call('{"item": "tea", "currency": "SEK"}') == "3.5 SEK"
    assert shop.price("tea") == "2.5 NOK"
    assert shop.stock.is_async
    assert await other.stock.call("") == 2
    assert shop.opens.call('{"day": "Monday"}') == shop.opens("Monday") == "Monday: 9"
    assert shop.closes.call('{"day": "Monday"}') == Shop.closes("Monday") == "Monday: 17"


def test_class_methods():
    """From the class and from an object."""

    class Shop:
        name = "tea"

        @tool
        @classmethod
        def sell(cls, pieces: int) -> str:
            """Sell some."""
            return f"{pieces} {cls.name}"

    for made in (Shop.sell, Shop().sell):
        assert sent(made)["parameters"]["required"] == ["pieces"]
        assert made.call('{"pieces": 2}') == "2 tea"


def test_partials_and_objects_that_can_be_called():
    """What a partial has set is no argument; an object goes by the name of its class."""

    class Greeter:
        """Greets."""

        def __call__(self, name: str) -> str:
            return f"Hi {name}"

    greeter: Tool[..., str] = tool(Greeter())
    assert (greeter.name, greeter.description) == ("Greeter", "Greets.")
    assert greeter.call('{"name": "Ann"}') == "Hi Ann"
    cold = tool(functools.partial(weather.function, unit="F"))
    assert cold.name == "weather"
    assert list(sent(cold)["parameters"]["properties"]) == ["city", "days", "exact"]
    assert cold.call('{"city": "Oslo"}') == "Oslo F 1 False"


@pytest.mark.parametrize(
    "cls",
    [Place, pydantic.create_model("Place", city=str, country=(str, "Norway"), __doc__="Somewhere.")],
    ids=["dataclass", "model"],
)
def test_classes(cls):
    """The arguments are one of its objects."""
    made = tool(cls)
    assert sent(made)["name"] == "Place"
    assert sent(made)["description"] == "Somewhere."
    assert made.parse('{"city": "Oslo", "country": "Norway"}') == cls(city="Oslo", country="Norway")
    assert made.call('{"city": "Oslo"}') == cls(city="Oslo")


def test_arguments_of_rich_types():
    """Dataclasses, models and lists of them arrive as what the annotations say."""

    class Stop(pydantic.BaseModel):
        minutes: int = pydantic.Field(ge=0)

    def plan(places: list[Place], stop) -> Any:
        return places, stop

    plan.__annotations__ = {"places": list[Place], "stop": Stop | None}
    made = tool(plan)
    assert made.call('{"places": [{"city": "Oslo"}], "stop": {"minutes": 3}}') == (
        [Place("Oslo")],
        Stop(minutes=3),
    )
    with pytest.raises(ParseError, match=r"greater than or equal to 0 - at `\$.stop.minutes`"):
        made.call('{"places": [], "stop": {"minutes": -3}}')


REFUSED = {
    "star": (lambda *args: None, "name each parameter"),
    "stars": (lambda **kwargs: None, "name each parameter"),
    "nothing said": (lambda x: None, "has no annotation"),
    "of C": (max, "no signature found"),
}


@pytest.mark.parametrize(("function", "reason"), REFUSED.values(), ids=REFUSED)
def test_parameters_that_no_model_could_fill(function, reason):
    """Refused when the tool is first used, by name."""
    with pytest.raises(SchemaError, match=reason):
        tool(function).to_param()


def test_types_that_strict_mode_has_not():
    """Refused with the parameter and the way out."""

    @tool
    def count(words: dict[str, int]) -> int:
        return len(words)

    with pytest.raises(SchemaError, match=r"^count\.words: .*pass strict=False"):
        count.to_param()
    assert tool(strict=False)(count.function).call('{"words": {"a": 1}}') == 1


# --- docstrings ----------------------------------------------------------------------------------------

STYLES = {
    "Google": """Find things.

    More of it.

    Args:
        name (str): what to
            find
        limit: how many
        **options: others

    Raises:
        ValueError: never
    """,
    "numpy": """Find things.

    More of it.

    Parameters
    ----------
    name : str
        what to
        find
    limit : int, optional
        how many
    **options
        others

    Returns
    -------
    int
        a number
    """,
    "Sphinx": """Find things.

    More of it.

    :param name: what to
        find
    :type name: str
    :param int limit: how many
    :param options: others
    :returns: a number
    :raises ValueError: never
    """,
}


@pytest.mark.parametrize("style", STYLES)
def test_docstrings(style):
    """The text before the sections, and the parameters, in three styles."""
    doc = read_docstring(STYLES[style])
    assert doc.text == "Find things.\n\nMore of it."
    assert doc.parameters == {"name": "what to find", "limit": "how many", "options": "others"}


def test_several_parameters_described_together():
    """As numpy's style has it."""
    doc = read_docstring("Find.\n\nParameters\n----------\nx, y : int\n    where\nz : int\n    how high\n")
    assert doc.parameters == {"x": "where", "y": "where", "z": "how high"}


@pytest.mark.parametrize(
    "text", [None, "", "One line.", "Find.\n\nNote that:\n    this is no section", "Args: none of them"]
)
def test_docstrings_without_sections(text):
    """All of it is the text."""
    assert read_docstring(text).text == (text or "")
    assert read_docstring(text).parameters == {}


# --- other tools ---------------------------------------------------------------------------------------


async def test_custom_tools():
    """A function of one text: any, or one that follows a grammar."""

    @custom_tool
    def shout(text: str) -> str:
        """Says it loud."""
        return text.upper()

    @custom_tool(name="add", description="Adds.", regex=r"[0-9]+(\\+[0-9]+)*")
    async def add(text: str) -> int:
        return sum(map(int, text.split("+")))

    lark = custom_tool(lark='start: "a"+')(lambda text: len(text))
    assert shout.to_param() == {"type": "custom", "custom": {"name": "shout", "description": "Says it loud."}}
    assert add.to_param() == {
        "type": "custom",
        "custom": {
            "name": "add",
            "description": "Adds.",
            "format": {
                "type": "grammar",
                "grammar": {"syntax": "regex", "definition": r"[0-9]+(\\+[0-9]+)*"},
            },
        },
    }
    assert lark.to_param()["custom"]["format"]["grammar"]["syntax"] == "lark"  # type: ignore[typeddict-item]
    assert shout.call("hi") == shout("hi") == "HI"
    assert shout.parse("{") == "{"
    assert add.is_async
    assert await add.call("1+2") == 3
    with pytest.raises(SchemaError, match="not both"):
        CustomTool(len, regex="a", lark="b")
    with pytest.raises(SchemaError, match="a name has"):
        custom_tool(name="no name")(len)


MCP = {"name": "search", "description": "Finds.", "inputSchema": {"type": "object", "properties": {"q": {}}}}
WIRE = {"name": "search", "description": "Finds.", "parameters": MCP["inputSchema"]}


@pytest.mark.parametrize(
    "definition",
    [MCP, types.SimpleNamespace(**MCP, annotations=None), {"type": "function", "function": WIRE}],
    ids=["mcp", "mcp object", "wire"],
)
def test_tools_with_a_schema(definition):
    """Taken as they are; the function is given the dict of arguments."""
    made = schema_tool(definition, lambda arguments: sorted(arguments))
    assert isinstance(made, SchemaTool)
    assert made.to_param() == {"type": "function", "function": WIRE}
    assert made.call('{"q": 1, "a": null}') == made({"q": 1, "a": None}) == ["a", "q"]
    assert made.call("") == []
    assert not made.is_async
    for text in ("[]", "{"):
        with pytest.raises(ParseError):
            made.call(text)


def test_tools_of_mcp_servers_that_the_api_would_refuse():
    """One without arguments need not say so in MCP; a name has dots and slashes there."""
    made = schema_tool({"name": "files/now", "inputSchema": {"type": "object"}}, print, name="files_now")
    assert made.to_param()["function"] == {
        "name": "files_now",
        "parameters": {"type": "object", "properties": {}},
    }
    with pytest.raises(SchemaError, match=r"'files/now', and must have .*; give it as name="):
        schema_tool({"name": "files/now"}, print)


@pytest.mark.parametrize("definition", [{}, {"name": "no name"}, {"function": 3}, 3])
def test_what_is_no_tool(definition):
    """Refused."""
    with pytest.raises(SchemaError, match="has the name"):
        schema_tool(definition, print)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        ({"a": [1, True]}, '{"a":[1,true]}'),
        (Place("Oslo"), '{"city":"Oslo","country":"Norway"}'),
        ([pydantic.create_model("M", x=int)(x=1)], '[{"x":1}]'),
    ],
    ids=repr,
)
def test_results(value, text):
    """Texts as they are, anything else as JSON."""
    assert result_text(value) == text


def test_results_that_have_no_json():
    """They are refused, never written as some `repr`."""
    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), [object()], loop):
        with pytest.raises(TypeError, match="cannot be written as JSON"):
            result_text(value)


def test_our_own_server_takes_them():
    """What is sent passes the checks of a server's requests."""
    for made in (weather, Shop({}).price, tool(Place)):
        checked = msgspec.convert(made.to_param(), FunctionTool)
        assert checked.name == made.name
        jsonschema.Draft202012Validator.check_schema(made.parameters)
