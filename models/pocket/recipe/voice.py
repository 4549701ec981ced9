"""One speaker: words, names and values drawn from one source of randomness, so that a seed makes a dialogue."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

from .lexicon import LEXICON, PIECES
from .lists import FORMS, WORDS

__all__ = ["Voice"]

COMMON = [
    word
    for kind in ("nouns", "things", "animals", "adjectives", "verbs", "adverbs", "colours", "jobs")
    for word in WORDS[kind]
]
PREFIXES = ("un", "re", "over", "", "", "")
CENTS = ("5", "25", "99", "95", "50")
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
RANGE = re.compile(r"(\d+)-(\d+)")


class Voice:
    """Draws values; everything that a dialogue leaves to chance is asked of it."""

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def pick(self, options: Sequence[str]) -> str:
        """One of the options."""
        return self.random.choice(options)

    def integer(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return self.random.randint(low, high)

    def fill(self, form: str, kinds: Mapping[str, Callable[[Voice], str]] | None = None) -> str:
        """A form with a fresh value for each {kind}: one of `kinds`, drawn, a form, in a list, 2-9, this|that."""
        return re.sub(r"\{([^{}]+)\}", lambda match: self.value(match[1], kinds), form)

    def value(self, kind: str, kinds: Mapping[str, Callable[[Voice], str]] | None = None) -> str:
        """A value of a kind, as `fill` names them."""
        if kinds and kind in kinds:
            return kinds[kind](self)
        if kind in VALUES:
            return VALUES[kind](self)
        if kind in FORMS:
            return self.fill(self.pick(FORMS[kind]), kinds)
        if kind in WORDS:
            return self.pick(WORDS[kind])
        if match := RANGE.fullmatch(kind):
            return str(self.integer(int(match[1]), int(match[2])))
        return self.pick(kind.split("|"))

    # Words and names

    def made_up(self) -> str:
        """A word that no dictionary has."""
        syllables = range(self.random.choice((1, 2, 2, 2, 3)))
        ending = self.value("endings") if self.chance(0.8) else ""
        return "".join(self.value("consonants") + self.value("vowels") for _ in syllables) + ending

    def patched(self) -> str:
        """A word put together from pieces of others, so that only its letters can tell how it goes on."""
        return "".join(self.pick(PIECES) for _ in range(self.random.choice((1, 2, 2, 2, 3))))

    def word(self) -> str:
        """A word; half of them are any word at all, made up, patched or bent."""
        roll = self.random.random()
        if roll < 0.06:
            return self.made_up()
        if roll < 0.14:
            return self.patched()
        if roll < 0.42:
            return self.pick(LEXICON)
        word = self.pick(COMMON)
        return self.pick(PREFIXES) + word + self.value("suffixes") if roll < 0.5 else word

    def token(self) -> str:
        """A run of signs such as names of files, codes and addresses have."""
        parts = [
            self.pick(
                (
                    self.patched(),
                    self.pick(LEXICON),
                    str(self.number()),
                    self.pick(CODE_LETTERS),
                    self.letters(1, 4),
                )
            )
            for _ in range(self.random.choice((1, 2, 2, 3)))
        ]
        text = self.pick(("-", "_", ".", "/", ":", "#", "@", "", "", "+", "=", "~")).join(parts)
        return text.upper() if self.chance(0.1) else text

    def words(self, low: int = 1, high: int = 4) -> str:
        """A few loose words."""
        return " ".join(self.word() for _ in range(self.integer(low, high)))

    def name(self) -> str:
        """A first name; three in ten are made up."""
        return self._proper(0.3) or self.pick(WORDS["first_names"])

    def surname(self) -> str:
        """A family name; three in ten are made up."""
        return self._proper(0.3) or self.pick(WORDS["last_names"])

    def _proper(self, share: float) -> str:
        """Nothing, or in this share of cases a name made up."""
        if not self.chance(share):
            return ""
        return (self.made_up() if self.chance(0.5) else self.patched()).capitalize()

    def person(self) -> str:
        """A first name, or a full one."""
        return self.value("people") if self.chance(0.55) else self.name()

    def city(self) -> str:
        """A city; one in three is made up."""
        if self.chance(0.1):
            return self.value("places")
        return self._proper(0.25) or self.pick(WORDS["cities"])

    def thing(self) -> str:
        """A thing, sometimes with an adjective or made up."""
        thing = self.made_up() if self.chance(0.12) else self.pick(WORDS["things"])
        return f"{self.pick(WORDS['adjectives'])} {thing}" if self.chance(0.3) else thing

    def title(self) -> str:
        """The title of a book, a song, an event or a task."""
        if self.chance(0.15):
            return self.value("titles")
        words = [self.word() for _ in range(self.random.choice((1, 2, 2, 3, 3, 4)))]
        if self.chance(0.2):
            words.insert(0, "the")
        if self.chance(0.4):
            return " ".join(words)
        return " ".join(word.capitalize() if self.chance(0.9) else word for word in words)

    def sentence(self) -> str:
        """A short sentence that says little."""
        text = self.value("sentences")
        if self.chance(0.6):
            text = text[0].upper() + text[1:]
        return text + self.pick(("", "", ".", "!")) if self.chance(0.5) else text

    # Values

    def number(self) -> int:
        """A number, small ones more often."""
        return self.integer(0, self.random.choice((9, 20, 100, 100, 1000, 10000)))

    def decimal(self) -> str:
        """A number with one or two decimals."""
        whole = self.integer(0, self.random.choice((9, 99, 999)))
        return f"{whole}.{self.pick((*CENTS, str(self.integer(1, 9)), f'{self.integer(1, 99):02d}'))}"

    def code(self) -> str:
        """An identifier such as A-1042."""
        letters = "".join(self.pick(CODE_LETTERS) for _ in range(self.integer(1, 3)))
        digits = "".join(str(self.integer(0, 9)) for _ in range(self.integer(2, 5)))
        last = self.pick("ABCDEFGH")
        forms = (
            f"{letters}-{digits}",
            f"{letters}{digits}",
            f"{digits}{letters}",
            f"{letters}-{digits}-{last}",
            f"{digits}-{self.integer(10, 9999)}",
            f"{self.integer(2**24, 2**28 - 1):x}",
        )
        return self.pick((*forms, f"{letters.lower()}_{digits}"))

    def clock(self) -> str:
        """A time of day."""
        hour, minute = self.integer(0, 23), self.random.choice((0, 0, 15, 30, 45, self.integer(0, 59)))
        half, full = self.pick(("am", "pm")), f"{hour:02d}:{minute:02d}"
        noon = hour % 12 + 1
        return self.pick((full, full, f"{noon} {half}", f"{noon}{half}", f"{noon}:{minute:02d} {half}"))

    def date(self) -> str:
        """A date, as people write it."""
        day, month, year = self.integer(1, 28), self.value("month"), self.integer(1990, 2035)
        iso = f"{year}-{WORDS['month'].index(month) + 1:02d}-{day:02d}"
        spoken = (f"{day} {month}", f"{month} {day}", f"{day} {month} {year}", f"{month} {day}, {year}")
        return self.pick((iso, iso, *spoken))

    def day(self) -> str:
        """A day, a date, or one like tomorrow."""
        day = self.value("day_name")
        return self.pick((day, day, self.date(), "tomorrow", "today", f"next {day}"))

    def email(self) -> str:
        """An e-mail address."""
        name = self.name()
        who = self.pick((name, f"{name}.{self.surname()}", f"{name}{self.integer(1, 99)}")).lower()
        host = self.made_up() if self.chance(0.12) else self.value("mail_hosts")
        return f"{who.replace(' ', '')}@{host}.{self.value('domains')}"

    def phone(self) -> str:
        """A telephone number."""
        a, b, c = self.integer(100, 999), self.integer(100, 999), self.integer(1000, 9999)
        return self.pick((f"{a}-{c}", f"+{a % 99 + 1} {b} {c}", f"0{a} {b}{c}", f"{a}-{b}-{c}", f"555-{c}"))

    def path(self) -> str:
        """The path of a file."""
        ending = self.pick(("csv", "json", "md", "py", "log", "txt"))
        one, two, three = self.word(), self.word(), self.word()
        forms = (
            f"{one}.{ending}",
            f"{one}_{two}.{ending}",
            f"{one.upper()}.{ending}",
            f"/{one}/{two}",
            f"{one}/{two}.{ending}",
        )
        return self.pick(
            (
                *forms,
                f"/{self.letters(2, 4)}/{self.letters(2, 4)}",
                f"/{one}/{two}/{three}.{ending}",
                f"~/{one}",
            )
        )

    def url(self) -> str:
        """The address of a page."""
        page = f"https://{self.made_up()}.{self.pick(('com', 'org', 'net'))}"
        return f"{page}/{self.word()}" if self.chance(0.5) else page

    def ticker(self) -> str:
        """The symbol of a stock."""
        return "".join(self.pick(CODE_LETTERS) for _ in range(self.integer(2, 5)))

    def letters(self, low: int = 3, high: int = 12) -> str:
        """A run of letters that mean nothing."""
        return "".join(self.pick("abcdefghijklmnopqrstuvwxyz") for _ in range(self.integer(low, high)))

    def topic(self) -> str:
        """Something to search for."""
        return self.pick((self.pick(WORDS["topics"]), self.words(1, 3), self.thing()))


VALUES: dict[str, Callable[[Voice], str]] = {
    "city": Voice.city, "clock": Voice.clock, "code": Voice.code, "date": Voice.date, "day": Voice.day,
    "decimal": Voice.decimal, "email": Voice.email, "letters": Voice.letters, "made_up": Voice.made_up,
    "name": Voice.name, "path": Voice.path, "person": Voice.person, "phone": Voice.phone,
    "surname": Voice.surname, "text": Voice.sentence, "thing": Voice.thing, "ticker": Voice.ticker,
    "title": Voice.title, "topic": Voice.topic, "url": Voice.url, "word": Voice.word, "words": Voice.words,
    "country": lambda voice: voice.value("countries"), "colour": lambda voice: voice.value("colours"),
    "animal": lambda voice: voice.value("animals"), "job": lambda voice: voice.value("jobs"),
    "capital": lambda voice: voice.pick(CODE_LETTERS), "lexicon": lambda voice: voice.pick(LEXICON),
    "patched": Voice.patched, "token": Voice.token,
    "place": lambda voice: voice._proper(0.5) or voice.pick(WORDS["cities"]),
    "thing_": lambda voice: voice.value("things").capitalize(),
    "noun_": lambda voice: voice.value("nouns").capitalize(),
    "adjective": lambda voice: voice.value("adjectives").capitalize(),
    "key": lambda voice: voice.value("nouns"), "company": lambda voice: voice._proper(1.0),
    "room": lambda voice: voice.word() if voice.chance(0.1) else voice.value("rooms"),
    "food": lambda voice: voice.thing() if voice.chance(0.1) else voice.value("foods"),
    "sum": lambda voice: voice.fill("{1-99} {+|-|*|/} {1-99}"),
}  # fmt: skip
