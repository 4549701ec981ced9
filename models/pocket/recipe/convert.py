"""Writes the trained network as GGUF: `python -m recipe.convert`, from models/pocket.

The file has all that an engine needs: sizes, weights in Q8_0 (norms in F32), vocabulary, merges and chat template.
Beside the recipe goes a sample of texts with their tokens, by which any other tokenizer can be checked.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .dialogue import dialogue
from .network import Sizes
from .shards import tokenizer
from .train import BUILD, CHECKPOINT
from .vocabulary import CONTROL, TAGS, merges_of, tokens_of
from .voice import Voice

__all__ = ["convert", "main"]

POCKET = Path(__file__).parents[1]
WHEEL = POCKET / "src" / "duologue_pocket" / "pocket-q8_0.gguf"
SAMPLE = POCKET / "encodings.json"
SAMPLE_DIALOGUES = 100
ODD = (
    "",
    " ",
    "\n\n\n",
    "  two  spaces ",
    "\tTab\r\nline",
    "Don't we'll I'M they'RE",
    "über Straße naïve Łódź",
    "日本語 テスト",
    "🙂👍🏽 emoji",
    "½ Ⅳ ² 3.14 1,000,000",
    "a_b-c.d/e\\f",
    '{"key": [1, true, null]}',
    "x" * 70,
    "\u00a0\u2003wide\u200b",
    "ΑΒΓ абв אבג عربي",
    "e\u0301 combining",
    "``code``  # end\n\n  if x: pass",
)
FORMATS = {
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
}

# The tensors of a layer that are the same here and there, by GGUF's names.
SAME = {
    "attn_norm": "attention_norm",
    "attn_output": "output",
    "ffn_norm": "feed_norm",
    "ffn_down": "down",
}


def main() -> None:
    """Convert the checkpoint into the wheel's folder, or elsewhere."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--to", type=Path, default=WHEEL)
    arguments.add_argument("--format", choices=FORMATS, default="q8_0")
    options = arguments.parse_args()
    convert(options.to, options.format)
    if options.to == WHEEL:
        sample(SAMPLE)
    print(f"{options.to}: {options.to.stat().st_size:,} bytes")


def convert(path: Path, form: str) -> None:
    """Write the checkpoint in the build folder to `path`."""
    state = torch.load(CHECKPOINT, weights_only=True)
    sizes = Sizes(**state["sizes"])
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("pocket")
    writer.add_description("The small demonstration model of Duologue")
    writer.add_license("Apache-2.0")
    _describe(writer, sizes, FORMATS[form][1])
    _spell(writer)
    for name, tensor in _tensors(state["network"], sizes).items():
        kind = FORMATS[form][0] if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def sample(path: Path) -> None:
    """Write texts and the tokens that training has for them."""
    encoder = tokenizer(BUILD)
    said = (
        message["content"]
        for i in range(SAMPLE_DIALOGUES)
        for message in dialogue(Voice(f"sample-{i}")).messages
    )
    texts = [*ODD, *dict.fromkeys(said)]
    plain = [text for text in texts if not any(tag in text for tag in (*CONTROL, *TAGS))]
    rows = [[text, encoder.encode(text, add_special_tokens=False).ids] for text in plain]
    path.write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n", "utf-8"
    )


def _describe(writer: gguf.GGUFWriter, sizes: Sizes, kind: gguf.LlamaFileType) -> None:
    writer.add_file_type(kind)
    writer.add_vocab_size(sizes.vocabulary)
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.feed_forward)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.groups)
    writer.add_key_length(sizes.head_width)
    writer.add_value_length(sizes.head_width)
    writer.add_rope_dimension_count(sizes.head_width)
    writer.add_rope_freq_base(sizes.rope_base)
    writer.add_layer_norm_rms_eps(sizes.epsilon)


def _spell(writer: gguf.GGUFWriter) -> None:
    encoder = tokenizer(BUILD)
    tokens = tokens_of(encoder)
    kinds = dict.fromkeys(CONTROL, gguf.TokenType.CONTROL) | dict.fromkeys(TAGS, gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([f"{left} {right}" for left, right in merges_of(encoder)])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template((Path(__file__).parent / "template.jinja").read_text("utf-8"))


def _tensors(weights: dict[str, Tensor], sizes: Sizes) -> dict[str, NDArray[np.float32]]:
    """The weights by GGUF's names; what training keeps stacked is taken apart."""
    queries, keys = sizes.heads * sizes.head_width, sizes.groups * sizes.head_width
    named = {"token_embd": weights["embedding.weight"], "output_norm": weights["norm.weight"]}
    for index in range(sizes.layers):
        ours, theirs = f"layers.{index}", f"blk.{index}"
        query, key, value = torch.split(weights[f"{ours}.qkv.weight"], [queries, keys, keys])
        gate, up = weights[f"{ours}.gate_up.weight"].chunk(2)
        parts = {"attn_q": query, "attn_k": key, "attn_v": value, "ffn_gate": gate, "ffn_up": up}
        parts |= {their: weights[f"{ours}.{our}.weight"] for their, our in SAME.items()}
        named |= {f"{theirs}.{name}": tensor for name, tensor in parts.items()}
    return {f"{name}.weight": tensor.float().contiguous().numpy() for name, tensor in named.items()}


if __name__ == "__main__":
    main()
