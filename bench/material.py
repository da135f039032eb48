"""What the measurements are made with: one event and two replies of realistic size, all invented, in any number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.model.events import TradeEvent, parse_event
from gateway.model.profile import KafkaCarrier, Language, Profile
from gateway.model.references import business_message_id, transaction_id
from gateway.model.transitions import Dialogue

FIXTURES = Path(__file__).parent / "fixtures"
OWN_BIC, CUSTODIAN, BROKER = "OURSGB2LXXX", "CUSTDEFFXXX", "BROKFRPPXXX"
SOURCE = "equities-desk"
# Dates to come, whenever it is measured: what is past its date has a further entry in its history each day.
TRADED = datetime.now(UTC).date()
SETTLES = TRADED + timedelta(days=7)
_NOT_IN_FIN = ("unique_transaction_identifier", "eligible_as_collateral", "modification_cancellation_allowed")
_ALLOCATIONS = 7  # of a block
CONFIRMATION, STATUS_ADVICE = "sese.025.001.12", "sese.024.001.13"


def profile(bic: str = CUSTODIAN, language: Language = "iso20022") -> Profile:
    """Return the counterparty's profile with the versions that are the default."""
    carrier = KafkaCarrier(outbound_topic="out", inbound_topic="in")
    return Profile(bic=bic, name="Custodian", channel=carrier, language=language)


def in_fin(content: bytes) -> TradeEvent:
    """Return an event with what FIN has a place for."""
    value = json.loads(content)
    return parse_event(json.dumps({name: said for name, said in value.items() if name not in _NOT_IN_FIN}).encode())


def event() -> dict[str, Any]:
    """Return the trade event: a receipt against payment whose message has about 4 KB."""
    value: dict[str, Any] = json.loads((FIXTURES / "instruct_settlement.json").read_bytes())
    return value | {"trade_date": TRADED.isoformat(), "settlement_date": SETTLES.isoformat()}


def events(count: int, prefix: str, counterparties: tuple[str, ...] = (CUSTODIAN,)) -> Iterator[bytes]:
    """Give events of distinct trades, quantities and amounts untouched so that one confirmation fits them all.

    Seven after each other are the allocations of one block.
    """
    linkages = [{"position": "WITH", "pool_id": "@BLOCK@"}]
    own = {"event_id": "@EVENT@", "trade_id": "@TRADE@", "counterparty": "@TO@", "linkages": linkages}
    template = json.dumps(event() | own).replace("@BLOCK@", f"{prefix}-@BLOCK@")
    for number in range(count):
        trade = f"{prefix}-{number:06d}"
        text = template.replace("@EVENT@", f"E-{trade}").replace("@TRADE@", trade)
        text = text.replace("@BLOCK@", f"{number // _ALLOCATIONS:06d}")
        yield text.replace("@TO@", counterparties[number % len(counterparties)]).encode()


def varied(content: bytes, number: int) -> bytes:
    """Return an event or reply with quantity, price and amounts of its own, which fit each other."""
    quantity, price = 2500 + number, Decimal("122.4567") + number
    commission, tax = 153 + number, 46 + number
    traded = (quantity * price).quantize(Decimal("0.01"))
    settled = traded + commission + tax + 1
    values: dict[bytes, object] = {
        b"2500": quantity,
        b"122.4567": price,
        b"305941.75": traded,
        b"306141.75": settled,
        b"153.07": f"{commission}.07",
        b"46.93": f"{tax}.93",
    }
    for usual, other in values.items():
        content = content.replace(usual, str(other).encode())
    return content


def identifiers(trade: str) -> tuple[str, str]:
    """Return the transaction identification and the business message identifier of a trade's instruction."""
    transaction = transaction_id(OWN_BIC, SOURCE, trade, Dialogue.SETTLEMENT, 1)
    return transaction, business_message_id(transaction, f"E-{trade}", "sese.023.001.12")


def reply(definition: str, transaction: str, message_id: str, bic: str = CUSTODIAN) -> bytes:
    """Return a counterparty's reply about a transaction."""
    template = (FIXTURES / f"{definition}.xml").read_bytes()
    values = {b"@TRANSACTION@": transaction, b"@MESSAGE@": message_id, b"@FROM@": bic}
    values |= {b"@TRADED@": TRADED.isoformat(), b"@SETTLES@": SETTLES.isoformat()}
    for name, value in values.items():
        template = template.replace(name, value.encode())
    return template
