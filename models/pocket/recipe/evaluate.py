"""Asks the model the held-out prompts, and prints the table: `python -m recipe.evaluate`, from models/pocket.

It needs Duologue and nothing of the training. `--set dev` asks those that the generator was bettered by; `--wrong`
prints every answer that is not right, too.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from duologue.engine import Text, ToolArguments, ToolCall
from duologue.engines.local import LocalEngine
from duologue.types.chat.request import ChatRequest

__all__ = ["evaluate", "main", "read"]

POCKET = Path(__file__).parents[1]
SETS = ("eval", "dev")
JUDGE = POCKET / "eval" / "judge.py"
MODEL = POCKET / "src" / "duologue_pocket" / "pocket-q8_0.gguf"
# What the figures are held against, in percent, where there is a target.
TARGETS = {"tools": 90, "json": 85, "repeat": 85, "faq": 90, "arithmetic": 80, "unknown": 90}
PARAMETERS = {"temperature": 0, "max_completion_tokens": 300}

Case = dict[str, Any]
Message = dict[str, Any]
Judge = Callable[[Case, Message], bool]


@dataclass(frozen=True)
class Result:
    """A case, the model's answer, and whether it is right."""

    case: Case
    message: Message
    right: bool


def main() -> None:
    """Ask, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, default=MODEL)
    arguments.add_argument("--set", choices=SETS, default=SETS[0])
    arguments.add_argument("--wrong", action="store_true")
    options = arguments.parse_args()
    print("| prompts | right | of | share | target |\n|---|---|---|---|---|")
    for name, results in asyncio.run(evaluate(options.model, read(POCKET / options.set))).items():
        right, target = sum(result.right for result in results), TARGETS.get(name)
        share, wanted = f"{100 * right / len(results):.0f} %", f"{target} %" if target else ""
        print(f"| {name} | {right} | {len(results)} | {share} | {wanted} |")
        for result in results:
            if options.wrong and not result.right:
                said, answer = (
                    result.case["messages"][-1]["content"],
                    json.dumps(result.message, ensure_ascii=False),
                )
                print(f"    {said!r} -> {answer}")


def read(folder: Path) -> dict[str, list[Case]]:
    """The cases in a folder by the name of their file, those with a target first."""
    others = sorted(path.stem for path in folder.glob("*.jsonl") if path.stem not in TARGETS)
    lines = {name: (folder / f"{name}.jsonl").read_text("utf-8").splitlines() for name in (*TARGETS, *others)}
    return {name: [json.loads(line) for line in found] for name, found in lines.items()}


async def evaluate(model: Path, cases: dict[str, list[Case]]) -> dict[str, list[Result]]:
    """The model's results, by the same names."""
    judge, engine = _judge(), LocalEngine(model, model="pocket")
    found: dict[str, list[Result]] = {name: [] for name in cases}
    for name, asked in cases.items():
        for case in asked:
            message = await _ask(engine, case)
            found[name].append(Result(case, message, judge(case, message)))
    await engine.close()
    return found


async def _ask(engine: LocalEngine, case: Case) -> Message:
    """The assistant message that answers a case."""
    body = {name: value for name, value in case.items() if name != "expect"}
    request = msgspec.convert({"model": "pocket", **PARAMETERS, **body}, ChatRequest)
    content, calls = "", list[dict[str, Any]]()
    async for event in engine.generate(request):
        match event:
            case Text(text=text):
                content += text
            case ToolCall(name=name):
                calls.append({"type": "function", "function": {"name": name, "arguments": ""}})
            case ToolArguments(text=text, index=index):
                calls[index]["function"]["arguments"] += text
    return {"role": "assistant", "content": content or None, "tool_calls": calls or None}


def _judge() -> Judge:
    """The judge beside the prompts, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    judge: Judge = module.judge
    return judge


if __name__ == "__main__":
    main()
