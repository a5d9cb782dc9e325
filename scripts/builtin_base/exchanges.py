"""Exchanges that a seeded grammar writes: greetings, small facts, copying, reading, following a rule."""

# ruff: noqa: SIM905 - the word lists are far easier to read and change as plain strings

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from builtin_base.corpus import Doc

PAD, EOT, IM_START, IM_END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIALS = (PAD, EOT, IM_START, IM_END)

Turn = tuple[str, str]  # (role, content)
Chat = list[Turn]
Fact = tuple[str, list[tuple[str, str]]]  # (sentence, [(question, short answer)])

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris Spain:Madrid Italy:Rome Germany:Berlin Portugal:Lisbon Greece:Athens Norway:Oslo "
        "Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Poland:Warsaw Austria:Vienna Hungary:Budapest "
        "Ireland:Dublin Belgium:Brussels Japan:Tokyo China:Beijing India:Delhi Egypt:Cairo Kenya:Nairobi "
        "Peru:Lima Chile:Santiago Cuba:Havana Canada:Ottawa Russia:Moscow Turkey:Ankara Iran:Tehran "
        "Iraq:Baghdad Thailand:Bangkok Vietnam:Hanoi England:London Scotland:Edinburgh Wales:Cardiff "
        "Iceland:Reykjavik Switzerland:Bern Australia:Canberra Morocco:Rabat Ghana:Accra Senegal:Dakar"
    ).split()
)
COLOURS = "red blue green yellow black white grey brown purple orange pink silver golden".split()
COLOUR_OF = dict(
    pair.split(":")
    for pair in (
        "grass:green snow:white coal:black blood:red milk:white gold:yellow night:black rust:brown "
        "soot:black salt:white ivy:green ink:blue clay:brown ash:grey smoke:grey copper:orange"
    ).split()
) | {"the sky": "blue", "the sea": "blue", "a lemon": "yellow", "a leaf": "green", "a tomato": "red"}
OPPOSITES = [
    tuple(pair.split(":"))
    for pair in (
        "hot:cold big:small up:down left:right open:closed day:night wet:dry fast:slow high:low old:new "
        "long:short hard:soft light:dark early:late true:false full:empty near:far happy:sad loud:quiet "
        "good:bad first:last strong:weak rich:poor inside:outside begin:end push:pull thick:thin"
    ).split()
]
PLURALS = [
    tuple(pair.split(":"))
    for pair in (
        "cat:cats dog:dogs house:houses box:boxes mouse:mice child:children foot:feet tooth:teeth man:men "
        "woman:women leaf:leaves knife:knives city:cities story:stories fish:fish sheep:sheep bus:buses "
        "key:keys book:books tree:trees wolf:wolves baby:babies file:files list:lists class:classes"
    ).split()
]
PAST = [
    tuple(pair.split(":"))
    for pair in (
        "go:went see:saw take:took make:made write:wrote read:read run:ran eat:ate give:gave find:found "
        "walk:walked call:called know:knew think:thought bring:brought keep:kept hold:held sing:sang "
        "swim:swam draw:drew build:built send:sent lose:lost tell:told open:opened save:saved"
    ).split()
]
YOUNG = dict(
    pair.split(":")
    for pair in (
        "dog:puppy cat:kitten cow:calf horse:foal sheep:lamb hen:chick duck:duckling bear:cub goat:kid"
    ).split()
)
GLOSSARY = {
    "a river": "a long stream of water that runs to the sea",
    "a lighthouse": "a tower with a strong light that warns ships near the coast",
    "a harbour": "a place by the shore where ships are safe",
    "a bakery": "a shop that makes and sells bread",
    "a library": "a place that keeps books for people to read",
    "a mill": "a building where grain is made into flour",
    "a bridge": "a way built over water or a road",
    "a map": "a drawing that shows where places are",
    "a compass": "a tool whose needle points to the north",
    "a clock": "a machine that shows the time",
    "an anchor": "a heavy hook that holds a ship in place",
    "a garden": "a piece of land where flowers or vegetables grow",
    "a teacher": "a person who helps others to learn",
    "a baker": "a person who makes bread",
    "a sailor": "a person who works on a ship",
    "a doctor": "a person who helps sick people",
    "a function": "a named piece of code that takes arguments and returns a value",
    "a list": "a sequence of items that can be changed",
    "a tuple": "a sequence of items that cannot be changed",
    "a dictionary": "a mapping from keys to values",
    "a string": "a sequence of characters",
    "a set": "a collection of items without repeats",
    "a class": "a plan from which objects are made",
    "a module": "a file with Python code that can be imported",
    "a package": "a folder of modules",
    "an exception": "an error that stops the program unless it is caught",
    "a loop": "a piece of code that is run again and again",
    "a variable": "a name that holds a value",
    "a file": "a named piece of data on a disk",
    "a server": "a program that answers the requests of other programs",
    "a client": "a program that sends requests to a server",
    "a test": "a piece of code that checks other code",
    "a bug": "a mistake in a program",
    "an editor": "a program for writing text or code",
    "a model": "a program that has learned from examples",
    "a token": "a small piece of text that a model reads",
    "an adapter": "a small set of weights that is added to a model",
    "training": "the work of changing a model so that it answers better",
    "a gradient": "the direction in which the loss grows fastest",
    "a matrix": "a table of numbers with rows and columns",
    "a kernel": "a small program that does one job very fast",
    "a cache": "a store that keeps results for the next time",
    "memory": "the place where a computer keeps what it is working on",
    "a number": "a word or sign that says how many",
    "a circle": "a round line whose points are all as far from the middle",
    "a triangle": "a shape with three sides",
    "winter": "the coldest season of the year",
    "summer": "the warmest season of the year",
    "rain": "water that falls from the clouds",
    "bread": "a food made of flour, water and salt",
    "glass": "a hard thing that light goes through, made from sand",
    "iron": "a strong metal used for tools and bridges",
    "a moon": "a body that goes round a planet",
    "a star": "a ball of hot gas that gives light",
    "music": "sounds that are put in order to be pleasant",
}
MEMBERS = {
    "colours": COLOURS,
    "animals": "dog cat horse cow sheep goat bear wolf fox mouse owl hen duck fish frog bee".split(),
    "fruits": "apple pear plum cherry lemon orange grape peach melon fig banana".split(),
    "vegetables": "carrot onion potato bean pea cabbage leek beet tomato".split(),
    "metals": "iron gold silver copper tin lead zinc".split(),
    "tools": "hammer saw knife axe file drill brush rope".split(),
    "countries": sorted(CAPITALS),
    "trees": "oak pine birch maple ash elm willow".split(),
    "Python types": "int str list tuple dict set float bool bytes".split(),
}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
NOUNS = (
    "lamp boat book key bell door stone chair coat song letter wheel box cup table ring map tower road "
    "garden window clock bridge horse basket mirror candle kettle ladder rope blanket spoon needle drum "
    "flute mill server file cache engine ticket report kernel buffer queue adapter parser budget schedule"
).split()
ADJECTIVES = (
    "old new small big broken green red quiet bright heavy round wooden lost empty warm cold strange simple "
    "long short fast slow golden silver dusty narrow"
).split()
JOBS = (
    "baker sailor teacher doctor farmer painter keeper miller smith singer writer driver gardener captain "
    "judge weaver cook guard clerk carpenter"
).split()
VERBS = ("keeps builds repairs paints sells cleans guards carries finds writes moves opens tests checks owns").split()
OPENERS = (
    "Please tell me: ",
    "Tell me, ",
    "I forgot. ",
    "Quick question: ",
    "Once more: ",
    "So, ",
    "Hello! ",
)
LAYOUTS = ("{p}\n\n{q}", "{p}\n{q}", "Read this: {p}\n{q}", "Text: {p}\nQuestion: {q}", "{q}\n\n{p}")
BRIEF = ("Answer briefly.", "Answer in a few words.", "Be short.", "Give short answers.")
# Repeats in these three make the simple sounds likelier.
ONSETS = (
    "b c d f g h j k l m n p r s t v w z b d f g k l m n p r s t v br ch cl dr fl gr kl pr qu sh st th tr"
).split()
NUCLEI = "a e i o u a e i o a e o ai ea ia ou oo y".split()
CODAS = ["", "", "", "", "", "", "", "l", "n", "r", "s", "th", "m", "x", "k", "nd", "rn", "lt"]
ODD = "é è ü ö ä ø å ñ ç í ó ž š ł".split()


class Grammar:
    """Writes exchanges. All choices come from one seeded generator, so a seed gives one endless sequence."""

    def __init__(self, seed: int, docs: Sequence[Doc]) -> None:
        self.rng = random.Random(seed)
        self.about = [(d.name, line) for d in docs if (line := _first_line(d.text))]
        self.sentences = [s for d in docs for s in _sentences(d.text)]
        self.kinds: list[tuple[Callable[[], Chat], float]] = [
            (self.greeting, 3),
            (self.identity, 2),
            (self.arithmetic, 6),
            (self.what_does, 10),
            (self.definition, 6),
            (self.copying, 10),
            (self.word_game, 6),
            (self.listing, 5),
            (self.geography, 4),
            (self.in_context, 22),
            (self.told_earlier, 12),
            (self.saying, 6),
            (self.unknown, 3),
            (self.invented, 10),
            (self.system_rule, 8),
            (self.code, 5),
            (self.comparison, 3),
        ]

    def chat(self) -> Chat:
        """One conversation; sometimes two exchanges in a row, so that later turns are known too."""
        kinds, weights = zip(*self.kinds, strict=True)
        turns: Chat = list(self.rng.choices(kinds, weights)[0]())
        if self.rng.random() < 0.12 and len(turns) <= 3:
            more: Chat = self.rng.choices(kinds, weights)[0]()
            if more[0][0] == "user":
                turns += more
        return turns

    # ---- words

    def pick(self, items: Sequence[str]) -> str:
        return items[int(self.rng.random() * len(items))]

    def word(self, low: int = 1, high: int = 3) -> str:
        """An invented lower-case word of ``low`` to ``high`` syllables."""
        parts = [self.pick(ONSETS) + self.pick(NUCLEI) + self.pick(CODAS) for _ in range(self.rng.randint(low, high))]
        text = "".join(parts)
        if self.rng.random() < 0.2:
            text = self.pick("aeiou") + text
        if self.rng.random() < 0.04:
            at = self.rng.randrange(len(text) + 1)
            text = text[:at] + self.pick(ODD) + text[at:]
        return text

    def words(self, low: int, high: int, known: Callable[[], str], share: float) -> list[str]:
        """``low`` to ``high`` words, a ``share`` of them invented and the others from ``known``."""
        count = self.rng.randint(low, high)
        return [self.word(1, 2) if self.rng.random() < share else known() for _ in range(count)]

    def name(self) -> str:
        """A capitalised invented word."""
        return self.word(2, 3).capitalize()

    def person(self) -> str:
        """One or two invented names."""
        first = self.word(1, 2).capitalize()
        return f"{first} {self.word(1, 2).capitalize()}" if self.rng.random() < 0.5 else first

    def thing(self) -> str:
        """A noun, mostly with an adjective or an invented word before it."""
        roll = self.rng.random()
        if roll < 0.45:
            return self.pick(NOUNS)
        if roll < 0.8:
            return f"{self.pick(ADJECTIVES)} {self.pick(NOUNS)}"
        return f"{self.word(1, 2)} {self.pick(NOUNS)}"

    def number(self) -> str:
        """One to four digits."""
        return str(self.rng.randrange(10 ** self.rng.choice((1, 1, 2, 2, 3, 4))))

    def code_word(self) -> str:
        """A tag such as ``KV-204`` or ``dorn_7``."""
        roll = self.rng.random()
        if roll < 0.4:
            letters = "".join(self.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(self.rng.randint(1, 3)))
            return f"{letters}-{self.number()}"
        if roll < 0.7:
            return f"{self.word(1, 2)}_{self.pick(NOUNS)}"
        return f"{self.word(1, 2)}{self.number()}"

    def sentence(self) -> str:
        """Something to copy: a sentence of the manual, a made-up fact, or a string of words."""
        roll = self.rng.random()
        if roll < 0.4:
            return self.pick(self.sentences)
        if roll < 0.7:
            return self.fact()[0]
        words = self.words(2, 6, self.thing, 0.5)
        return " ".join(words)

    # ---- made-up facts

    def fact(self) -> Fact:
        """A made-up fact: one sentence, and questions on it with a short answer each."""
        p, place, t, n, colour = self.person(), self.name(), self.thing(), self.number(), self.pick(COLOURS)
        job, verb, word, code = self.pick(JOBS), self.pick(VERBS), self.name(), self.code_word()
        day, month, q, noun = self.pick(DAYS), self.pick(MONTHS), self.name(), self.pick(NOUNS)
        bare = {"carries": "carry"}.get(verb, verb[:-1])
        # fmt: off
        table: tuple[Fact, ...] = (
            (f"{p} {verb} the {t} at {place}.",
             [(f"Who {verb} the {t} at {place}?", p), (f"What does {p} {bare} at {place}?", f"The {t}")]),
            (f"{p} is the {job} of {place}.",
             [(f"Who is the {job} of {place}?", p), (f"What is {p}'s job?", f"The {job} of {place}")]),
            (f"The {t} of {p} is {colour}.",
             [(f"What colour is the {t} of {p}?", colour), (f"What colour is {p}'s {t}?", colour)]),
            (f"{p} lives in {place}.", [(f"Where does {p} live?", place), (f"Who lives in {place}?", p)]),
            (f"{p} has {n} {noun}s.",
             [(f"How many {noun}s does {p} have?", n), (f"Who has {n} {noun}s?", p),
              (f"What does {p} have?", f"{n} {noun}s")]),
            (f"The capital of {word} is {place}.",
             [(f"What is the capital of {word}?", place), (f"Name the capital of {word}.", place)]),
            (f"The code for the {t} is {code}.",
             [(f"What is the code for the {t}?", code), (f"Which code does the {t} have?", code)]),
            (f"{place} was built in {n}.",
             [(f"When was {place} built?", n), (f"In which year was {place} built?", n)]),
            (f"The market in {place} is on {day}.",
             [(f"When is the market in {place}?", day), (f"What day is the market in {place}?", day)]),
            (f"{p} was born in {month}.",
             [(f"When was {p} born?", month), (f"In which month was {p} born?", month)]),
            (f"{word} is a {job} from {place}.",
             [(f"Who is {word}?", f"A {job} from {place}"), (f"Where is {word} from?", place),
              (f"Tell me about {word}.", f"A {job} from {place}")]),
            (f"{word} is a kind of {noun}.",
             [(f"What is {word}?", f"A kind of {noun}"), (f"What kind of thing is {word}?", noun)]),
            (f"{word} means {t}.",
             [(f"What does {word} mean?", t),
              (f"Define {word}.", t), (f"What is the meaning of {word}?", t)]),
            (f"A {word.lower()} is a {noun} that {verb} {t}s.",
             [(f"What is a {word.lower()}?", f"A {noun} that {verb} {t}s"),
              (f"Explain the word {word.lower()}.", f"A {noun}"),
              (f"What does a {word.lower()} do?", f"It {verb} {t}s")]),
            (f"The {t} is in {place}, next to the {noun}.",
             [(f"Where is the {t}?", place), (f"What is next to the {noun}?", f"The {t}")]),
            (f"{p} likes the {t}.", [(f"What does {p} like?", f"The {t}"), (f"Who likes the {t}?", p)]),
            (f"{code} costs {n} coins.",
             [(f"How much does {code} cost?", f"{n} coins"),
              (f"What is the price of {code}?", f"{n} coins")]),
            (f"{p} and {q} met in {place}.",
             [(f"Where did {p} and {q} meet?", place), (f"Who met in {place}?", f"{p} and {q}")]),
            (f"{word} was written by {p}.",
             [(f"Who wrote {word}?", p), (f"Who is the author of {word}?", p)]),
            (f"The ship {word} carries {noun}s to {place}.",
             [(f"What does the ship {word} carry?", f"{noun}s"), (f"Where does the ship {word} go?", place)]),
            (f"To open the {t}, say {place}.",
             [(f"How do I open the {t}?", f"Say {place}"), (f"What opens the {t}?", place)]),
            (f"To {bare} the {t}, run `{word.lower()} --{noun}` and wait {n} seconds.",
             [(f"How do I {bare} the {t}?", f"`{word.lower()} --{noun}`"),
              (f"How long do I wait after `{word.lower()} --{noun}`?", f"{n} seconds")]),
            (f"The limit of {code} is {n}.",
             [(f"What is the limit of {code}?", n), (f"Which limit does {code} have?", n)]),
            (f"{place} has {n} people.",
             [(f"How many people does {place} have?", n), (f"How many people live in {place}?", n)]),
            (f"The king of {place} is called {p}.",
             [(f"What is the king of {place} called?", p), (f"Who is the king of {place}?", p)]),
            (f"{p} comes back on {day}.",
             [(f"When does {p} come back?", day), (f"On which day does {p} come back?", day)]),
            (f"The {t} is {colour} because {p} {verb} it.",
             [(f"Why is the {t} {colour}?", f"Because {p} {verb} it"), (f"What colour is the {t}?", colour)]),
            (f"The error {code} says that the {noun} is {self.pick(ADJECTIVES)}. Call {p} first.",
             [(f"What does the error {code} say?", f"That something is wrong with the {noun}"),
              (f"Whom do I call after the error {code}?", p)]),
        )
        # fmt: on
        return table[int(self.rng.random() * len(table))]

    def asked(self, short: bool = False) -> tuple[str, str, str]:
        """A made-up fact, one question on it, and its answer: the fact's own sentence, or a few words."""
        statement, questions = self.fact()
        question, brief = questions[int(self.rng.random() * len(questions))]
        roll = self.rng.random()
        if roll < 0.12:
            question = self.pick(OPENERS) + question
        elif roll < 0.16:
            question = question.lower().rstrip("?.")
        elif roll < 0.2:
            question = question.rstrip("?.")
        return statement, question, (brief[0].upper() + brief[1:] + ".") if short else statement

    # ---- kinds of exchange

    def greeting(self) -> Chat:
        """Small talk."""
        name = self.name()
        return self.rng.choice(
            (
                qa(
                    self.pick(("Hello", "Hello!", "Hi", "Hi there", "Hey", "Hello there.")),
                    self.pick(("Hello! How can I help?", "Hello.", "Hi! What can I do for you?")),
                ),
                qa(self.pick(("Good morning", "Good morning!")), "Good morning! How can I help?"),
                qa(self.pick(("Good evening", "Good evening!")), "Good evening! How can I help?"),
                qa(self.pick(("Thanks", "Thank you", "Thank you!", "Thanks a lot")), "You are welcome."),
                qa(self.pick(("Bye", "Goodbye", "See you")), "Goodbye!"),
                qa(self.pick(("How are you?", "How do you do?")), "I am well, thank you."),
                qa(f"My name is {name}.", f"Hello, {name}. Nice to meet you."),
                [
                    ("user", f"Hi, I am {name}."),
                    ("assistant", f"Hello, {name}. Nice to meet you."),
                    ("user", "What is my name?"),
                    ("assistant", f"Your name is {name}."),
                ],
                qa(f"Say hello to {name}.", f"Hello, {name}!"),
            )
        )

    def identity(self) -> Chat:
        """What the model says of itself."""
        return self.rng.choice(
            (
                qa(
                    self.pick(("Who are you?", "What are you?", "What is your name?", "Tell me about yourself.")),
                    "I am a very small language model. I make many mistakes.",
                ),
                qa(
                    self.pick(("What can you do?", "How can you help me?", "Help")),
                    "I can answer short questions and learn what your document says.",
                ),
                qa(
                    self.pick(("How do you learn?", "When do you learn?")),
                    "I learn each time you save your document.",
                ),
                qa(
                    self.pick(("Are you large?", "How big are you?")),
                    "I am very small. A larger model knows much more.",
                ),
                qa(self.pick(("Are you a person?", "Are you human?")), "No, I am a small language model."),
            )
        )

    def arithmetic(self) -> Chat:
        """Sums of small numbers."""
        a, b = self.rng.randint(0, 12), self.rng.randint(0, 12)
        if self.rng.random() < 0.25:
            a, b = self.rng.randint(0, 60), self.rng.randint(0, 39)
        op, sign, value = self.rng.choice(
            (("plus", "+", a + b), ("plus", "+", a + b), ("minus", "-", a - b), ("times", "*", a * b))
        )
        if op == "minus" and value < 0:
            a, b, value = b, a, -value
        return self.rng.choice(
            (
                qa(f"What is {a} {op} {b}?", f"{a} {op} {b} is {value}."),
                qa(f"{a} {sign} {b}", f"{a} {sign} {b} = {value}"),
                qa(f"What is {a} {sign} {b}?", f"{a} {sign} {b} = {value}"),
                qa(f"Compute {a} {sign} {b}.", str(value)),
                qa(f"What comes after {a}?", f"{a + 1} comes after {a}."),
                qa(f"Write {a % 21} as a word.", NUMBERS[a % 21]),
            )
        )

    def what_does(self) -> Chat:
        """A name of the standard library and the first line of its docstring."""
        name, line = self.about[int(self.rng.random() * len(self.about))]
        if self.rng.random() < 0.6 and name.count(".") > 1:
            name = ".".join(name.split(".")[-2:])
        ask = self.pick(("What does {} do?", "What is {}?", "Describe {}.", "Explain {}.", "Tell me about {}.", "{}?"))
        return qa(ask.format(name), line)

    def definition(self) -> Chat:
        """A word of the glossary."""
        noun = self.pick(sorted(GLOSSARY))
        meaning = GLOSSARY[noun]
        subject = noun[0].upper() + noun[1:]
        bare = noun.split(" ", 1)[-1]
        ask = self.pick((f"What is {noun}?", f"Define {bare}.", f"Explain what {noun} is.", f"What does {bare} mean?"))
        if self.rng.random() < 0.2:
            return qa(f"What do we call {meaning}?", f"We call it {noun}.")
        return qa(ask, f"{subject} is {meaning}.")

    def copying(self) -> Chat:
        """Tasks whose answer is made of words of the question."""
        s, w, x = self.sentence(), self.word(1, 3), self.word(1, 3)
        s2, many = self.sentence(), self.rng.randint(2, 4)
        words = self.words(3, 6, lambda: self.pick(NOUNS), 0.6)
        return self.rng.choice(
            (
                qa(f"Repeat: {s}", s),
                qa(f"Repeat after me: {s}", s),
                qa(f"Say this again: {s}", s),
                qa(f'Quote me: "{s}"', f'You said: "{s}"'),
                qa(f"Repeat the first line.\n{s}\n{s2}", s),
                qa(f"Repeat the last line.\n{s}\n{s2}", s2),
                qa(f"Say {w} {NUMBERS[many]} times.", " ".join([w] * many)),
                qa(f"Write {w} in capitals.", w.upper()),
                qa(f"Write {w} with a capital letter.", w.capitalize()),
                qa(f"Spell {w}.", "-".join(w)),
                qa(f"Say {w} and then {x}.", f"{w} {x}"),
                qa(f"Swap {w} and {x}.", f"{x} and {w}"),
                qa(f"Make a list of {', '.join(words)}.", "\n".join(f"- {v}" for v in words)),
                qa(f"What is the first word of: {' '.join(words)}", words[0]),
                qa(f"What is the last word of: {' '.join(words)}", words[-1]),
                qa(f"How many words: {' '.join(words)}", f"{len(words)} words."),
                qa(f"Join with commas: {' '.join(words)}", ", ".join(words)),
                qa(f"Reverse: {' '.join(words[:4])}", " ".join(reversed(words[:4]))),
            )
        )

    def word_game(self) -> Chat:
        """Opposites, plurals, tenses, days and months."""
        left, right = self.rng.choice(OPPOSITES)
        if self.rng.random() < 0.5:
            left, right = right, left
        one, many = self.rng.choice(PLURALS)
        now, then = self.rng.choice(PAST)
        old = self.pick(sorted(YOUNG))
        day, month = self.rng.randrange(7), self.rng.randrange(12)
        return self.rng.choice(
            (
                qa(f"What is the opposite of {left}?", f"The opposite of {left} is {right}."),
                qa(f"What is the plural of {one}?", f"The plural of {one} is {many}."),
                qa(f"What is the past of {now}?", f"The past of {now} is {then}."),
                qa(f"What is a young {old} called?", f"A young {old} is called a {YOUNG[old]}."),
                qa(f"Which day comes after {DAYS[day]}?", f"{DAYS[(day + 1) % 7]} comes after {DAYS[day]}."),
                qa(
                    f"Which month comes after {MONTHS[month]}?",
                    f"{MONTHS[(month + 1) % 12]} comes after {MONTHS[month]}.",
                ),
            )
        )

    def listing(self) -> Chat:
        """Lists and counting."""
        kind = self.pick(sorted(MEMBERS))
        count = self.rng.randint(2, 4)
        some = self.rng.sample(list(MEMBERS[kind]), count)
        start, length = self.rng.randint(0, 20), self.rng.randint(3, 9)
        one = self.pick(MEMBERS[kind])
        figures = [str(n) for n in range(start, start + length)]
        return self.rng.choice(
            (
                qa(f"Name {NUMBERS[count]} {kind}.", ", ".join(some)),
                qa(f"List {NUMBERS[count]} {kind}.", "\n".join(f"- {s}" for s in some)),
                qa(f"Is {one} one of the {kind}?", f"Yes, {one} is one of the {kind}."),
                qa(f"Count from {start} to {start + length - 1}.", " ".join(figures)),
                qa("Name the days of the week.", ", ".join(DAYS)),
                qa(f"Put in order: {', '.join(self.rng.sample(figures, length))}", ", ".join(figures)),
            )
        )

    def geography(self) -> Chat:
        """Capitals and colours."""
        land = self.pick(sorted(CAPITALS))
        thing = self.pick(sorted(COLOUR_OF))
        return self.rng.choice(
            (
                qa(f"What is the capital of {land}?", f"The capital of {land} is {CAPITALS[land]}."),
                qa(
                    f"Which country has the capital {CAPITALS[land]}?",
                    f"{CAPITALS[land]} is the capital of {land}.",
                ),
                qa(f"Where is {CAPITALS[land]}?", f"{CAPITALS[land]} is in {land}."),
                qa(f"What colour is {thing}?", f"{thing[0].upper()}{thing[1:]} is {COLOUR_OF[thing]}."),
            )
        )

    def in_context(self) -> Chat:
        """A short passage and a question on one of its facts, or on none of them."""
        short = self.rng.random() < 0.25
        facts = [self.asked(short) for _ in range(self.rng.randint(1, 4))]
        _, question, answer = facts[int(self.rng.random() * len(facts))]
        passage = self.pick((" ", "\n")).join(f[0] for f in facts)
        if self.rng.random() < 0.1:
            question, answer = self.asked()[1], "The text does not say."
        if self.rng.random() < 0.2:
            rule = f"{self.pick(BRIEF)} " if short else ""
            return ruled(rule + passage, question, answer)
        layout = self.pick(LAYOUTS)
        turns: Chat = qa(layout.format(p=passage, q=question), answer)
        if short:
            return [("system", self.pick(BRIEF)), *turns]
        if self.rng.random() < 0.25:
            _, again, reply = facts[int(self.rng.random() * len(facts))]
            turns += qa(again, reply)
        return turns

    def told_earlier(self) -> Chat:
        """Facts are told (or taught as question and answer) in earlier turns and asked for later."""
        facts = [self.asked() for _ in range(self.rng.randint(1, 4))]
        turns: Chat = []
        taught = self.rng.random() < 0.6
        for statement, question, answer in facts:
            if taught:
                turns += qa(question, answer)
            else:
                turns += qa(statement, self.pick(("Noted.", "I will remember.", "All right.")))
        for _, question, answer in self.rng.sample(facts, self.rng.randint(1, len(facts))):
            turns += qa(question, answer)
        return turns

    def saying(self) -> Chat:
        """A sentence of the manual, found by one of its words: among others above it, or from memory."""
        some = [self.pick(self.sentences) for _ in range(self.rng.randint(2, 4))]
        answer = self.pick(some)
        words = [w for w in answer.rstrip(".").split() if len(w) > 4 and sum(w in s for s in some) == 1]
        word = self.pick(words) if words else answer.split()[0]
        if self.rng.random() < 0.5:
            known = (
                "What does the manual say about {}?",
                "Tell me something about {}.",
                "Say a sentence with {}.",
            )
            return qa(self.pick(known).format(word), answer)
        ask = self.pick(("Which line speaks of {}?", "Find the line with {}.", "Quote the line with {}."))
        return qa("\n".join([*some, "", ask.format(word)]), answer)

    def unknown(self) -> Chat:
        """Nobody can know a made-up thing that was never told."""
        return qa(self.asked()[1], "I do not know.")

    def invented(self) -> Chat:
        """A made-up answer to a made-up question: teaches the shape of answers and that any word may come."""
        _, question, answer = self.asked(self.rng.random() < 0.3)
        return qa(question, answer)

    def system_rule(self) -> Chat:
        """A system message says how to answer."""
        answer, question, _ = self.asked()
        word, name, job = self.name(), self.name(), self.pick(JOBS)
        user = self.pick((f"{answer} {question}", f"Repeat: {answer}"))
        plain = self.pick(("You are a helpful assistant.", "Be brief.", "Answer from the document."))
        return self.rng.choice(
            (
                ruled(f"End each answer with {word}.", user, f"{answer} {word}"),
                ruled(f"Begin each answer with {word}.", user, f"{word} {answer}"),
                ruled(
                    f"You are {name}, the {job}.",
                    self.pick(("Who are you?", "What is your name?")),
                    f"I am {name}, the {job}.",
                ),
                ruled("Answer in capitals.", user, answer.upper()),
                ruled(f"Whatever is asked, say {word}.", question, word),
                ruled(plain, user, answer),
                ruled(f"You speak for {name}.", "For whom do you speak?", f"I speak for {name}."),
            )
        )

    def code(self) -> Chat:
        """Very small pieces of Python."""
        name, arg = self.word(1, 2), self.pick(("x", "n", "text", "items", "value"))
        value, noun = self.number(), self.pick(NOUNS)
        words = [self.pick(NOUNS) for _ in range(self.rng.randint(2, 4))]
        return self.rng.choice(
            (
                qa(f"Write a function {name} that returns {value}.", f"def {name}():\n    return {value}"),
                qa(
                    f"Write a function {name} that adds {value} to {arg}.",
                    f"def {name}({arg}):\n    return {arg} + {value}",
                ),
                qa(f"Print {noun} in Python.", f'print("{noun}")'),
                qa(f"Set {name} to {value}.", f"{name} = {value}"),
                qa(
                    f"Make a Python list of {', '.join(words)}.",
                    "[" + ", ".join(f'"{w}"' for w in words) + "]",
                ),
                qa(
                    f"Write a class {name.capitalize()} with the field {arg}.",
                    f"class {name.capitalize()}:\n    {arg}: int",
                ),
                qa(f"Import {noun} from {name}.", f"from {name} import {noun}"),
            )
        )

    def comparison(self) -> Chat:
        """The larger or smaller of two numbers."""
        a, b = self.rng.sample(range(100), 2)
        low, high = min(a, b), max(a, b)
        return self.rng.choice(
            (
                qa(f"Which is larger, {a} or {b}?", f"{high} is larger than {low}."),
                qa(f"Which is smaller, {a} or {b}?", f"{low} is smaller than {high}."),
                qa(
                    f"Is {a} larger than {b}?",
                    f"Yes, {a} is larger than {b}." if a > b else f"No, {a} is smaller than {b}.",
                ),
            )
        )


def _first_line(text: str) -> str:
    """The docstring's first paragraph as one line, or nothing when it isn't a plain sentence."""
    line = " ".join(text.split("\n\n", 1)[0].split())
    ok = 12 <= len(line) <= 140 and line[0].isupper() and line[-1] == "." and ">>>" not in line
    return line if ok else ""


def _sentences(text: str) -> list[str]:
    """Plain one-line sentences of a text, for copying tasks."""
    plain = [p for p in text.split("\n\n") if ">>>" not in p and not p.startswith((" ", "*", "-"))]
    parts = [s.strip() + "." for p in plain for s in " ".join(p.split()).split(". ")]
    fit = [s for s in parts if 20 <= len(s) <= 110 and s[0].isupper() and '"' not in s and s[-2] != ":"]
    return [s.replace("..", ".") for s in fit]


def qa(question: str, answer: str) -> Chat:
    """One exchange."""
    return [("user", question), ("assistant", answer)]


def ruled(rule: str, question: str, answer: str) -> Chat:
    """One exchange under a system message."""
    return [("system", rule), *qa(question, answer)]


def render(chat: Chat) -> str:
    """The chat template's text of one conversation."""
    return "".join(f"{IM_START}{role}\n{content}{IM_END}\n" for role, content in chat)
