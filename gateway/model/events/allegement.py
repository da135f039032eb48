"""Our answers to trades that the other side begins."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from gateway.model.event import Event, Rule
from gateway.model.events.kinds import EventKind
from gateway.model.examples import allegement as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import Code, Text35, Text210


@strict
class Response:
    """Why we consent or refuse: ``CPTR``, ``CPCX`` or ``CPMD`` (trade, cancellation, modification), and in words."""

    reason: Code
    text: Text210 | None = None


@strict
class AnswerAllegement(Event):
    """Answer an allegement: consent to it, reject it, or say that it is forwarded or under investigation.

    ``trade_id`` is the account servicer's transaction identification.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.ALLEGEMENT
    role: ClassVar[str] = "answer"
    answers: ClassVar[bool] = True

    event_schema: Literal["answer_allegement/1"] = Field(alias="schema")
    consent: Response | None = None
    rejection: Response | None = None
    pending: Literal["forwarded", "under_investigation"] | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None

    rules = (
        Rule(
            "consent",
            ("consent", "rejection", "pending"),
            "exactly one of consent, rejection and pending",
            lambda event: sum(value is not None for value in (event.consent, event.rejection, event.pending)) != 1,
        ),
    )

    def asks(self) -> str:
        """Name the answer."""
        return "consent" if self.consent else "rejection" if self.rejection else "pending"


@strict
class AnswerTrade(Event):
    """Affirm or disaffirm a trade confirmation of theirs; ``trade_id`` is their transaction identification."""

    dialogue: ClassVar[Dialogue] = Dialogue.ALLEGED_TRADE
    role: ClassVar[str] = "answer"
    answers: ClassVar[bool] = True

    event_schema: Literal["answer_trade/1"] = Field(alias="schema")
    answer: Literal["affirm", "disaffirm"]
    reason: Code | None = None
    text: Text210 | None = None

    rules = (
        Rule(
            "reason",
            ("answer", "reason"),
            "no reason, since the trade is affirmed",
            lambda event: event.answer == "affirm" and event.reason is not None,
        ),
    )

    def asks(self) -> str:
        """Name the answer."""
        return self.answer


KINDS: Final[dict[str, EventKind]] = {
    "answer_allegement/1": EventKind(
        AnswerAllegement,
        examples.ANSWER_ALLEGEMENT,
        examples.ANSWER_ALLEGEMENT_MINIMAL,
        others=(examples.ANSWER_ALLEGEMENT_CONSENT,),
    ),
    "answer_trade/1": EventKind(AnswerTrade, examples.ANSWER_TRADE, examples.ANSWER_TRADE_MINIMAL),
}
