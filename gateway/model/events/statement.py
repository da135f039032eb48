"""Requests for statements: of a securities account (semt.021) and of a cash account (camt.060)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import EventKind
from gateway.model.examples import statement as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    AccountOwner,
    Bic,
    CashAccount,
    Code,
    Currency,
    DefinitionIdentifier,
    Isin,
    Some,
    Text35,
)

TimeOfDay = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})?$")
]


@strict
class Days:
    """The days that a statement is to cover, both included."""

    begins: date = Field(strict=False)
    ends: date = Field(strict=False)


@strict
class ReportingPeriod:
    """The days, and the times of these days, that a report is to cover; which entries of them: ``all`` usually."""

    begins: date = Field(strict=False)
    ends: date | None = Field(default=None, strict=False)
    begins_at: TimeOfDay | None = None
    ends_at: TimeOfDay | None = None
    entries: Literal["all", "changes", "modified"] = "all"


def _ends_before_it_begins(event: Any) -> bool:
    period = event.period
    return period is not None and period.ends is not None and period.ends < period.begins


_PERIOD: Final = Rule(
    "period.ends", ("period",), "an end of the period that is not before its beginning", _ends_before_it_begins
)


@strict
class RequestSecuritiesStatement(Event):
    """Ask for a statement of a securities account; ``requested_message`` says which, such as ``semt.018.001.13``.

    ``trade_id`` names the request.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.STATEMENT
    role: ClassVar[str] = "statement_request"

    event_schema: Literal["request_securities_statement/1"] = Field(alias="schema")
    requested_message: DefinitionIdentifier
    account_owner: AccountOwner | None = None
    safekeeping_account: Text35 | None = None
    statement_date: date | None = None
    period: Days | None = None
    frequency: Code | None = None
    update: Literal["complete", "delta"] | None = None
    basis: Literal["settled", "traded", "contractual"] | None = None
    books: Literal["custody", "accounting"] | None = None
    securities: Some[Isin] = ()

    rules = (
        Rule(
            "requested_message",
            ("requested_message",),
            "a statement of securities, such as semt.002.001.11 or semt.018.001.13",
            lambda event: not event.requested_message.startswith("semt."),
        ),
        Rule(
            "statement_date",
            ("statement_date", "period"),
            "either a statement date or a period, not both",
            lambda event: event.statement_date is not None and event.period is not None,
        ),
        _PERIOD,
    )

    def terms(self) -> facts.Terms:
        """State whose statement is asked for."""
        return facts.Terms(safekeeping_account=self.safekeeping_account)


@strict
class RequestAccountReport(Event):
    """Ask for a statement of a cash account; ``requested_message`` says which, such as ``camt.053.001.08``.

    ``trade_id`` names the request. ``account_owner`` is our own BIC where the account is ours.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.STATEMENT
    role: ClassVar[str] = "statement_request"

    event_schema: Literal["request_account_report/1"] = Field(alias="schema")
    requested_message: DefinitionIdentifier
    account_owner: Bic
    account_servicer: Bic | None = None
    cash_account: CashAccount | None = None
    currency: Currency | None = None
    period: ReportingPeriod | None = None
    balance_types: Some[Annotated[str, StringConstraints(pattern="^[A-Z0-9]{4}$")]] = ()

    rules = (
        Rule(
            "requested_message",
            ("requested_message",),
            "a report of a cash account, such as camt.053.001.08",
            lambda event: not event.requested_message.startswith("camt."),
        ),
        Rule(
            "currency",
            ("currency", "cash_account"),
            "a cash account, since its currency is given",
            lambda event: event.currency is not None and event.cash_account is None,
        ),
        Rule(
            "period.begins_at",
            ("period",),
            "a time of the beginning, since one of the end is given",
            lambda event: (
                event.period is not None and event.period.ends_at is not None and event.period.begins_at is None
            ),
        ),
        _PERIOD,
    )


KINDS: Final[dict[str, EventKind]] = {
    "request_securities_statement/1": EventKind(
        RequestSecuritiesStatement,
        examples.REQUEST_SECURITIES_STATEMENT,
        examples.REQUEST_SECURITIES_STATEMENT_MINIMAL,
        others=(examples.REQUEST_SECURITIES_STATEMENT_OF_A_DAY,),
    ),
    "request_account_report/1": EventKind(
        RequestAccountReport,
        examples.REQUEST_ACCOUNT_REPORT,
        examples.REQUEST_ACCOUNT_REPORT_MINIMAL,
        others=(examples.REQUEST_ACCOUNT_REPORT_OF_ANOTHER_FORM,),
    ),
}
