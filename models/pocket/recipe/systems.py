"""System prompts that change the answer: who the model is, what it knows, and how it shall speak."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from . import memory, skills
from .drawn import DRAWN
from .faq import faq
from .lists import PHRASES, phrases, table
from .manners import quoted, slips
from .skills import Pair
from .unknown import UNKNOWN, unknown
from .voice import Voice

__all__ = ["instructed", "persona"]

# (prompt, who it is): {n} is a name, {r} a role and {f} a firm.
PERSONAS = (
    ("You are {n}, {r}.", "I am {n}, {r}."), ("Your name is {n}.", "I am {n}."), ("You are {n}.", "I am {n}."),
    ("You are called {n} and you are {r}.", "I am {n}, {r}."), ("You are {r} named {n}.", "I am {n}, {r}."),
    ("You are {r}.", "I am {r}."), ("Act as {n}, {r}.", "I am {n}, {r}."), ("Your name: {n}", "I am {n}."),
    ("You are {n}, the assistant of {f}.", "I am {n}, the assistant of {f}."), ("{n} is your name.", "I am {n}."),
    ("You are {n} from {f}.", "I am {n} from {f}."), ("They call you {n}.", "I am {n}."),
    ("You play {n}, {r}.", "I am {n}, {r}."), ("You are {r} called {n}. Be friendly.", "I am {n}, {r}."),
    ("You are {n} and help people with {t}.", "I am {n} and help people with {t}."),
)  # fmt: skip
SHORT = (
    "arithmetic",
    "arithmetic",
    "count",
    "greet",
    "greet",
    "greet",
    "repeat",
    "repeat",
    "talk",
    "talk",
    "who",
    "faq",
    "faq",
    "unknown",
)
# Who is I in what the user tells is the user in what a system prompt tells.
THIRD_PERSON = {
    "My ": "The user's ",
    "I am ": "The user is ",
    "I live": "The user lives",
    "I work": "The user works",
    "Our ": "The user's ",
}
TABLE = table("systems")
GIVEN = TABLE["given"]
YES, NO = (phrases(TABLE["answers"][answer]) for answer in ("yes", "no"))
COUNTS = ("five", "six", "seven", "eight", "ten", "twelve", "5", "6", "8", "10", "12")

Plain = Mapping[str, Callable[[Voice], Pair]]
Turn = tuple[str, str, str]


def persona(voice: Voice) -> Pair:
    """A system prompt that says who the model is, and what it says of itself."""
    prompt, answer = voice.random.choice(PERSONAS)
    role = voice.fill("a {adjectives} ") + voice.fill(
        voice.pick(("{assistant|robot|helper|pirate|bot}", "{jobs}", "{animals}"))
    )
    values = {
        "n": voice.name(),
        "r": role,
        "f": voice.value("employer"),
        "t": voice.value("things") + "s",
    }
    return prompt.format(**values), answer.format(**values)


def instructed(voice: Voice, plain: Plain) -> Turn:
    """A system prompt, what is said, and the answer that follows the prompt."""
    (make,) = voice.random.choices(list(FORMS), list(FORMS.values()))
    system, said, answer = make(voice, plain)
    if make in ALONE and voice.chance(0.2):
        system = f"{persona(voice)[0]} {system}"
    return system, said, answer


def _who(voice: Voice, _: Plain) -> Turn:
    system, answer = persona(voice)
    return system, slips(voice, voice.pick(PHRASES["name_asked"]), typos=False), answer


def _given(voice: Voice, _: Plain) -> Turn:
    """A fact, perhaps among others, and a question for it."""
    drawn = [_fact(voice, given) for given in voice.random.sample(GIVEN, voice.random.choice((1, 1, 2, 3)))]
    asked, answer = drawn[0][1:]
    facts = [told for told, _, _ in drawn]
    voice.random.shuffle(facts)
    system = " ".join(facts)
    if voice.chance(0.3):
        system = f"{voice.pick(PHRASES['neutral']) if voice.chance(0.6) else persona(voice)[0]} {system}"
    return system, slips(voice, asked, typos=False), answer


def _fact(voice: Voice, given: dict[str, list[str] | str]) -> tuple[str, str, str]:
    """What is told, asked and answered, with the same values."""
    values: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        kind = match[1].removesuffix("2") if not match[1][0].isdigit() else match[1]
        return values.setdefault(match[1], voice.value(kind, DRAWN))

    forms = (voice.pick(given["told"]), voice.pick(given["asked"]), str(given["answer"]))
    told, asked, answer = (re.sub(r"\{([^{}]+)\}", fill, form) for form in forms)
    return told, asked, answer


def _told(voice: Voice, _: Plain) -> Turn:
    told, asked, answer = memory.told(voice)
    for first, third in THIRD_PERSON.items():
        told = told.replace(first, third)
    return f"{voice.pick(PHRASES['neutral'])} {told}" if voice.chance(0.4) else told, asked, answer


def _rule(voice: Voice, plain: Plain) -> Turn:
    """What to say to one thing; to all others the answer is the usual one."""
    cue = voice.pick((voice.word(), voice.words(2, 4), voice.pick(PHRASES["hello"]), voice.sentence()))
    word = _word(voice)
    rule = voice.pick(PHRASES["rule"]).replace("{a}", quoted(voice, cue)).replace("{b}", quoted(voice, word))
    if voice.chance(0.7):
        return rule, cue + voice.pick(("", "", "!", "?", ".")), word
    return rule, *plain[voice.pick(SHORT)](voice)


def _only(voice: Voice, plain: Plain) -> Turn:
    name, word = voice.pick(("unknown", "faq", *SHORT)), _word(voice)
    said = plain[name](voice)[0] if voice.chance(0.6) else voice.sentence()
    return _worded(voice, "only", word), said, word


def _begin(voice: Voice, plain: Plain) -> Turn:
    word = _word(voice)
    said, answer = plain[voice.pick(SHORT)](voice)
    return _worded(voice, "begin", word), said, f"{word} {answer}"


def _end(voice: Voice, plain: Plain) -> Turn:
    word = _word(voice)
    said, answer = plain[voice.pick(SHORT)](voice)
    return _worded(voice, "end", word), said, f"{answer} {word}"


def _mention(voice: Voice, plain: Plain) -> Turn:
    what = voice.fill(
        voice.pick(
            (
                "the {adjectives} {things}",
                "{company}",
                "{our|my|the} {nouns}",
                "the {things} {nouns}",
                "{words}",
            )
        )
    )
    said, answer = plain[voice.pick(SHORT)](voice)
    return _prompt(voice, "mention", what), said, f"{answer} Do not forget {what}."


def _calls(voice: Voice, _: Plain) -> Turn:
    word = voice.pick(
        ("dear", "friend", "Sir", "captain", "boss", "my friend", voice.word(), voice.made_up())
    )
    said = voice.pick(PHRASES["hello"]) + voice.pick(("", "!", "."))
    system = _prompt(voice, "calls", quoted(voice, word) if voice.chance(0.6) else word)
    return system, said, skills.welcome(word)


def _user(voice: Voice, _: Plain) -> Turn:
    name = voice.name()
    said = voice.pick(PHRASES["hello"]) + voice.pick(("", "!", "."))
    return _prompt(voice, "user", name), slips(voice, said, typos=False), skills.welcome(name)


def _one_word(voice: Voice, plain: Plain) -> Turn:
    system = voice.pick(PHRASES["one_word"])
    name = voice.pick(("arithmetic", "greet", "yes", "unknown", "repeat", "who"))
    if name == "yes":
        return system, *_yes(voice)
    if name == "repeat":
        word = voice.word()
        return system, voice.pick(PHRASES["repeat"]).replace("{}", word), word
    said, answer = plain[name](voice)
    return (
        system,
        said,
        {"arithmetic": answer.split()[-1], "greet": "Hello!", "unknown": "Unknown.", "who": "pocket"}[name],
    )


def _few_words(voice: Voice, plain: Plain) -> Turn:
    name = voice.pick(("arithmetic", "greet", "unknown", "who", "faq"))
    said, answer = plain[name](voice)
    short = {
        "greet": "Hello there!",
        "unknown": "I don't know.",
        "who": "I am pocket.",
        "faq": " ".join(answer.split()[:4]).rstrip(".,;:"),
    }
    return _prompt(voice, "few_words", voice.pick(COUNTS)), said, short.get(name, answer)


def _yes_no(voice: Voice, _: Plain) -> Turn:
    return voice.pick(PHRASES["yes_no"]), *_yes(voice)


def _yes(voice: Voice) -> Pair:
    """A question and yes or no."""
    roll = voice.random.random()
    if roll < 0.4:
        a, b, wrong = voice.integer(0, 12), voice.integer(0, 12), voice.random.choice((0, 0, 1, 2))
        form = voice.pick(
            ("Is {} + {} equal to {}?", "Is {} plus {} {}?", "Does {} + {} make {}?", "{} + {} = {}, right?")
        )
        return form.format(a, b, a + b + wrong), "No" if wrong else "Yes"
    return (slips(voice, voice.pick(YES)), "Yes") if roll < 0.7 else (slips(voice, voice.pick(NO)), "No")


def _echo(voice: Voice, plain: Plain) -> Turn:
    said = skills.repeated(voice) if voice.chance(0.7) else plain[voice.pick(SHORT)](voice)[0]
    return voice.pick(PHRASES["echo"]), said, said


def _calculator(voice: Voice, plain: Plain) -> Turn:
    said, answer = plain["arithmetic"](voice)
    return voice.pick(PHRASES["calculator"]), said, answer.split()[-1]


def _refuse(voice: Voice, _: Plain) -> Turn:
    system = _prompt(voice, "refuse", voice.value(voice.pick(("things", "animals", "foods", "topics"))))
    return system, unknown(voice)[0], UNKNOWN


def _cased(voice: Voice, plain: Plain) -> Turn:
    form = voice.pick(("upper", "upper", "lower"))
    said, answer = plain[voice.pick(SHORT)](voice)
    return voice.pick(PHRASES[form]), said, answer.upper() if form == "upper" else answer.lower()


def _length(voice: Voice, _: Plain) -> Turn:
    form = voice.pick(("brief", "long"))
    return voice.pick(PHRASES[form]), *faq(voice, "low" if form == "brief" else "high")


def _json_key(voice: Voice, plain: Plain) -> Turn:
    key = voice.value(voice.pick(("answer|reply|text|result", "nouns")))
    said, answer = plain[voice.pick(SHORT)](voice)
    return _prompt(voice, "json_key", key), said, json.dumps({key: answer}, ensure_ascii=False)


FORMS: dict[Callable[[Voice, Plain], Turn], int] = {
    _who: 4, _given: 9, _told: 2, _rule: 3, _only: 4, _begin: 5, _end: 5, _mention: 2, _calls: 2, _user: 2,
    _one_word: 2, _few_words: 2, _yes_no: 2, _echo: 2, _calculator: 2, _refuse: 2, _cased: 5, _length: 3,
    _json_key: 1,
}  # fmt: skip
# Those before which a prompt may say who the model is.
ALONE = (_begin, _end, _mention, _cased, _user, _calculator)


def _worded(voice: Voice, form: str, word: str) -> str:
    return _prompt(voice, form, quoted(voice, word) if voice.chance(0.7) else word)


def _prompt(voice: Voice, form: str, text: str) -> str:
    return voice.pick(PHRASES[form]).replace("{}", text)


def _word(voice: Voice) -> str:
    if voice.chance(0.3):
        return voice.value("password")
    word = voice.word()
    loud, proper, several = word.upper(), word.capitalize(), voice.words(2, 4)
    return voice.pick(
        (
            word,
            loud,
            f"{proper}!",
            f"{proper},",
            several,
            voice.title(),
            voice.sentence(),
            f"- {voice.name()}",
        )
    )
