"""Scenarios: which answers a counterparty gives, in which order and when. Pure: the draw comes from a seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from gateway.errors import ConfigError

RANDOM = "random"

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_LINE_END = re.compile(r"\n(//)?")  # where FIN breaks a text, in some fields with a mark
_SCRIPTED = re.compile(r"SIM:([a-z0-9-]+(?:,[a-z0-9-]+)*)")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a scenario: ``partial:40`` has the name ``partial`` and the argument ``40``."""

    name: str
    argument: str | None = None

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read a step as it is written in a scenario."""
        name, _, argument = text.partition(":")
        return cls(name, argument or None)

    def __str__(self) -> str:
        return self.name if self.argument is None else f"{self.name}:{self.argument}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named course of answers in one dialogue; ``weight`` is its share when the choice is random.

    What ``drops`` takes back what is still to be answered to the message that was withdrawn.
    """

    dialogue: str
    name: str
    steps: tuple[Step, ...]
    weight: int
    out_of_order: bool = False
    text: str = ""
    drops: bool = False


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds between the answers of one transaction, drawn between both, and what ``late`` adds to what follows."""

    shortest: float = 0.0
    longest: float = 0.0
    late: float = 30.0


class Draw:
    """Draw numbers in [0, 1) from a seed and what they are for; the same words give the same numbers on any machine.

    Nothing else enters: not the order of arrival, not the clock.
    """

    def __init__(self, seed: int, *words: str) -> None:
        self._state = sha256("\x1f".join((str(seed), *words)).encode()).digest()
        self._position = 0

    def __call__(self) -> float:
        if self._position + 8 > len(self._state):
            self._state = sha256(self._state).digest()
            self._position = 0
        chunk = self._state[self._position : self._position + 8]
        self._position += 8
        return (int.from_bytes(chunk) >> 11) / (1 << 53)


class Scenarios:
    """The scenarios of every dialogue, out of the table ``schemas/simulator/scenarios.toml`` or a user's own."""

    def __init__(
        self,
        table: Mapping[str, Mapping[str, Any]],
        known_steps: Mapping[str, Sequence[str]],
        begins: Mapping[str, str | None] | None = None,
    ) -> None:
        """Check the table against the steps that can be written; raises ConfigError naming dialogue and scenario.

        ``begins`` are the dialogues that a counterparty begins, with the dialogue in which it may be asked to.
        """
        self._begins = begins or {}
        self._dialogues: dict[str, dict[str, Scenario]] = {}
        for dialogue, scenarios in table.items():
            if dialogue not in known_steps:
                raise ConfigError(
                    f"scenarios: '{dialogue}' is no dialogue of the simulator; known: {', '.join(sorted(known_steps))}"
                )
            self._dialogues[dialogue] = {
                name: _scenario(dialogue, name, row, known_steps[dialogue]) for name, row in scenarios.items()
            }
        for dialogue in known_steps:
            if not self._dialogues.get(dialogue):
                raise ConfigError(f"scenarios: the dialogue '{dialogue}' has no scenario")

    def __iter__(self) -> Any:
        """Go through every scenario, in the order of the table."""
        return (scenario for scenarios in self._dialogues.values() for scenario in scenarios.values())

    def find(self, dialogue: str, name: str) -> Scenario | None:
        """Return a dialogue's scenario of that name, or None."""
        return self._dialogues[dialogue].get(name)

    def named(self, dialogue: str, name: str) -> Scenario:
        """Return a dialogue's scenario of that name; raises ConfigError where there is none."""
        scenario = self.find(dialogue, name)
        if scenario is None:
            raise ConfigError(
                f"scenarios: the dialogue '{dialogue}' has no scenario '{name}', which the simulator needs"
            )
        return scenario

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigError for a name that no dialogue has; ``random`` is always known."""
        known = {scenario.name for scenario in self} | {RANDOM}
        for name in names:
            if name not in known:
                raise ConfigError(f"scenario '{name}' is unknown; known: {', '.join(sorted(known))}")

    def begun(self, names: Sequence[str]) -> Scenario:
        """Return the first of these scenarios that a counterparty begins by itself; raises ConfigError."""
        self.check(names)
        for name in names:
            for dialogue in self._begins:
                if name in self._dialogues[dialogue]:
                    return self._dialogues[dialogue][name]
        known = sorted(name for dialogue in self._begins for name in self._dialogues[dialogue])
        raise ConfigError(f"none of {', '.join(names) or 'no scenarios'} begins anything; those do: {', '.join(known)}")

    def asked_for(self, names: Sequence[str], dialogue: str | None) -> list[Scenario]:
        """Return what a message of a dialogue asks the counterparty to begin with the same terms."""
        return [
            self._dialogues[begins][name]
            for name in names
            for begins, mirrors in self._begins.items()
            if mirrors == dialogue and name in self._dialogues[begins]
        ]

    def choose(
        self, dialogue: str, wanted: Sequence[str], draw: Draw, *, scripted: Sequence[str] = (), turn: int = 0
    ) -> Scenario:
        """Take what is scripted, else the first wanted name that this dialogue has, else the dialogue's first.

        Of several scripted names that the dialogue has, the one of this ``turn`` is taken (from 0), and the last one
        stays; ``random`` draws by weight.
        """
        scenarios = self._dialogues[dialogue]
        own = [name for name in scripted if name in scenarios]
        if own:
            return scenarios[own[min(turn, len(own) - 1)]]
        for name in (*scripted, *wanted):
            if name == RANDOM:
                return _weighted(list(scenarios.values()), draw())
            if name in scenarios:
                return scenarios[name]
        return next(iter(scenarios.values()))


def scripted(text: str | None) -> tuple[str, ...]:
    """Return the scenario names that an instruction asks for in a text: ``SIM:partial`` or ``SIM:matched,silence``."""
    found = _SCRIPTED.search(_LINE_END.sub("", text)) if text else None
    return tuple(found.group(1).split(",")) if found else ()


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An answer to come: its place in what is said, and seconds from the arrival until it is said and is sent."""

    position: int
    step: Step
    said_after: float
    sent_after: float


def schedule(scenario: Scenario, delays: Delays, draw: Draw) -> list[Scheduled]:
    """Return the answers of a scenario in the order in which they are sent.

    What is said and what is sent differ when the scenario is out of order: then the last said is the first sent.
    """
    said: list[tuple[Step, float]] = []
    elapsed = 0.0
    for step in scenario.steps:
        if step.name == "late":
            elapsed += float(step.argument) if step.argument else delays.late
            continue
        elapsed += delays.shortest + (delays.longest - delays.shortest) * draw()
        said.append((step, elapsed))
    order = range(len(said) - 1, -1, -1) if scenario.out_of_order else range(len(said))
    return [
        Scheduled(position, said[position][0], said[position][1], said[rank][1]) for rank, position in enumerate(order)
    ]


def _scenario(dialogue: str, name: str, row: Mapping[str, Any], known_steps: Sequence[str]) -> Scenario:
    steps = tuple(Step.parse(text) for text in row.get("steps", ()))
    unknown = [str(step) for step in steps if step.name not in known_steps]
    if unknown:
        raise ConfigError(
            f"scenarios: {dialogue}.{name} has the unknown step '{unknown[0]}'; known: {', '.join(sorted(known_steps))}"
        )
    if any(second.name == "duplicate" and first.name == "late" for first, second in pairwise((Step("late"), *steps))):
        raise ConfigError(f"scenarios: {dialogue}.{name}: 'duplicate' has to follow an answer")
    weight = row.get("weight", 0)
    if not isinstance(weight, int) or weight < 0:
        raise ConfigError(f"scenarios: {dialogue}.{name}.weight is {weight!r}; it has to be a whole number from 0")
    if any(step.name == "late" and step.argument and not _SECONDS.fullmatch(step.argument) for step in steps):
        raise ConfigError(f"scenarios: {dialogue}.{name}: 'late' takes seconds, as in late:30")
    return Scenario(
        dialogue,
        name,
        steps,
        weight,
        bool(row.get("out_of_order", False)),
        str(row.get("text", "")),
        bool(row.get("drops", False)),
    )


def _weighted(scenarios: Sequence[Scenario], point: float) -> Scenario:
    total = sum(scenario.weight for scenario in scenarios)
    if total == 0:
        return scenarios[0]
    passed = 0
    for scenario in scenarios:
        passed += scenario.weight
        if point * total < passed:
            return scenario
    return scenarios[-1]
