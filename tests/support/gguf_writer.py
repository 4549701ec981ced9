"""Small model files for tests: GGUF written here, with seeded random weights and a vocabulary of its own.

    path = tiny_model("qwen3", style="hermes", kind=Q8_0).write(tmp_path)

The models babble: what they say is printable and means nothing. Everything else about them is as in real files,
which llama.cpp reads, too: byte-level BPE, control tokens, and a chat template of one of four styles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from duologue.engines.local.gguf import GGUF

__all__ = [
    "BF16",
    "F16",
    "F32",
    "LETTERS",
    "Q8_0",
    "STYLES",
    "ModelFile",
    "Style",
    "as_f16",
    "encode_gguf",
    "tiny_model",
]

F32, F16, Q8_0, BF16 = 0, 1, 8, 30
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
ALIGNMENT = 32

# --- the format ------------------------------------------------------------------------------------------


def encode_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def encode_value(value: Any) -> bytes:
    """A metadata value with its type before it: whole numbers are u32 where they fit, i32 in lists."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int() if 0 <= value < 2**32:
            return struct.pack("<II", 4, value)
        case int():
            return struct.pack("<Ii" if value < 0 else "<IQ", 5 if value < 0 else 10, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + encode_text(value)
        case list():
            items = [
                struct.pack("<Ii", 5, item) if type(item) is int else encode_value(item) for item in value
            ]
            kind = items[0][:4] if items else struct.pack("<I", 4)
            count = struct.pack("<Q", len(items))
            return struct.pack("<I", 9) + kind + count + b"".join(item[4:] for item in items)
    raise TypeError(f"{value!r} has no place in a GGUF file")


def encode_tensor(array: np.ndarray, kind: int) -> bytes:
    if kind == F32:
        return array.astype("<f4").tobytes()
    if kind == F16:
        return array.astype("<f2").tobytes()
    if kind == BF16:
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    blocks = array.reshape(-1, 32)
    scales = np.maximum(np.abs(blocks).max(1), 1e-9) / 127
    packed = np.empty(len(blocks), [("scale", "<f2"), ("values", "i1", (32,))])
    packed["scale"], packed["values"] = scales, np.round(blocks / scales[:, None])
    return packed.tobytes()


Tensors = Mapping[str, tuple[np.ndarray, int]]


def encode_gguf(metadata: Mapping[str, Any], tensors: Tensors, *, version: int = 3) -> bytes:
    """A GGUF file of metadata, and of tensors each with its type's number."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += encode_text(key) + encode_value(value)
    body = b""
    for name, (array, kind) in tensors.items():
        head += encode_text(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *array.shape[::-1]) + struct.pack("<IQ", kind, len(body))
        body += encode_tensor(array, kind)
        body += bytes(-len(body) % ALIGNMENT)
    return head + bytes(-len(head) % ALIGNMENT) + body


@dataclass
class ModelFile:
    """What is going to be a model file; a test may change it before it is written."""

    metadata: dict[str, Any]
    tensors: dict[str, tuple[np.ndarray, int]]

    def encode(self) -> bytes:
        return encode_gguf(self.metadata, self.tensors)

    def write(self, folder: Path, name: str = "file.gguf") -> Path:
        path = folder / name
        path.write_bytes(self.encode())
        return path


def as_f16(source: Path, target: Path) -> Path:
    """A copy of a model file whose matrices are F16, which every backend computes alike; returns `target`."""
    file = GGUF(source)
    tensors = {
        name: (file.load(name, info.shape), F16 if len(info.shape) > 1 else F32)
        for name, info in file.tensors.items()
    }
    target.write_bytes(encode_gguf(file.metadata, tensors))
    return target


# --- chat styles -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How a family of models writes a conversation: its template, and the tokens that it is made with.

    `ends` are the tokens that end an answer, `bos` the one that begins a prompt; `defined` are tokens with a
    text that may be seen.
    """

    template: str
    ends: tuple[str, ...]
    control: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()
    bos: str | None = None


CHATML_HEAD = r"""
{%- set system = messages[0].content if messages[0].role == 'system' else '' %}
{%- if system or tools or extra %}
    {{- '<|im_start|>system\n' + system + extra }}
    {%- if tools %}
        {{- '\n# Tools\n<tools>' }}
        {%- for tool in tools %}
            {{- '\n' + tool | tojson }}
        {%- endfor %}
        {{- '\n</tools>\nCall one by <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call>' }}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endif %}
"""
CHATML_BODY = r"""
{%- for message in (messages[1:] if messages[0].role == 'system' else messages) %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson + '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""
HERMES = "{%- set extra = '' %}" + CHATML_HEAD + CHATML_BODY
THINK = (
    r"""
{%- set extra = '' %}
{%- if reasoning_effort is defined and reasoning_effort %}
    {%- set extra = extra + '\nReasoning: ' + reasoning_effort %}
{%- endif %}
{%- if verbosity is defined and verbosity %}
    {%- set extra = extra + '\nVerbosity: ' + verbosity %}
{%- endif %}
"""
    + CHATML_HEAD
    + CHATML_BODY
    + r"""
{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}
    {{- '<think>\n\n</think>\n\n' }}
{%- endif %}
"""
)
LLAMA3 = r"""
{{- bos_token }}
{%- for message in messages %}
    {%- set role = 'ipython' if message.role == 'tool' else message.role %}
    {{- '<|start_header_id|>' + role + '<|end_header_id|>\n\n' }}
    {%- if message.role == 'user' and tools and loop.last %}
        {{- 'Answer with {"name": function name, "parameters": dictionary of arguments}.\n' }}
        {%- for tool in tools %}
            {{- tool | tojson(indent=4) + '\n\n' }}
        {%- endfor %}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '{"name": "' + call.function.name + '", "parameters": ' }}
        {{- call.function.arguments | tojson + '}' }}
    {%- endfor %}
    {{- (message.content or '') + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
MISTRAL = r"""
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}
    {%- elif message.role == 'user' %}
        {%- if tools and loop.last %}
            {{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST]' + message.content + '[/INST]' }}
    {%- elif message.role == 'tool' %}
        {{- '[TOOL_RESULTS]' + message.content + '[/TOOL_RESULTS]' }}
    {%- else %}
        {{- message.content or '' }}
        {%- if message.tool_calls %}
            {{- '[TOOL_CALLS][' }}
            {%- for call in message.tool_calls %}
                {{- '{"name": "' + call.function.name + '", "arguments": ' }}
                {{- call.function.arguments | tojson + ', "id": "' + call.id[-9:] + '"}' }}
                {{- '' if loop.last else ', ' }}
            {%- endfor %}
            {{- ']' }}
        {%- endif %}
        {{- eos_token }}
    {%- endif %}
{%- endfor %}
"""
TOOL_CALL = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
STYLES: Mapping[str, Style] = {
    "hermes": Style(HERMES, ("<|im_end|>", "<|endoftext|>"), ("<|im_start|>",), TOOL_CALL),
    "think": Style(
        THINK, ("<|im_end|>", "<|endoftext|>"), ("<|im_start|>",), (*TOOL_CALL, "<think>", "</think>")
    ),
    "llama3": Style(
        LLAMA3,
        ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"),
        bos="<|begin_of_text|>",
    ),
    "mistral": Style(
        MISTRAL,
        ("</s>",),
        ("<s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
         "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        bos="<s>",
    ),
}  # fmt: skip

# --- the vocabulary --------------------------------------------------------------------------------------


def _letters() -> Iterator[str]:
    """GPT-2's alphabet: a printable letter for each byte."""
    spare = iter(range(256, 512))
    for byte in range(256):
        printable = chr(byte).isprintable() and byte not in (32, 0xA0, 0xAD)
        yield chr(byte) if printable else chr(next(spare))


LETTERS = tuple(_letters())
# What the merges build, one letter after the other: bits of English and of JSON, and one that spans words.
WORDS = (
    "the", "and", "ing", "ion", "er", "on", "at", "is", "it", "re", " the", " a", " to", " of", " in", " you",
    " and", " call", "name", "user", "assistant", '{"', '":', '",', '"}', "}}", "\n\n", "  ", "é", "→", "10",
)  # fmt: skip


def _vocabulary(style: Style) -> dict[str, Any]:
    tokens, merges = list(LETTERS), []
    for word in WORDS:
        spelled = "".join(LETTERS[byte] for byte in word.encode())
        for size in range(2, len(spelled) + 1):
            if spelled[:size] not in tokens:
                tokens.append(spelled[:size])
                merges.append(f"{spelled[: size - 1]} {spelled[size - 1]}")
    plain = len(tokens)
    tokens += [*style.ends, *style.control, *style.defined]
    hidden = len(style.ends) + len(style.control)
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [
            *[NORMAL] * plain, *[CONTROL] * hidden, *[USER_DEFINED] * len(style.defined),
        ],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": style.template,
    }  # fmt: skip
    for key, token in zip(("eos", "eot", "eom"), style.ends, strict=False):
        found[f"tokenizer.ggml.{key}_token_id"] = tokens.index(token)
    if style.bos:
        found["tokenizer.ggml.bos_token_id"] = tokens.index(style.bos)
    return found


def _bias(metadata: Mapping[str, Any]) -> np.ndarray:
    """What is added to each token's logit: 0 for what can be read and for the end, so much less else."""
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    ascii_letters = {LETTERS[byte] for byte in range(32, 127)}
    readable = [
        kind == NORMAL and set(text) <= ascii_letters for text, kind in zip(tokens, kinds, strict=True)
    ]
    bias = np.where(readable, 0.0, -20.0)
    bias[metadata["tokenizer.ggml.eos_token_id"]] = 0.0
    return bias


# --- the weights -----------------------------------------------------------------------------------------

# What tells the architectures apart, for a writer: vectors besides the matrices, by their length's name.
QUERY_KEY_VALUE_BIAS = {"attn_q.bias": "queries", "attn_k.bias": "keys", "attn_v.bias": "keys"}
QUERY_KEY_NORM = {"attn_q_norm.weight": "head", "attn_k_norm.weight": "head"}
VECTORS: Mapping[str, Mapping[str, str]] = {
    "llama": {},
    "qwen2": QUERY_KEY_VALUE_BIAS,
    "qwen3": QUERY_KEY_NORM,
}


def tiny_model(
    architecture: str = "qwen3",
    *,
    style: str = "hermes",
    kind: int = F32,
    seed: int = 1,
    context: int = 2048,
    tied: bool = False,
) -> ModelFile:
    """A model of two layers, 64 wide, with four heads in two groups; `kind` is the type of its matrices.

    Its answers end by themselves, mostly after 20 to 200 tokens. One with tied embeddings says anything at all.
    """
    layers, width, heads, groups, forward = 2, 64, 4, 2, 128
    head = 32 if architecture == "qwen3" else width // heads
    sizes = {"queries": heads * head, "keys": groups * head, "head": head}
    metadata: dict[str, Any] = {
        "general.architecture": architecture,
        "general.name": f"tiny {architecture}",
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": width,
        f"{architecture}.block_count": layers,
        f"{architecture}.feed_forward_length": forward,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": groups,
        f"{architecture}.attention.key_length": head,
        f"{architecture}.attention.value_length": head,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{architecture}.rope.freq_base": 1e5,
        f"{architecture}.rope.dimension_count": head,
        **_vocabulary(STYLES[style]),
    }
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return random.normal(0, scale * columns**-0.5, (rows, columns)).astype(np.float32)

    def norm(size: int) -> np.ndarray:
        return random.uniform(0.5, 1.5, size).astype(np.float32)

    queries, keys = sizes["queries"], sizes["keys"]
    vocabulary = len(metadata["tokenizer.ggml.tokens"])
    weights = {"token_embd.weight": matrix(vocabulary, width, 8.0), "output_norm.weight": norm(width)}
    for layer in range(layers):
        weights |= {
            f"blk.{layer}.{name}": array
            for name, array in {
                "attn_norm.weight": norm(width),
                "attn_q.weight": matrix(queries, width, 2.0),
                "attn_k.weight": matrix(keys, width, 2.0),
                "attn_v.weight": matrix(keys, width, 2.0),
                "attn_output.weight": matrix(width, queries),
                "ffn_norm.weight": norm(width),
                "ffn_gate.weight": matrix(forward, width),
                "ffn_up.weight": matrix(forward, width),
                "ffn_down.weight": matrix(width, forward),
                **{
                    name: norm(sizes[of]) if "norm" in name else matrix(sizes[of], 1, 0.5)[:, 0]
                    for name, of in VECTORS[architecture].items()
                },
            }.items()
        }
    if not tied:
        _favour(weights, matrix(vocabulary, width, 2.5), _bias(metadata), layers)
    return ModelFile(
        metadata, {name: (array, kind if array.ndim > 1 else F32) for name, array in weights.items()}
    )


def _favour(weights: dict[str, np.ndarray], head: np.ndarray, bias: np.ndarray, layers: int) -> None:
    """Add a head whose logits carry a bias: by a coordinate that is the same for all tokens, and stays so."""
    weights["token_embd.weight"][:, 0] = 2.0
    weights["output_norm.weight"][0] = 1.0
    for layer in range(layers):
        for name in ("attn_output", "ffn_down"):
            weights[f"blk.{layer}.{name}.weight"][0] = 0.0
    head[:, 0] = bias
    weights["output.weight"] = head
