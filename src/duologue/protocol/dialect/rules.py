"""The table of deviations."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["RULES", "Deviation", "Rule"]


class Rule(NamedTuple):
    """A deviation: what is done about it, what it is, and who is known for it.

    `forbidden` says that the protocol does not allow it, so `dialect="strict"` makes an error of it. `seen`
    names the tests of what does not show in the bytes of one answer; for all else there is a file in
    `tests/data/dialects`.
    """

    action: Literal["tolerate", "repair", "report"]
    text: str
    source: str
    forbidden: bool = True
    seen: str = ""


class Deviation(NamedTuple):
    """One rule that an answer broke, and where it was met first: the number of the event, from 0."""

    rule: str
    event: int = 0

    def __str__(self) -> str:
        return f"{self.rule} (event {self.event}): {RULES[self.rule].text}"


_FRAMING = {
    "no-done": Rule(
        "tolerate",
        "the stream ended without `data: [DONE]`",
        "Azure/azure-sdk-for-net#44135 (Text Generation Inference), OmniRoute#6777, transformers serve, "
        "fastapi-openai-compat",
    ),
    "done-unterminated": Rule(
        "tolerate", "`data: [DONE]` had no blank line after it", "open-webui/pipelines, main.py"
    ),
    "error-unterminated": Rule(
        "report", "an error had no blank line after it; it is raised all the same", "LitServe 0.2.19"
    ),
    "trailing-bytes": Rule(
        "report",
        "something other than `[DONE]` followed the last whole event",
        "what a cut inside an event leaves behind",
    ),
    "media-type": Rule(
        "tolerate",
        "the stream was not called `text/event-stream`",
        "LitServe#359",
        seen="tests/client/test_dialects.py",
    ),
    "comment-as-data": Rule(
        "tolerate",
        "a keep-alive comment was sent as data",
        "anomalyco/opencode#50871 (Vertex partner models), mnfst/llm-gateway#2053",
    ),
    "comment-after-id": Rule(
        "tolerate",
        "comments between events, after an `id:`; legal, so it is not listed",
        "openai-python#2722, theopenco/llmgateway#2334, llama.cpp#24013 (coder/coder#28185)",
        forbidden=False,
    ),
    "empty-data": Rule("tolerate", "an event had empty data", "caozhiyuan/copilot-api#88"),
    "json-for-stream": Rule(
        "report",
        "a stream was asked for and a JSON body came; the error has it as `completion`",
        "Amm1rr/WebAI-to-API#57, fastapi-openai-compat",
        seen="tests/client/test_bad_input.py",
    ),
    "error-not-escaped": Rule(
        "report",
        "an error's text was not escaped, so the event is no JSON; it is raised all the same",
        "transformers serve, chat_completion.py",
    ),
    "events-in-one-write": Rule(
        "tolerate",
        "several events came in one piece; legal, so it is not listed",
        "ray-project/ray#59681 (Ray Serve LLM)",
        forbidden=False,
        seen="tests/protocol/test_dialect.py",
    ),
    "character-cut": Rule(
        "tolerate",
        "a character was cut by the end of a read; legal, so it is not listed",
        "astrid#171, simstudioai/sim#3068",
        forbidden=False,
    ),
    "odd-json": Rule(
        "tolerate",
        "an event is no strict JSON: NaN, invalid UTF-8, half a surrogate pair",
        "servers that write their JSON by hand",
    ),
}

_IDENTITY = {
    "id-changes": Rule(
        "repair",
        "the chunks of one answer had different ids; the first one stays",
        "litellm#1571, llama.cpp#5876, microsoft/foundry-local#144 and #221, open-webui#23917, LitServe, "
        "open-webui/pipelines",
    ),
    "created-changes": Rule(
        "repair",
        "`created` changed within one answer; the first one stays",
        "sglang#39864, llama.cpp, transformers serve",
    ),
    "identity-empty": Rule(
        "repair",
        "`id`, `created` or `model` was empty or missing; a later chunk gets what an earlier one said",
        "Text Generation Inference #1782, mentat#429 (Azure)",
    ),
    "object-wrong": Rule("repair", "`object` had another value; it gets the right one", "mlx-examples#913"),
    "role-missing": Rule(
        "repair",
        "a choice began without a role; it is `assistant`",
        "tensorzero#1265, langwatch#6196 (Bifrost), llama.cpp#13634, OmniRoute#3911",
        forbidden=False,
    ),
    "role-empty": Rule("repair", "a role was an empty string; it is none", "MiniMax-M2.5#2"),
    "role-repeated": Rule(
        "repair",
        "a choice said its role again; the later ones are removed",
        "LitServe, fastapi-openai-compat",
        forbidden=False,
    ),
}

_CHOICES = {
    "index-beyond-n": Rule(
        "report",
        "a choice had an index that the request left no room for",
        "microsoft/foundry-local#144 (the number of the token)",
    ),
    "message-in-chunk": Rule(
        "tolerate",
        "a choice of a chunk had a `message` instead of, or beside, its `delta`",
        "microsoft/foundry-local#144, fastapi-openai-compat",
    ),
    "choices-empty-first": Rule(
        "tolerate",
        "the first chunk had no choices",
        "Azure: simonw/llm#294, logfire#64, langfuse#2833",
        forbidden=False,
    ),
    "choices-empty": Rule(
        "tolerate",
        "a chunk between others had no choices; it ends nothing",
        "OmniRoute#9547",
        forbidden=False,
    ),
    "no-usage": Rule(
        "report",
        "usage was asked for and never came",
        "sglang#954, litellm#9657, LitServe, transformers serve, open-webui/pipelines",
    ),
    "usage-beside-choices": Rule(
        "tolerate",
        "usage came in a chunk that had choices",
        "llama.cpp#15443, transformers serve, LitServe",
    ),
    "usage-not-asked": Rule("tolerate", "usage came in a stream that was not asked for it", "quotio#460"),
    "usage-after-finish": Rule(
        "tolerate",
        "usage came after the finish reason; legal, so it is not listed",
        "rust-genai#242",
        forbidden=False,
    ),
    "usage-repeated": Rule(
        "report",
        "several chunks of nothing but usage came; the last one stays, and nothing is added up",
        "llama.cpp with n > 1",
    ),
    "index-missing": Rule(
        "repair",
        "a choice had no index; it gets its place in the chunk where there can be no other",
        "litellm#3276 and #9242",
    ),
    "choices-missing": Rule(
        "report",
        "fewer choices came than were asked for",
        "envoyproxy/ai-gateway#1487, litellm#3276 (every index 0)",
    ),
    "choices-cut": Rule(
        "report",
        "the longer ones of several choices were cut to the shortest; cannot be seen by a client",
        "LitServe 0.2.19",
        seen="tests/protocol/test_write.py",
    ),
}

_CALLS = {
    "call-index-missing": Rule(
        "repair",
        "a part of a tool call had no index; it gets that of its call",
        "ollama#7881, xinference#3634, mistral.rs#1507, mlx-lm#598, openai-python#2806 and #3246",
    ),
    "call-index-shared": Rule(
        "repair",
        "parallel tool calls had the same index; a new id with a name, or another name, begins another",
        "ai-dynamo/dynamo#4723, gcli2api#406, plexus#691",
    ),
    "call-id-repeated": Rule(
        "repair",
        "later parts of a tool call had an id again; it is removed",
        "litellm#20480",
        forbidden=False,
    ),
    "call-id-in-function": Rule(
        "repair",
        "the id of a tool call stood inside its `function`; it is lifted",
        "llama.cpp#13774 and #13800",
    ),
    "call-name-repeated": Rule(
        "repair",
        "later parts of a tool call had its name again; it is removed",
        "llama.cpp#12379",
        forbidden=False,
    ),
    "call-name-pieces": Rule(
        "tolerate",
        "the name of a tool call came in pieces; they are put together",
        "servers that send a call as the model writes it",
        forbidden=False,
    ),
    "call-name-empty": Rule(
        "repair",
        "a part of a tool call had an empty name; it is none",
        "lmstudio-bug-tracker#649",
        forbidden=False,
    ),
    "calls-empty": Rule(
        "repair",
        "`tool_calls` was an empty list; it is none",
        "page-assist#614 (vLLM)",
        forbidden=False,
    ),
    "arguments-at-once": Rule(
        "tolerate",
        "the first part of a tool call had arguments; legal, so it is not listed",
        "llama.cpp#22722",
        forbidden=False,
    ),
    "arguments-object": Rule(
        "repair",
        "arguments were an object; they are its JSON text",
        "llama.cpp#20198 and #20202, picoclaw#1292, claudette#238",
    ),
    "arguments-repeated": Rule(
        "repair",
        "whole arguments came once more after their parts; what was said already is removed",
        "vllm#42167 and #39615",
    ),
    "arguments-encoded-twice": Rule(
        "repair",
        "whole arguments came once more after their parts, encoded twice; they are removed",
        "litellm#20480",
    ),
    "arguments-not-json": Rule(
        "report",
        "the arguments of a tool call are no JSON",
        "vllm#15274, #21046, #45256 and #24509",
        forbidden=False,
    ),
    "calls-not-streamed": Rule(
        "report",
        "tool calls come only when nothing is streamed; cannot be seen in one answer",
        "mlx-serve#287",
        seen="tests/interop/test_openai_client.py",
    ),
    "tool-choice-ignored": Rule(
        "report",
        "`tool_choice` demanded a call that did not come",
        "llama.cpp#26535, #26849 and #28806",
    ),
    "tools-dropped": Rule(
        "report",
        "`tools` were dropped because the model's template has no place for them; cannot be seen by a client",
        "llama.cpp#27129",
        seen="tests/server/test_support.py",
    ),
}

_FINISH = {
    "finish-stop-with-calls": Rule(
        "repair",
        "a choice with tool calls finished with `stop`; it is `tool_calls`, if no call was demanded",
        "vllm#25054, litellm#12862, mlx-vlm#990",
    ),
    "finish-hides-length": Rule(
        "report",
        "a tool call was cut in its arguments, and the finish reason is not `length`",
        "vllm#53269 and #9053",
        forbidden=False,
    ),
    "finish-not-last": Rule(
        "report",
        "a choice went on after its finish reason; it has not finished before its next one, and `[DONE]`",
        "gateways that send a finish reason with each chunk",
    ),
    "finish-changes": Rule(
        "report",
        "a choice had several finish reasons; the last one stays",
        "gateways that send `stop` before the reason that they were given",
    ),
    "finish-missing": Rule(
        "report",
        "a choice has no finish reason; none is made up",
        "microsoft/foundry-local#423, cherry-studio#19793",
    ),
    "finish-empty": Rule(
        "repair", "a finish reason was an empty string; it is none", "gateways that send it with each chunk"
    ),
    "finish-unknown": Rule(
        "report",
        "a finish reason that the protocol does not know",
        "SGLang (`abort`), agent-os#2215 (OpenRouter, `error`)",
    ),
    "cut": Rule(
        "report",
        "the stream ended before its choices had finished; raised as `StreamTruncatedError`",
        "litellm#39748, llama.cpp, fastapi-openai-compat",
    ),
}

_ERRORS = {
    "error-flat": Rule(
        "report",
        "the fields of an error were not inside `error`; they are read",
        "sglang#33504 and #33534, dcdpr/jp#1079 (Cerebras), dynamo#8656",
    ),
    "error-string": Rule(
        "report",
        "an error was no object; its text is the message",
        "vLLM (401), transformers serve, Blaizzy/nativ#195",
    ),
    "error-detail": Rule(
        "report",
        "an error stood in `detail`; it is read",
        "LitServe, fastapi-openai-compat, llama-cpp-python (401)",
    ),
    "error-fields": Rule(
        "report",
        "an error missed one of its four fields, or had a number for one; numbers are read as text",
        "vLLM, SGLang, llama.cpp",
    ),
    "error-unframed": Rule(
        "report",
        "an error stood in a stream as a bare line, without `data:`; it is raised all the same",
        "servers whose error handler knows nothing of streams",
    ),
    "error-with-200": Rule(
        "report",
        "an error came with a good status; it is raised",
        "Azure/azure-sdk-for-net#44135 (Text Generation Inference)",
    ),
    "error-in-stream": Rule(
        "tolerate",
        "an error came within a stream; legal, so it is not listed: it is raised, and what came is kept",
        "octo-agent#910, OmniRoute#8210, doublewordai/control-layer#1048, jmunch-mcp#5",
        forbidden=False,
    ),
    "error-swallowed": Rule(
        "report",
        "an error within a stream became an empty delta and the end; raised as `StreamTruncatedError`",
        "Ollama, middleware/openai.go",
    ),
    "error-code": Rule(
        "tolerate",
        "an error has a `code`; legal, so it is not listed: the code is kept",
        "vercel/ai#13506",
        forbidden=False,
    ),
}

_CONTENT = {
    "content-with-calls": Rule(
        "tolerate",
        "content was empty or null beside tool calls; legal, so it is not listed, and sent back as it came",
        "ogx#1751 (NIM), cheetahclaws#72 (Ollama), vercel/ai#13744, aisix#514",
        forbidden=False,
    ),
    "reasoning-name": Rule(
        "tolerate",
        "reasoning came as `reasoning` or as `reasoning_content`; `reasoning_text` reads both, not listed",
        "vllm#33402, #50624 and #34030, litellm#20246, mlx-vlm#1408, langchain4j#4796",
        forbidden=False,
    ),
    "stop-leaks": Rule(
        "report",
        "the beginning of a stop sequence was let through; cannot be told from content",
        "mlx-knife#68, SwiftLM#126, smg#2203",
        seen="tests/protocol/test_stops.py",
    ),
    "stop-swallows": Rule(
        "report",
        "text that was held back for a stop sequence was lost; cannot be seen by a client",
        "koboldcpp#1031",
        seen="tests/protocol/test_stops.py",
    ),
    "special-token": Rule(
        "report",
        "content ends with what looks like a control token; nothing is removed",
        "vllm-ascend#9767, smg#1063, obsidian-copilot#2284",
        forbidden=False,
    ),
    "replacement-character": Rule(
        "report",
        "content has U+FFFD: a character was cut between two tokens",
        "llama-cpp-python#372, mlx-vlm#1076, llama.cpp#28926, runanywhere#848",
        forbidden=False,
    ),
    "logprobs-legacy": Rule(
        "repair",
        "logprobs had the shape of the old completions; `content` is made from it",
        "llama-cpp-python#1787, vllm#4795 and #5008",
    ),
    "logprob-null": Rule(
        "tolerate",
        "a `logprob` or the `top_logprobs` of a token were null or missing; they read as None and as none",
        "xinference#5252, vllm#47838",
    ),
    "limit-ignored": Rule(
        "report",
        "more tokens came than the request allowed",
        "ollama#7125, nextcloud#426, llama-cpp-python",
    ),
    "format-ignored": Rule(
        "report",
        "`response_format` asked for JSON, and the content is none",
        "vllm#53975",
    ),
    "goes-on": Rule(
        "report",
        "a server goes on when its client has left; cannot be seen by a client",
        "sglang#37833, #36475 and #36552, llama.cpp#24496, vllm#54947",
        seen="tests/server/test_answer.py",
    ),
}

RULES: dict[str, Rule] = {
    **_FRAMING,
    **_IDENTITY,
    **_CHOICES,
    **_CALLS,
    **_FINISH,
    **_ERRORS,
    **_CONTENT,
}
