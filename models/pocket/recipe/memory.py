"""What the user has told, and asks for: in the same message, later, in a list."""

from __future__ import annotations

from .lists import table
from .manners import slips
from .skills import Pair
from .voice import Voice

__all__ = ["entry", "item", "lookup", "recall", "told"]

TOLD = [(told["told"], told["asked"], told["answer"]) for told in table("talk")["told"]]
# What the letters in these forms stand for.
LETTERS = {
    "v": "name", "c": "city", "k": "colours", "w": "word", "x": "code", "i": "2-99", "t": "clock", "j": "jobs",
    "n": "things", "m": "things", "e": "email",
}  # fmt: skip
ENTRY = (
    "What is the value of {}?", "What belongs to {}?", "Find {}.", "What stands beside {}?", "Look up {}.",
    "Give me the entry for {}.", "{}?", "Which value has {}?",
)  # fmt: skip
REMEMBERED = "All right, I will remember that."
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def told(voice: Voice) -> tuple[str, str, str]:
    """Something told, a question about it, and the answer."""
    forms = voice.random.choice(TOLD)
    values = {letter: voice.value(kind) for letter, kind in LETTERS.items() if f"{{{letter}}}" in forms[0]}
    said, question, answer = (form.format(**values) for form in forms)
    return said, question, answer


def recall(voice: Voice) -> tuple[Pair, Pair]:
    """Told in one turn, asked in a later one."""
    said, question, answer = told(voice)
    if voice.chance(0.4):
        said = voice.pick(("Remember this: ", "Please remember: ", "Note: ", "FYI: ")) + said
    return (said, REMEMBERED), (slips(voice, question, typos=False), answer)


def lookup(voice: Voice) -> Pair:
    """Told and asked in one turn, among other things told."""
    facts = {
        question: (said, answer)
        for said, question, answer in (told(voice) for _ in range(voice.integer(1, 4)))
    }
    question = voice.pick(list(facts))
    said = voice.pick((" ", " ", "\n")).join(each for each, _ in facts.values())
    forms = ("{0} {1}", "{0}\n{1}", "{1} {0}", "Context: {0}\n\nQuestion: {1}", "{0}\n\n{1}")
    return voice.pick(forms).format(said, question), facts[question][1]


def entry(voice: Voice) -> Pair:
    """A list of names and values, and one of them asked for."""
    kind = voice.pick(("name", "word", "made_up", "city"))
    names = list(dict.fromkeys(voice.value(kind) for _ in range(voice.integer(2, 9))))
    kind = voice.pick(("0-999", "code", "word", "city", "name", "words"))
    values = {name: voice.value(kind) for name in names}
    name = voice.pick(names)
    equals, between = voice.pick((": ", ": ", " = ", " -> ")), voice.pick(("\n", ", ", "; "))
    listed = between.join(f"{key}{equals}{value}" for key, value in values.items())
    asked = voice.pick(ENTRY).replace("{}", name)
    forms = ("{0}\n{1}", "{1}\n{0}", "Here is a list:\n{0}\n\n{1}")
    return voice.pick(forms).format(listed, asked), values[name]


def item(voice: Voice) -> Pair:
    """The first, second or last of a list."""
    items = [voice.word() for _ in range(voice.integer(2, 6))]
    at = voice.random.choice((0, -1, *range(len(items))))
    ordinal, kind = "last" if at == -1 else ORDINALS[at], voice.pick(("word", "item", "entry"))
    forms = (
        "What is the {0} {1} of this list: {2}", "{2}\nWhat is the {0} {1}?", "Give me the {0} {1}: {2}",
        "Which {1} is {0} in: {2}?",
    )  # fmt: skip
    return voice.pick(forms).format(ordinal, kind, ", ".join(items)), items[at]
