"""Counterparty profiles: who they are, which message versions they speak, over which channel, within which limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaCarrier(_Strict):
    """A topic pair: instructions go out on one, replies come in on the other."""

    carrier: Literal["kafka"] = "kafka"
    outbound_topic: str
    inbound_topic: str


class FolderCarrier(_Strict):
    """A folder pair: one file a message, written under a temporary name, synced, then renamed."""

    carrier: Literal["folder"] = "folder"
    outbound: str
    inbound: str
    archive: str | None = None
    quarantine: str | None = None
    poll_seconds: float = Field(default=0.5, gt=0, le=60)


Carrier = Annotated[KafkaCarrier | FolderCarrier, Field(discriminator="carrier")]


class Limits(_Strict):
    """Bounds of a channel: message size in bytes, messages in one send, seconds before a send is in doubt, attempts."""

    max_message_bytes: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    batch: int = Field(default=100, ge=1, le=1_000)
    send_timeout_seconds: float = Field(default=10.0, gt=0)
    max_attempts: int = Field(default=20, ge=1)


class Tolerances(_Strict):
    """How far a trade that the other side alleges or confirms may differ from ours and still agree."""

    amount: Decimal = Field(
        default=Decimal(0), ge=0, description="of the settlement, net, bought or sold amount, in its currency"
    )
    price: Decimal = Field(default=Decimal(0), ge=0)
    accrued_interest: Decimal = Field(default=Decimal(0), ge=0, description="in its currency")
    exchange_rate: Decimal = Field(default=Decimal(0), ge=0)
    settlement_date_days: int = Field(default=0, ge=0, le=30)


BusinessService = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,35}$")]
ReceiptMeaning = Literal["received", "rejected"]


class Chasing(_Strict):
    """How long a counterparty may say nothing of what it was sent, in seconds.

    After the first time it is asked (a status query, where the dialogue has one), after the second operators are told.
    """

    query_after_seconds: float = Field(default=900, ge=1)
    alert_after_seconds: float = Field(default=900, ge=1, description="after the query, or after the first time")
    asks: bool = Field(default=True, description="false: tell operators, and send no query")


class Guidelines(_Strict):
    """Usage guidelines of the counterparty: imported XSDs that its messages must satisfy besides the standard's own."""

    outgoing: str | None = Field(default=None, description="name of the guideline for our messages")
    incoming: str | None = Field(default=None, description="name of the guideline for theirs")


Language = Literal["iso20022", "fin"]
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)


class Profile(_Strict):
    """One counterparty. ``bic`` is 8 or 11 characters, and names its channel in the ledger."""

    bic: str = Field(pattern=r"^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$")
    name: str
    channel: Carrier
    language: Language = Field(
        default="iso20022",
        description="what we speak with this counterparty: ISO 20022 in the versions below, or SWIFT FIN",
    )
    versions: dict[str, str] = Field(
        default_factory=dict,
        description="the message definition for each business message; the mapping tables name the keys and defaults",
    )
    business_service: dict[str, BusinessService] = Field(
        default_factory=dict,
        description="the header's business service: by message (`pacs.009`), by its area (`pacs`), or by message and a "
        "field that the event gives (`pacs.009 with underlying`), the closest first; none where nothing is named",
    )
    header_times: Literal["zulu", "offset"] = Field(
        default="zulu", description="how the header states its time in UTC: with Z, or with +00:00 as CBPR+ asks"
    )
    drops: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="what may be left out where the version has no element for it: fields by kind of event or message; "
        "every drop is an alert, and what is not listed is refused",
    )
    rules: tuple[str, ...] = Field(
        default=(),
        description="packs of rules besides the standard one, which is always applied: `gateway rules list` names them",
    )
    guidelines: Guidelines = Guidelines()
    limits: Limits = Limits()
    tolerances: Tolerances = Tolerances()
    chasing: Chasing | None = Field(default=None, description="absent: silence is not watched")
    answers_agreed_trades: bool = Field(
        default=False,
        description="affirm a trade confirmation of theirs that agrees with ours without asking an operator",
    )
    receipt_codes: dict[str, ReceiptMeaning] = Field(
        default={"TS01": "received", "TA01": "rejected"},
        description="what the codes of its receipt acknowledgements (admi.007) mean; any other is shown to operators",
    )
    refuses_repeated_transaction: bool = Field(
        default=False,
        description="the counterparty refuses a repeated transaction identification, so an unmarked repeat is safe",
    )

    @property
    def confirms_exchange(self) -> bool:
        """Tell whether it confirms foreign exchange to us itself, as FIN does; else a central system compares."""
        return self.language == "fin"

    def __hash__(self) -> int:
        """Hash by BIC: there is one profile for each."""
        return hash(self.bic)
