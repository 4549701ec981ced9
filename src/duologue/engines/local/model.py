"""A model file made ready: its tokenizer, chat template, weights, and what its tokens mean to the engine."""

from __future__ import annotations

import threading
from pathlib import Path

from .constraint import Constraints
from .gguf import GGUF
from .llama import Llama, LlamaConfig
from .prompt import PromptWriter
from .template import ChatTemplate
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

__all__ = ["ChatModel", "Model"]

# Metadata keys of tokens that end an answer.
END_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
# Files do not always name them all; these control tokens end an answer wherever they are.
END_TOKENS = frozenset(
    (
        *("</s>", "<eos>", "<end_of_turn>", "<|end|>", "<|end_of_text|>"),
        *("<|endoftext|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>"),
    )
)
# The most characters of a model's name that count, and the most of a chat template that is compiled.
MAX_NAME = 100
MAX_TEMPLATE = 2**18


class ChatModel:
    """What a model file says about conversations, whatever computes with its weights.

    `context` is the most positions of a sequence, `ends` are the tokens that end an answer, `forbidden` those
    that are never picked: control tokens that end nothing, and unused ones. `constraints` hold answers to
    grammars. Raises `GGUFError` for a file that cannot hold a conversation.
    """

    def __init__(self, file: GGUF, tokenizer: Vocabulary, context: int) -> None:
        self.name = _name(file)
        self.context = context
        self.tokenizer = tokenizer
        named = {_token(file, key, len(tokenizer)) for key in END_KEYS if key in file.metadata}
        known = {tokenizer.special[text] for text in END_TOKENS & tokenizer.special.keys()}
        self.ends = frozenset(named | (known & tokenizer.control))
        if not self.ends:
            raise file.error(f"names no token that ends an answer ({END_KEYS[0]}); convert the model again")
        self.forbidden = (tokenizer.control | tokenizer.unused) - self.ends
        self.prompts = PromptWriter(_template(file, tokenizer), tokenizer)
        self.constraints = Constraints(tokenizer, self.ends)


class Model(ChatModel):
    """A file whose weights are read here, by `weights`, once. Opening it reads and checks its head.

    Raises `GGUFError` for a file that this engine cannot run.
    """

    def __init__(self, path: str | Path) -> None:
        file = GGUF(path)
        self.config = LlamaConfig.read(file)
        super().__init__(file, Tokenizer(file), self.config.context)
        self._file = file
        self._weights: Llama | None = None
        self._loading = threading.Lock()

    def weights(self) -> Llama:
        """The weights, read at the first call; any thread may ask."""
        with self._loading:
            if self._weights is None:
                self._weights = Llama(self._file, self.config)
                self._file.close()
            return self._weights


def _name(file: GGUF) -> str:
    """The model's name in one line, or else its file's."""
    given = file.text("general.name", "")[:MAX_NAME]
    return " ".join("".join(c if c.isprintable() else " " for c in given).split()) or file.path.stem


def _token(file: GGUF, key: str, vocabulary: int) -> int:
    return file.integer(key, 0, vocabulary - 1)


def _template(file: GGUF, tokenizer: Vocabulary) -> ChatTemplate:
    source = file.metadata.get("tokenizer.chat_template")
    if not isinstance(source, str):
        raise file.error("has no chat template; take a model made for chat (often called 'instruct')")
    names = {"bos_token": "tokenizer.ggml.bos_token_id", "eos_token": "tokenizer.ggml.eos_token_id"}
    tokens = {
        name: tokenizer.pieces[_token(file, key, len(tokenizer))].decode("utf-8", "replace")
        if key in file.metadata
        else ""
        for name, key in names.items()
    }
    if len(source) > MAX_TEMPLATE:
        raise file.error(
            f"has a chat template of {len(source)} characters, more than {MAX_TEMPLATE}; take another"
        )
    try:
        return ChatTemplate(source, **tokens)
    except Exception as error:  # of Jinja, and of Python for what is nested too deeply
        reason = " ".join(str(error).split())
        raise file.error(f"has a chat template that does not parse ({reason:.80}); take another") from error
