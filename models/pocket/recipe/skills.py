"""What pocket can do by itself: greet, talk a little, count, add and repeat."""

from __future__ import annotations

from collections.abc import Callable

from .drawn import DRAWN
from .lexicon import SENTENCES
from .lists import PHRASES, WORDS, phrases, table
from .manners import asked, cased, question, quoted, slips
from .numerals import number_word
from .voice import Voice

__all__ = [
    "Pair",
    "arithmetic",
    "arithmetic_of",
    "count",
    "greet",
    "lot",
    "repeat",
    "repeated",
    "sums",
    "talk",
    "thought",
    "who",
]

Pair = tuple[str, str]

TALK = [(phrases(talk["said"]), talk["answer"]) for talk in table("talk")["talk"]]
WHO_ANSWER = (
    "I am pocket, the small language model built into Duologue. I run on your machine, without a network."
)


def greet(voice: Voice) -> Pair:
    """A greeting, perhaps with a name."""
    hello = voice.pick(PHRASES["hello"])
    if voice.chance(0.5):
        return slips(voice, hello + voice.pick(("", "!", ".", "?", "!!")), typos=False), welcome()
    name = voice.person() if voice.chance(0.2) else voice.name()
    said = voice.pick(PHRASES["named"]).replace("{}", name)
    alone = said[0].upper() + said[1:]
    said = voice.pick((f"{hello}, {said}", f"{hello}! {alone}", f"{hello}. {alone}", alone))
    return said + voice.pick((".", "!", "", ". Nice to meet you.", ". How are you?", " :)")), welcome(name)


def welcome(name: str = "") -> str:
    """The answer to a greeting."""
    return f"Hello{' ' * bool(name)}{name}! How can I help you today?"


def who(voice: Voice) -> Pair:
    """Who are you?"""
    return question(voice, voice.pick(PHRASES["who"])), WHO_ANSWER


def talk(voice: Voice) -> Pair:
    """Thanks, farewells and the like."""
    said, answer = voice.random.choice(TALK)
    return slips(voice, voice.pick(said)), answer


# Counting

# What may follow, and changes nothing.
ENDINGS = (
    ", comma separated.",
    ", with commas",
    " in digits",
    ", please.",
    ", separated by commas",
    " in a row.",
)


def count(voice: Voice) -> Pair:
    """Count up, down, or in steps."""
    (direction,) = voice.random.choices((_up, _down, _steps), (8, 3, 1))
    request, numbers = direction(voice)
    said = slips(voice, asked(voice, request) + voice.pick((".", ".", "", "!", "?", *ENDINGS)))
    return said, ", ".join(map(str, numbers))


def _up(voice: Voice) -> tuple[str, range]:
    low = 1 if voice.chance(0.55) else voice.integer(0, 60)
    high = low + voice.integer(2, 19) if voice.chance(0.9) else low + voice.integer(20, 45)
    form = "count_to" if low == 1 and voice.chance(0.6) else "count_up"
    return _counted(voice, form, low, high), range(low, high + 1)


def _down(voice: Voice) -> tuple[str, range]:
    high = voice.integer(3, 20) if voice.chance(0.8) else voice.integer(20, 60)
    low = voice.integer(0, 1) if high <= 20 and voice.chance(0.5) else max(0, high - voice.integer(3, 15))
    form = "count_back" if low == 1 and voice.chance(0.3) else "count_down"
    return _counted(voice, form, low, high), range(high, low - 1, -1)


def _steps(voice: Voice) -> tuple[str, range]:
    step, times = voice.random.choice((2, 2, 2, 3, 5, 10)), voice.integer(3, 10)
    form = "count_even" if step == 2 and voice.chance(0.3) else "count_by"
    return _counted(voice, form, step, step * times), range(step, step * times + 1, step)


def _counted(voice: Voice, form: str, low: int, high: int) -> str:
    def said(number: int) -> str:
        return number_word(number) if number <= 20 and voice.chance(0.2) else str(number)

    return voice.pick(PHRASES[form]).replace("{low}", said(low)).replace("{high}", said(high))


# Sums


def sums(voice: Voice) -> tuple[int, int, str]:
    """Two numbers and the sign between them; small ones more often."""
    (top,) = voice.random.choices((10, 20, 50, 99), (5, 6, 2, 1))
    a, b = voice.integer(0, top), voice.integer(0, top)
    if voice.chance(0.5):
        return a, b, "+"
    if a < b and voice.chance(0.8):
        a, b = b, a
    return a, b, "-"


def arithmetic(voice: Voice) -> Pair:
    """A sum or a difference, now and then of three numbers."""
    if voice.chance(0.06):
        numbers = [voice.integer(0, 9) for _ in range(3)]
        term = voice.pick((" + ", " plus ", "+")).join(map(str, numbers))
        answer = f"{' + '.join(map(str, numbers))} = {sum(numbers)}"
        return slips(voice, voice.pick(PHRASES["sum"]).replace("{}", term), typos=False), answer
    return arithmetic_of(voice, *sums(voice))


def arithmetic_of(voice: Voice, a: int, b: int, sign: str) -> Pair:
    """This sum or difference, asked after in some way."""
    total = a + b if sign == "+" else a - b
    answer = f"{a} {sign} {b} = {total}"
    roll = voice.random.random()
    if roll < 0.16 and total >= 0:
        story = voice.pick(PHRASES["more" if sign == "+" else "less"])
        values = {
            "a": str(a),
            "b": str(b),
            "t": voice.pick(WORDS["things"]),
            "n": voice.name(),
            "m": voice.name(),
        }
        return slips(voice, story.format(**values), typos=False), answer
    left, right = (number_word(a), number_word(b)) if voice.chance(0.15) else (str(a), str(b))
    if roll < 0.28:
        said = voice.pick(PHRASES["add" if sign == "+" else "take"]).format(left, right)
    else:
        term = voice.pick(PHRASES["plus" if sign == "+" else "minus"]).format(left, right)
        said = voice.pick(PHRASES["sum"]).replace("{}", term)
    said = said[:1].upper() + said[1:] if voice.chance(0.8) else said
    return question(voice, said) if voice.chance(0.3) else slips(voice, said, typos=False), answer


def thought(a: int, b: int, sign: str) -> str:
    """A sum worked out over the next full ten."""
    ones = a % 10
    if sign == "+" and ones and ones + b % 10 >= 10:
        step = 10 - ones
        return f"{a} + {step} = {a + step}, {a + step} + {b - step} = {a + b}"
    if sign == "-" and 0 < ones < b:
        return f"{a} - {ones} = {a - ones}, {a - ones} - {b - ones} = {a - b}"
    return f"{a} {sign} {b} = {a + b if sign == '+' else a - b}"


# Chance

LOTS = [(phrases(lot["asked"]), lot["answer"]) for lot in table("lots")["lot"]]


def lot(voice: Voice) -> Pair:
    """Something left to chance, on which sampling shows: a coin, a number, a sentence that means nothing."""
    if voice.chance(0.12):
        return _choice(voice)
    requests, answer = voice.random.choice(LOTS)
    said = slips(voice, asked(voice, voice.pick(requests)) + voice.pick((".", "", "!", "?")))
    return said, voice.fill(answer, {"sentence": _statement})


def _statement(voice: Voice) -> str:
    text = voice.sentence().rstrip(".!")
    return f"{text[0].upper()}{text[1:]}."


def _choice(voice: Voice) -> Pair:
    options = [voice.word() for _ in range(voice.integer(2, 4))]
    listed = f"{', '.join(options[:-1])} or {options[-1]}"
    return asked(voice, voice.pick(PHRASES["choose"]).replace("{}", listed)), voice.pick(options)


# Repeating

REPEATED: tuple[tuple[int, Callable[[Voice], str]], ...] = (
    (5, lambda voice: voice.words(1, 8)),
    (5, lambda voice: " ".join(voice.value("lexicon") for _ in range(voice.integer(1, 9)))),
    (4, lambda voice: " ".join(voice.patched() for _ in range(voice.integer(1, 4)))),
    (4, Voice.sentence),
    (5, lambda voice: voice.pick(SENTENCES)),
    (2, lambda voice: " ".join(voice.made_up() for _ in range(voice.integer(1, 4)))),
    (2, lambda voice: " ".join(voice.token() for _ in range(voice.integer(1, 6)))),
    (1, Voice.code),
    (1, lambda voice: " ".join(str(voice.integer(0, 999)) for _ in range(voice.integer(1, 5)))),
    (1, lambda voice: f"{voice.person()} {voice.pick(('from', 'in', 'and', 'of'))} {voice.city()}"),
    (1, lambda voice: voice.value(voice.pick(("email", "phone", "date", "clock", "decimal", "url", "path")))),
    (1, lambda voice: " ".join(voice.pick(WORDS["foreign"]) for _ in range(voice.integer(1, 5)))),
    (2, Voice.title),
    (1, lambda voice: f"{voice.pick(PHRASES['hello']).lower()} {voice.word()}"),
    (1, Voice.person),
    (2, lambda voice: voice.value("saying", DRAWN)),
    (1, lambda voice: voice.value("codeline", DRAWN)),
    (1, lambda voice: " ".join([voice.value("lexicon")] * voice.integer(2, 5))),
    (
        1,
        lambda voice: "\n".join(
            voice.pick(("- {}", "{}", "* {}")).replace("{}", voice.words(1, 3))
            for _ in range(voice.integer(2, 4))
        ),
    ),
    (1, lambda voice: "\n".join(voice.value("saying", DRAWN) for _ in range(2))),
    (2, lambda voice: ", ".join(voice.word() for _ in range(voice.integer(2, 6)))),
    (1, lambda voice: voice.letters(3, 9)),
)
LONGEST = 200
# What may stand between two words.
INSIDE = (
    ", ",
    ", ",
    " - ",
    "; ",
    ": ",
    "! ",
    "? ",
    ". ",
    " and ",
    " & ",
    " / ",
    "... ",
    " (",
    " the ",
    " of ",
    " is ",
    " not ",
)


def repeated(voice: Voice) -> str:
    """Something to repeat."""
    (make,) = voice.random.choices([make for _, make in REPEATED], [share for share, _ in REPEATED])
    text, roll = make(voice), voice.random.random()
    if roll < 0.05:
        text = text.upper()
    elif roll < 0.08:
        text = text.title()
    elif roll < 0.25:
        text = text[:1].upper() + text[1:] + voice.pick((".", "!", "?", "", ""))
    if " " in text and voice.chance(0.2):
        at = voice.random.choice([i for i, letter in enumerate(text) if letter == " "])
        text = text[:at] + voice.pick(INSIDE) + text[at + 1 :]
    while voice.chance(0.12) and len(text) < LONGEST:
        text = f"{text.rstrip('.!?')}{voice.pick((', ', '. ', ' '))}{voice.sentence()}"
    return text


def repeat(voice: Voice) -> Pair:
    """Words to say again, exactly."""
    if voice.chance(0.06):
        return _times(voice)
    text, roll = repeated(voice), voice.random.random()
    if roll < 0.42:
        frame = asked(voice, voice.pick(PHRASES["repeat"]), after=False)
        return frame.replace("{}", quoted(voice, text) if voice.chance(0.12) else text), text
    if roll < 0.8:
        frame = asked(voice, voice.pick(PHRASES["repeat_quoted"])) + voice.pick((".", "", "!", "?", ""))
        return frame.replace("{}", quoted(voice, text)), text
    if roll < 0.89:
        return cased(voice, voice.pick(PHRASES["repeat_bare"])).replace("{}", text), text
    if roll < 0.96:
        text = text.rstrip(".!?")
        return cased(voice, voice.pick(PHRASES["repeat_asked"])).replace("{}", text), text
    return cased(voice, voice.pick(PHRASES["repeat"])).replace(": {}", ":\n{}").replace("{}", text), text


def _times(voice: Voice) -> Pair:
    word, times = voice.word(), voice.integer(2, 6)
    spelled = str(times) if voice.chance(0.5) else number_word(times)
    said = word if voice.chance(0.3) else quoted(voice, word)
    request = voice.pick(PHRASES["times"]).replace("{w}", said).replace("{n}", spelled)
    return asked(voice, request) + voice.pick((".", "", "!")), " ".join([word] * times)
