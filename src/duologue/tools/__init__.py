"""Functions that a model may call: what a request says of them, and what calls them.

@tool
def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    \"\"\"The weather now.

    Args:
        city: where, in English
    \"\"\"
    ...

weather.to_param()                              # for the `tools` of a request
weather.call('{"city": "Oslo", "unit": null}')  # what a model wrote: checked, and the function called
weather("Oslo")                                 # still the function it was
"""

from __future__ import annotations

from .custom import CustomTool, custom_tool
from .function import Tool, tool
from .result import result_text
from .schema import SchemaTool, schema_tool
from .signature import Context

__all__ = ["Context", "CustomTool", "SchemaTool", "Tool", "custom_tool", "result_text", "schema_tool", "tool"]
