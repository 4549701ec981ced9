"""The embedded model behind the engine port: each parameter has its effect, and all of them end as they say."""

from __future__ import annotations

import asyncio
import json
import math
import platform
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from duologue._version import __version__
from duologue.engine import Engine, Finish, Head, Text, Usage
from duologue.engines.local import LocalEngine, default_engine
from duologue.protocol.errors import BadRequestError, InternalServerError

STORY = "Write some random sentences."
COUNT = "Count from 1 to 9."


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "duologue-pocket"]


async def test_it_answers(ask):
    answer = await ask("Hello", temperature=0)
    assert answer.text == "Hello! How can I help you today?"
    assert answer.reasons == ["stop"]


async def test_what_it_is(pocket):
    assert isinstance(pocket, Engine)
    assert pocket.models == ("pocket",)
    assert set(pocket.supports.values()) == {"native"}


async def test_the_order_of_events(ask):
    """A head that names model and backend, text token by token, the end, and the usage last."""
    head, *texts, finish, usage = (await ask(COUNT, temperature=0)).events
    assert isinstance(head, Head)
    name, numpy, blas, machine, version = head.system_fingerprint.split(" ")
    assert (name, version) == ("pocket", f"duologue-{__version__}")
    assert numpy.startswith("numpy-")
    assert blas
    assert machine.startswith(platform.machine())
    assert all(isinstance(event, Text) and event.tokens == 1 for event in texts)
    assert finish == Finish("stop")
    assert usage.completion_tokens == len(texts) + 1  # the end is a token, too


async def test_temperature_0_repeats_and_a_higher_one_varies(ask):
    assert len({(await ask(STORY, temperature=0)).text for _ in range(3)}) == 1
    assert len({(await ask(STORY, temperature=1.5, max_tokens=12)).text for _ in range(6)}) > 1


async def test_the_default_temperature_is_1(ask):
    assert (await ask(STORY, seed=3)).text == (await ask(STORY, seed=3, temperature=1, top_p=1)).text


async def test_a_seed_repeats_and_seeds_differ(ask):
    answers = [
        (await ask(STORY, temperature=1.5, seed=seed, max_tokens=20)).text for seed in (1, 2, 3, 1, 2, 3)
    ]
    assert answers[:3] == answers[3:]
    assert len(set(answers)) > 1


@pytest.mark.parametrize("top_p", [0, 1e-6])
async def test_a_tiny_top_p_is_greedy(ask, top_p):
    greedy = (await ask(STORY, temperature=0, max_tokens=20)).text
    assert {(await ask(STORY, temperature=2, top_p=top_p, seed=s, max_tokens=20)).text for s in range(3)} == {
        greedy
    }


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        pytest.param("5", "1, 2, 3, 4, ", id="one token"),
        pytest.param(", 5, 6", "1, 2, 3, 4", id="across tokens"),
        pytest.param(["9", "3, 4"], "1, 2, ", id="the first of two"),
        pytest.param("1", "", id="at once"),
        pytest.param(", 9 and more", "1, 2, 3, 4, 5, 6, 7, 8, 9", id="only its beginning"),
    ],
)
async def test_stop(ask, stop, text):
    answer = await ask(COUNT, temperature=0, stop=stop)
    assert (answer.text, answer.reasons) == (text, ["stop"])


async def test_a_stop_counts_the_tokens_it_took(ask):
    whole = await ask(COUNT, temperature=0)
    cut = await ask(COUNT, temperature=0, stop=", 5")
    assert cut.usage[1] < whole.usage[1]
    shown = sum(event.tokens for event in cut.events if isinstance(event, Text))
    assert shown < cut.usage[1] <= shown + 3


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_a_limit_ends_with_length_and_the_exact_usage(ask, name, limit):
    answer = await ask(COUNT, temperature=0, **{name: limit})
    assert answer.reasons == ["length"]
    assert answer.usage[1] == limit == sum(event.tokens for event in answer.events if isinstance(event, Text))
    assert (await ask(COUNT, temperature=0)).text.startswith(answer.text)


async def test_a_limit_that_the_answer_just_meets_is_no_limit(ask):
    whole = await ask(COUNT, temperature=0)
    assert (await ask(COUNT, temperature=0, max_tokens=whole.usage[1])).reasons == ["stop"]
    assert (await ask(COUNT, temperature=0, max_tokens=whole.usage[1] - 1)).reasons == ["length"]


async def test_text_held_back_for_a_stop_comes_out_at_the_limit(ask):
    answer = await ask(COUNT, temperature=0, max_tokens=4, stop="2, 3")
    assert answer.text == (await ask(COUNT, temperature=0, max_tokens=4)).text


async def test_the_context_is_a_limit_too(ask, model):
    """An answer that never ends on its own fills what the prompt leaves."""
    tokens = model.tokenizer.encode("word " * model.context)
    long = model.tokenizer.decode(tokens[: model.context - 60]).decode()
    endless = {str(token): -100 for token in model.ends}
    answer = await ask(long, temperature=2, seed=1, max_tokens=10_000, logit_bias=endless)
    assert sum(answer.usage) == model.context
    assert answer.reasons == ["length"]


async def test_a_prompt_over_the_context_is_refused_before_any_event(pocket, make_request, model):
    events = pocket.generate(make_request("word " * (model.context + 60)))
    with pytest.raises(BadRequestError, match=f"context is {model.context} tokens") as caught:
        await anext(events)
    assert caught.value.code == "context_length_exceeded"


async def test_choices_differ_and_share_the_prompt(ask):
    alone = await ask(STORY, temperature=1.5, seed=4, max_tokens=20)
    answer = await ask(STORY, temperature=1.5, seed=4, max_tokens=20, n=3)
    assert len(set(answer.texts)) == 3
    assert answer.texts[0] == alone.text
    assert answer.usage[0] == alone.usage[0]
    again = await ask(STORY, temperature=1.5, seed=4, max_tokens=20, n=3)
    assert again.texts == answer.texts
    assert answer.texts[2] == (await ask(STORY, temperature=1.5, seed=6, max_tokens=20)).text


async def test_choices_are_counted_together_and_end_for_themselves(ask):
    answer = await ask("Hello", temperature=1.2, seed=1, n=8)
    one = [(await ask("Hello", temperature=1.2, seed=1 + index)).usage[1] for index in range(8)]
    assert answer.usage[1] == sum(one)
    assert len(answer.reasons) == 8
    assert isinstance(answer.events[-1], Usage)


async def test_the_largest_n_is_answered(ask):
    answer = await ask("Hello", n=128, max_tokens=1)
    assert len(answer.texts) == 128
    assert answer.usage[1] == 128


# --- what is told of the tokens --------------------------------------------------------------------------


def entries(answer) -> list:
    return [entry for event in answer.events if isinstance(event, Text) for entry in event.logprobs or ()]


async def test_each_token_of_the_text_has_its_logprob(ask):
    answer = await ask(STORY, temperature=0, logprobs=True, top_logprobs=3, max_tokens=10)
    found = entries(answer)
    assert len(found) == 10
    assert b"".join(bytes(entry.bytes) for entry in found) == answer.text.encode()
    for event in answer.events:
        if isinstance(event, Text):
            assert "".join(entry.token for entry in event.logprobs) == event.text
    for entry in found:
        (likeliest, *others) = entry.top_logprobs
        assert len(others) == 2
        assert (likeliest.token, likeliest.bytes, likeliest.logprob) == (
            entry.token,
            entry.bytes,
            entry.logprob,
        )
        assert 0 >= likeliest.logprob >= others[0].logprob >= others[1].logprob
        assert sum(math.exp(top.logprob) for top in entry.top_logprobs) <= 1 + 1e-9


@pytest.mark.parametrize(("asked", "count"), [(None, 0), (0, 0), (1, 1), (20, 20)])
async def test_as_many_likeliest_tokens_as_asked_for(ask, asked, count):
    more = {} if asked is None else {"top_logprobs": asked}
    answer = await ask(STORY, temperature=0, logprobs=True, max_tokens=3, **more)
    assert [len(entry.top_logprobs) for entry in entries(answer)] == [count] * 3


async def test_logprobs_are_the_models_own_whatever_is_done_to_pick_from_them(ask, model):
    """Those of the first token stay what they are when another one is picked."""
    plain = entries(await ask(STORY, temperature=0, logprobs=True, top_logprobs=20, max_tokens=1))[0]
    other = plain.top_logprobs[1]
    token = model.tokenizer.pieces.index(bytes(other.bytes))
    forced = entries(
        await ask(
            STORY,
            temperature=2,
            top_p=0.5,
            logit_bias={str(token): 100},
            logprobs=True,
            top_logprobs=20,
            max_tokens=1,
        )
    )[0]
    assert forced.top_logprobs == plain.top_logprobs
    assert (forced.token, forced.logprob) == (other.token, other.logprob)


async def test_there_are_no_logprobs_unless_asked_for(ask):
    answer = await ask(STORY, max_tokens=5, logprobs=False)
    assert all(event.logprobs is None for event in answer.events if isinstance(event, Text))


# --- bias and penalties ----------------------------------------------------------------------------------


def letter(model, text: str) -> str:
    """The id of the token of a letter, as a key of `logit_bias`."""
    (token,) = model.tokenizer.encode(text)
    return str(token)


async def test_a_bias_bans_and_selects_at_any_temperature(ask, model):
    only = await ask(STORY, temperature=2, logit_bias={letter(model, "q"): 100}, max_tokens=9)
    assert (only.text, only.reasons) == ("q" * 9, ["length"])
    ends = {str(token): -100 for token in model.ends}
    endless = await ask("Hello", temperature=1, logit_bias=ends, max_tokens=150)
    assert endless.reasons == ["length"]


async def test_a_bias_on_the_end_ends(ask, model):
    end = model.tokenizer.special["<|im_end|>"]
    answer = await ask(STORY, logit_bias={str(end): 100})
    assert (answer.text, answer.reasons, answer.usage[1]) == ("", ["stop"], 1)


async def test_a_bias_on_an_unknown_id_is_refused_before_any_event(pocket, make_request):
    with pytest.raises(BadRequestError, match="'999999' is no token id") as caught:
        await anext(pocket.generate(make_request("Hello", logit_bias={"999999": 1})))
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
async def test_a_penalty_makes_what_has_come_less_likely(ask, model, name):
    """Of letters alone, the likeliest come again and again; punished, more of them come."""
    bias = {letter(model, text): 100 for text in "abcdefghijklmnopqrstuvwxyz"}
    plain = await ask(STORY, temperature=0, logit_bias=bias, max_tokens=12)
    punished = await ask(STORY, temperature=0, logit_bias=bias, max_tokens=12, **{name: 2})
    assert len(set(punished.text)) > len(set(plain.text))


async def test_the_prompt_is_not_punished(ask, model):
    """The first token is picked as if there were no penalties, though the prompt is full of it."""
    prompt = "qqqq vvvv zzzz " * 9
    bias = {letter(model, text): 100 for text in "qvz"}
    first = [
        (await ask(prompt, temperature=0, logit_bias=bias, max_tokens=1, presence_penalty=penalty)).text
        for penalty in (-2, 0, 2)
    ]
    assert len(set(first)) == 1


# --- predicted output ------------------------------------------------------------------------------------


def rejected(answer) -> tuple[int, int]:
    usage = answer.events[-1]
    return usage.accepted_prediction_tokens, usage.rejected_prediction_tokens


@pytest.mark.parametrize("temperature", [0, 0.7, 1.5])
async def test_a_prediction_changes_nothing_but_the_usage(ask, temperature):
    for seed in range(4):
        plain = await ask(STORY, temperature=temperature, seed=seed, max_tokens=60)
        words = plain.text.split(" ")
        for predicted in (plain.text, " ".join(words[3:]), " ".join(words[::2]), "Something else."):
            prediction = {"type": "content", "content": predicted}
            answer = await ask(
                STORY, temperature=temperature, seed=seed, max_tokens=60, prediction=prediction
            )
            assert (answer.text, answer.reasons) == (plain.text, plain.reasons)
            wrong = rejected(answer)[1]
            assert answer.usage == (plain.usage[0], plain.usage[1] + wrong)


async def test_what_is_predicted_right_is_accepted(ask):
    plain = await ask(COUNT, temperature=0)
    whole = {"type": "content", "content": [{"type": "text", "text": plain.text}]}
    right, wrong = rejected(await ask(COUNT, temperature=0, prediction=whole))
    assert right > plain.usage[1] / 2
    assert wrong == 0
    right, wrong = rejected(
        await ask(COUNT, temperature=0, prediction={"type": "content", "content": "~~~~~~"})
    )
    assert right == 0
    assert wrong > 0


async def test_without_a_prediction_the_usage_does_not_speak_of_one(ask):
    assert rejected(await ask("Hello")) == (None, None)


async def test_a_prediction_longer_than_any_answer_costs_no_more(ask):
    began = time.perf_counter()
    answer = await ask("Hello", temperature=0, prediction={"type": "content", "content": "Hello! " * 10**6})
    assert answer.text == (await ask("Hello", temperature=0)).text
    assert time.perf_counter() - began < 5  # to encode all of it takes longer


async def test_each_choice_has_the_prediction(ask):
    plain = await ask(STORY, temperature=1, seed=1, n=3, max_tokens=40)
    prediction = {"type": "content", "content": plain.texts[0]}
    answer = await ask(STORY, temperature=1, seed=1, n=3, max_tokens=40, prediction=prediction)
    assert answer.texts == plain.texts
    assert answer.usage[1] - rejected(answer)[1] == plain.usage[1]


async def test_a_right_prediction_saves_most_of_the_steps(ask, model, make_request, count_steps):
    plain = await ask("What is Duologue?", temperature=0)
    prediction = {"type": "content", "content": plain.text}
    assert count_steps(model, make_request("What is Duologue?", temperature=0)) == plain.usage[1]
    assert (
        count_steps(model, make_request("What is Duologue?", temperature=0, prediction=prediction))
        < plain.usage[1] / 3
    )


# --- many at once ----------------------------------------------------------------------------------------


async def test_an_answer_is_the_same_whatever_is_answered_beside_it(ask):
    """Sampled with a seed, alone and among others that come and go."""
    asked = {"temperature": 1.5, "seed": 5, "max_tokens": 30, "logprobs": True, "top_logprobs": 2}
    alone = await ask(STORY, **asked)
    crowd = [ask("word " * 20 * i, temperature=2, n=1 + i % 3, max_tokens=5 * i) for i in range(1, 6)]
    answers = await asyncio.gather(ask(STORY, **asked), *crowd, ask(STORY, **asked), ask(STORY, **asked))
    for answer in (answers[0], *answers[-2:]):
        assert answer.events == alone.events


async def say(engine, request) -> list[tuple[str, int]]:
    """The texts of an answer, and how many tokens each took."""
    events = [event async for event in engine.generate(request)]
    return [(event.text, event.tokens) for event in events if isinstance(event, Text)]


@pytest.mark.parametrize(
    ("said", "parameters", "pieces"),
    [
        pytest.param("aé🎉".encode(), {}, [("a", 1), ("é", 2), ("🎉", 4)], id="whole characters"),
        pytest.param(b"a\xff\xc3b", {}, [("a", 1), ("\ufffd", 1), ("\ufffdb", 2)], id="bytes that are none"),
        pytest.param("a🎉".encode(), {"max_tokens": 3}, [("a", 1), ("\ufffd", 2)], id="cut by the limit"),
        pytest.param("aéxy".encode(), {"stop": "éx"}, [("a", 1)], id="a stop of several bytes"),
        pytest.param(
            "aéxy".encode(), {"stop": "éz"}, [("a", 1), ("éx", 3), ("y", 1)], id="no stop after all"
        ),
        pytest.param(b"xy", {"stop": "yz"}, [("x", 1), ("y", 1)], id="a stop that never ends"),
    ],
)
async def test_text_comes_in_whole_characters_each_with_its_tokens(
    said, parameters, pieces, script, make_request
):
    assert await say(script(said), make_request("the", temperature=0, **parameters)) == pieces


async def test_a_control_token_is_never_said_however_likely(script, make_request):
    pieces = await say(script(b"ab", after="<s>"), make_request("the", temperature=0, max_tokens=3))
    assert pieces[:2] == [("a", 1), ("b", 1)]
    assert pieces[2] not in {("<s>", 1), ("", 1)}


async def test_the_model_calls_no_tools_where_none_are_offered(ask):
    """Asked what it calls a tool for, at a temperature at which it would."""
    answer = await ask("What is the weather in Paris?", temperature=1, seed=1, n=16, max_tokens=20)
    assert not any("<tool_call>" in text for text in answer.texts)


async def test_a_tools_result_in_the_messages_is_read(ask):
    call = {"name": "get_weather", "arguments": json.dumps({"city": "Paris"})}
    answer = await ask(
        [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": call}]},
            {
                "role": "tool",
                "tool_call_id": "call_1",
                "content": '{"temperature": 21, "condition": "sunny"}',
            },
        ],
        temperature=0,
    )
    assert "sunny" in answer.text


async def test_eight_requests_go_on_at_the_same_pace(pocket, make_request):
    """When the first of eight equal answers ends, none of the others is far behind."""
    counts = [0] * 8
    behind: list[int] = []

    async def follow(index: int) -> None:
        request = make_request("Tell me a story.", temperature=0.0, stop="~", max_tokens=30)
        async for event in pocket.generate(request):
            counts[index] += isinstance(event, Text)
            if isinstance(event, Finish):
                behind.append(max(counts) - min(counts))

    await asyncio.gather(*(follow(index) for index in range(8)))
    assert len(set(counts)) == 1
    assert behind[0] <= 6  # of some thirty


async def test_a_long_prompt_does_not_hold_up_others(pocket, make_request, model):
    """While a prompt of ten slices is read, an answer under way goes on."""
    endless = {str(token): -100 for token in model.ends}
    writing = pocket.generate(make_request(STORY, logit_bias=endless, stop="~"))
    while not isinstance(await anext(writing), Text):
        pass
    reading = asyncio.create_task(_until_text(pocket.generate(make_request("word " * 600, max_tokens=1))))
    between = 0
    while not reading.done():
        between += isinstance(await anext(writing), Text)
    await writing.aclose()
    assert between >= 5


async def _until_text(events) -> None:
    async for event in events:
        if isinstance(event, Text):
            return


async def test_a_reader_that_leaves_frees_the_thread(pocket, make_request):
    events = pocket.generate(make_request(STORY, temperature=2, n=8))
    await anext(events)
    await anext(events)
    await events.aclose()
    deadline = time.monotonic() + 5
    while worker_threads():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_the_loop_is_free_while_the_model_computes(ask):
    """The longest time between two looks of another task stays far below what the answers take."""
    await ask("Hello")
    gaps: list[float] = []

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(ask(STORY, temperature=2, max_tokens=40, seed=seed) for seed in range(8)))
    watcher.cancel()
    assert len(gaps) > 20
    assert max(gaps) < sum(gaps) / 2


async def test_close_fails_what_is_under_way_and_the_engine_may_be_used_again(pocket, make_request, ask):
    events = pocket.generate(make_request(STORY, temperature=2, n=8))
    await anext(events)
    await pocket.close()
    assert not worker_threads()
    with pytest.raises(InternalServerError) as caught:
        async for _ in events:
            pass
    assert caught.value.status_code == 503
    await pocket.start()
    assert (await ask("Hello", temperature=0)).reasons == ["stop"]


async def test_a_damaged_file_fails_its_requests_and_nothing_else(plan, tmp_path, make_request):
    """Weights that are no numbers are found with the first token; the engine goes on to the next request."""
    array, kind = plan.tensors["output_norm.weight"]
    plan.tensors["output_norm.weight"] = (np.full_like(array, np.nan), kind)
    engine = LocalEngine(plan.write(tmp_path))
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="damaged"):
            await say(engine, make_request("Hi"))
    await engine.close()


def test_one_engine_serves_several_loops(make_request):
    engine = default_engine()

    async def collect() -> list:
        return [event async for event in engine.generate(make_request(COUNT, temperature=0))]

    answers: list[list] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(collect()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1] == answers[2]
    assert len(answers) == 3


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, duologue.engines.local; print({'numpy', 'jinja2', 'duologue_pocket'} & set(sys.modules))"
    )
    assert run_python(code) == "set()"


@pytest.mark.parametrize("missing", ["numpy", "jinja2", "duologue_pocket"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(missing):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from duologue.engines.local import default_engine
from duologue.protocol.errors import DuologueError
try:
    default_engine()
except DuologueError as error:
    print(error)
"""
    assert run_python(code) == (
        f"Local models need the package '{missing}', which is not installed: pip install 'duologue[serve]'"
    )
