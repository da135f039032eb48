"""A counterparty to test against: it validates, answers, keeps its own book and shares no judgement with the gateway.

It uses the schema dictionary, the validator and the carriers, and none of the gateway's mapping, reading, matching or
lifecycle code: its tables are in ``schemas/simulator/``, so that both can disagree.
"""

from gateway.simulator.book import AnswerState, BookAnswer, BookEntry, Outcome, Repeat, outcomes, read_book
from gateway.simulator.counterparty import Counterparty, Progress, SimulatorSettings, open_counterparty, other_side
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import Delays
from gateway.simulator.tables import request_dialogues

__all__ = [
    "AnswerState",
    "BookAnswer",
    "BookEntry",
    "Counterparty",
    "Delays",
    "Initiative",
    "Outcome",
    "Progress",
    "Repeat",
    "SimulatorSettings",
    "open_counterparty",
    "other_side",
    "outcomes",
    "read_book",
    "request_dialogues",
]
