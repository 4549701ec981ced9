"""llama.cpp: GGUF files of any kind and size, on what this machine has, by the package `xllamacpp`.

    engine = LlamaCppEngine("model.Q4_K_M.gguf")

llama.cpp computes and draws; everything that the protocol promises is made here, by the same plan, reader and
speaker as with numpy. Prompts reach it as token ids, written by our own rules; of the OpenAI server that the
package has, nothing is used.
"""

from __future__ import annotations

from .engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
