"""Every parameter of a request, asking for something that is not its default."""

from __future__ import annotations

from typing import Any

__all__ = ["ASKING", "TOOL"]

TOOL = {"type": "function", "function": {"name": "f"}}

# A value that is not the default of its parameter, and what must stand beside it.
ASKING: dict[str, dict[str, Any]] = {
    "audio": {"audio": {"format": "wav", "voice": "x"}, "modalities": ["audio"]},
    "frequency_penalty": {"frequency_penalty": 1},
    "function_call": {"function_call": {"name": "f"}, "functions": [{"name": "f"}]},
    "functions": {"functions": [{"name": "f"}]},
    "logit_bias": {"logit_bias": {"1": 1}},
    "logprobs": {"logprobs": True},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "max_tokens": {"max_tokens": 5},
    "metadata": {"metadata": {"a": "b"}},
    "modalities": {"audio": {"format": "wav", "voice": "x"}, "modalities": ["audio"]},
    "moderation": {"moderation": {"model": "x"}},
    "n": {"n": 2},
    "parallel_tool_calls": {"parallel_tool_calls": False, "tools": [TOOL]},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "presence_penalty": {"presence_penalty": 1},
    "prompt_cache_key": {"prompt_cache_key": "x"},
    "prompt_cache_options": {"prompt_cache_options": {"ttl": "30m"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "reasoning_effort": {"reasoning_effort": "high"},
    "response_format": {"response_format": {"type": "json_object"}},
    "safety_identifier": {"safety_identifier": "x"},
    "seed": {"seed": 1},
    "service_tier": {"service_tier": "flex"},
    "stop": {"stop": "x"},
    "store": {"store": True},
    "temperature": {"temperature": 0.5},
    "tool_choice": {"tool_choice": "required", "tools": [TOOL]},
    "tools": {"tools": [TOOL]},
    "top_logprobs": {"top_logprobs": 2, "logprobs": True},
    "top_p": {"top_p": 0.5},
    "user": {"user": "x"},
    "verbosity": {"verbosity": "low"},
    "web_search_options": {"web_search_options": {}},
}
