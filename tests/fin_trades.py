"""Trade confirmations in FIN: events of ours, and messages of a counterparty."""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

from gateway.messages import Identity, Messages
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.profile import Profile
from tests.examples import encode
from tests.fin_counterparty import said
from tests.loops import (
    CHANNEL,
    OWN_BIC,
    START,
    party,
)

CONFIRM, CANCEL, ANSWER = "confirm_trade/1", "cancel_confirmation/1", "answer_trade/1"
FIN = Profile.model_validate(party(CHANNEL, language="fin"))
ISO = Profile.model_validate(party(CHANNEL))
IDENTITY = Identity("TRANSACTION00001", "MESSAGE000000001", START)
MONEY: dict[str, Any] = {"payment": "against", "net_amount": {"value": "61234.56", "currency": "EUR"}}
# What no field of MT515 or MT518 says.
NOT_IN_FIN = {
    "order_ids",
    "client_order_ids",
    "business_process",
    "trade_beneficiary",
    "hold",
}
PART_NOT_IN_FIN = {
    "references": [{"unique_transaction_id": "529900T8BM49AURSDO55TRADE0001"}],
    "standing_settlement_instruction": {
        "database": "VEND",
        "other_delivering_parties": [{"bic": "AGNTDEFFXXX"}],
    },
    "other_amounts": {"shared_brokerage_amount": {"value": "0.20", "currency": "EUR"}},
}


@cache
def messages() -> Messages:
    return Messages(load_catalogue(), [FIN, ISO], OWN_BIC)


def built(content: dict[str, Any], language: Profile = FIN, identity: Identity = IDENTITY) -> bytes:
    return messages().build(parse_event(encode(content)), language, identity).content


def minimal(**changes: Any) -> dict[str, Any]:
    return EVENT_KINDS[CONFIRM].minimal | {"payment": "against"} | changes


def complete(**changes: Any) -> dict[str, Any]:
    """Return an event with everything that FIN says of a trade."""
    example = {name: value for name, value in EVENT_KINDS[CONFIRM].example.items() if name not in NOT_IN_FIN}
    content = _as_in_fin(copy.deepcopy(example))
    content["references"] = [one for one in content["references"] if "unique_transaction_id" not in one]
    for name in ("other_delivering_parties", "other_receiving_parties"):
        del content["standing_settlement_instruction"][name]
    for name in ("matching_confirmation_fee", "shared_brokerage_amount", "clearing_broker_commission"):
        del content["other_amounts"][name]
    del content["other_amounts"]["executing_broker_amount"]  # the commission has its place
    del content["executing_broker"]["declaration_text"]
    for chain in ("delivering_parties", "receiving_parties"):
        for one in content[chain]:
            one.pop("declaration_text", None)
    return content | changes


def _as_in_fin(value: Any) -> Any:
    """Write texts in the characters of FIN, and name proprietary codes by an issuer of eight characters alone."""
    if isinstance(value, list):
        return [_as_in_fin(one) for one in value]
    if isinstance(value, dict):
        inner = {name: _as_in_fin(one) for name, one in value.items() if name != "scheme"}
        return inner | {"issuer": "HOUSE"} if "issuer" in inner else inner
    return re.sub(r"[<>&]", "", value).strip() if isinstance(value, str) else value


def answer(word: str, reference: str = "BROKER-1", **changes: Any) -> dict[str, Any]:
    own = {"trade_id": reference, "counterparty": CHANNEL, "answer": word, "event_id": f"{reference}-{word}"}
    return EVENT_KINDS[ANSWER].minimal | own | changes


# Theirs ---------------------------------------------------------------------------------------------------------------


def theirs(
    reference: str = "BROKER-1",
    *,
    number: str = "515",
    function: str = "NEWM",
    price: str = "122,4567",
    amount: str = "EUR61234,56",
    side: str = "SELL",
    parties: tuple[str, str] = (OWN_BIC, CHANNEL),
    previous: str | None = None,
    sender: str = CHANNEL,
) -> bytes:
    """Return a trade confirmation of theirs: they sell us 500 units; ``parties`` are buyer and seller."""
    link = f"20C::PREV//{previous}" if previous else f"20C::TRRF//{reference}"
    return said(
        number,
        *("16R:GENL", f"20C::SEME//{reference}{'-C' if previous else ''}", f"23G:{function}"),
        *("98C::PREP//20260302110000", "22F::TRTR//TRAD", "16R:LINK", link, "16S:LINK", "16S:GENL"),
        *("16R:CONFDET", "98C::TRAD//20260302091458", "98A::SETT//20260304", f"90B::DEAL//ACTU/EUR{price}"),
        *(f"22H::BUSE//{side}", "22H::PAYM//APMT"),
        *("16R:CONFPRTY", f"95P::BUYR//{parties[0]}", "16S:CONFPRTY"),
        *("16R:CONFPRTY", f"95P::SELL//{parties[1]}", "16S:CONFPRTY"),
        *("36B::CONF//UNIT/500,", "35B:ISIN DE0007164600", "16S:CONFDET"),
        *("16R:SETDET", "22F::SETR//TRAD", "16R:AMT", f"19A::SETT//{amount}", "16S:AMT", "16S:SETDET"),
        sender=sender,
    )


def affirmation(about: str, reference: str = "AFFIRMED1", *, function: str = "NEWM", forced: bool = False) -> bytes:
    """Return an MT517."""
    status = ("25D::AFFM//FORC",) if forced else ()
    back = ("16R:LINK", "20C::PREV//AFFIRMED1", "16S:LINK") if function == "CANC" else ()
    return said(
        "517",
        *("16R:GENL", f"20C::SEME//{reference}", f"23G:{function}", f"95P::AFFM//{CHANNEL}", *status),
        *("16R:LINK", "13A::LINK//515", f"20C::RELA//{about}", "16S:LINK", *back, "16S:GENL"),
    )


def status(about: str, *statuses: str, reference: str = "STATUS1", function: str = "INST") -> bytes:
    """Return an MT509; a status is ``AFFM//NAFI`` or ``AFFM//NAFI NAFI//NARR the text``."""
    told: list[str] = []
    for one in statuses:
        code, _, why = one.partition(" ")
        reason, _, text = why.partition(" ")
        inner = ("16R:REAS", f"24B::{reason}", *([f"70D::REAS//{text}"] if text else []), "16S:REAS") if why else ()
        told += ["16R:STAT", f"25D::{code}", *inner, "16S:STAT"]
    return said(
        "509",
        *("16R:GENL", f"20C::SEME//{reference}", f"23G:{function}"),
        *("16R:LINK", "13A::LINK//515", f"20C::RELA//{about}", "16S:LINK", *told, "16S:GENL"),
    )
