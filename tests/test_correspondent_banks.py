"""Payments between correspondent banks: what a profile asks for is built, and what its rules refuse is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from gateway.errors import ConfigError, InvalidMessage
from gateway.messages import BuiltMessage, Messages
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.profile import Profile
from tests.examples import IDENTITY, OWN_BIC, encode, profile, terms_about

SERVICE, COVER = "swift.cbprplus.02", "swift.cbprplus.cov.02"
SERVICES = {"pacs": SERVICE, "camt": SERVICE, "pacs.009 with underlying": COVER}
KINDS = {
    "transfer_between_institutions/1": "pacs.009.001.08",
    "transfer_for_customer/1": "pacs.008.001.08",
    "cancel_payment/1": "camt.056.001.08",
    "query_payment_status/1": "pacs.028.001.03",
    "notify_to_receive/1": "camt.057.001.06",
    "cancel_notice/1": "camt.058.001.06",
}


def correspondent(header: str = "head.001.001.02", **changes: Any) -> Profile:
    versions = {
        "header": header,
        "institution_credit_transfer": "pacs.009.001.08",
        "customer_credit_transfer": "pacs.008.001.08",
        "payment_cancellation": "camt.056.001.08",
        "payment_status_request": "pacs.028.001.03",
        "notice_to_receive": "camt.057.001.08",
    }
    settings = {"rules": ("cbpr",), "header_times": "offset", "business_service": SERVICES, **changes}
    return Profile.model_validate(profile().model_dump() | {"versions": versions} | settings)


@cache
def messages(header: str = "head.001.001.02") -> Messages:
    return Messages(load_catalogue(), [correspondent(header)], OWN_BIC)


def build(event: dict[str, Any], to: Profile | None = None, created_at: datetime = IDENTITY.created_at) -> BuiltMessage:
    to = to or correspondent()
    parsed = parse_event(encode({name: value for name, value in event.items() if value is not None}))
    known = messages(to.versions["header"])
    return known.build(parsed, to, replace(IDENTITY, created_at=created_at), terms_about(parsed.dialogue))


def value(content: bytes, tag: str) -> str:
    return content.partition(f"<{tag}>".encode())[2].partition(b"<")[0].decode()


def refused(event: dict[str, Any], to: Profile | None = None, **identity: Any) -> set[str]:
    with pytest.raises(InvalidMessage) as caught:
        build(event, to, **identity)
    return {violation.code for violation in caught.value.violations}


EVENTS = [
    pytest.param(event, id=f"{kind}-{name}")
    for kind in KINDS
    for name, event in (
        ("complete", EVENT_KINDS[kind].example),
        ("minimal", EVENT_KINDS[kind].minimal),
    )
]


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_built_for_a_correspondent_keeps_every_rule(event: dict[str, Any]) -> None:
    built = build(event)
    assert built.warnings == ()
    assert value(built.content, "BizSvc") == (COVER if "underlying" in event else SERVICE)
    assert value(built.content, "CreDt") == "2026-03-02T08:15:01.500+00:00"
    assert value(built.content, "CreDtTm") == "2026-03-02T08:15:01.500+00:00"


@pytest.mark.parametrize("event", EVENTS)
def test_a_marked_repeat_keeps_business_service_and_time(event: dict[str, Any]) -> None:
    content = build(event).content
    marked = messages().mark_possible_duplicate(content)
    assert marked.replace(b"<PssblDplct>true</PssblDplct>", b"") == content != marked


@pytest.mark.parametrize("event", EVENTS)
def test_without_the_settings_of_the_profile_nothing_changes_and_the_rules_say_what_is_missing(
    event: dict[str, Any],
) -> None:
    plain = correspondent(header_times="zulu", business_service={}, rules=())
    content = build(event, plain).content
    assert b"BizSvc" not in content
    assert value(content, "CreDt") == "2026-03-02T08:15:01.500Z"
    asked = plain.model_copy(update={"rules": ("cbpr",)})
    assert refused(event, asked) == {"cbpr_business_service", "cbpr_header_time_offset"}


@pytest.mark.parametrize("header", ["head.001.001.03", "head.001.001.04"])
def test_later_headers_carry_both_too(header: str) -> None:
    content = build(EVENT_KINDS["transfer_between_institutions/1"].minimal, correspondent(header)).content
    assert (value(content, "BizSvc"), value(content, "CreDt")[-6:]) == (SERVICE, "+00:00")


def test_the_closest_name_of_a_business_service_counts() -> None:
    services = {"pacs": "area", "pacs.009": "message", "pacs.009 with purpose": "field"}
    to = correspondent(business_service=services, rules=())
    event = EVENT_KINDS["transfer_between_institutions/1"].minimal
    customer = EVENT_KINDS["transfer_for_customer/1"].minimal
    notice = EVENT_KINDS["notify_to_receive/1"].minimal
    built = [build(one, to).content for one in (event | {"purpose": "CORT"}, event, customer, notice)]
    assert [value(content, "BizSvc") for content in built] == ["field", "message", "area", ""]


@pytest.mark.parametrize("key", ["pacs.09", "pac", "pacs.009 with underlyin", "head"])
def test_a_business_service_of_no_message_is_refused_at_start(key: str) -> None:
    to = correspondent(business_service={key: SERVICE})
    with pytest.raises(ConfigError, match=f"business_service.{key}"):
        Messages(load_catalogue(), [to], OWN_BIC)


CUSTOMER = EVENT_KINDS["transfer_for_customer/1"].minimal
INSTITUTION = EVENT_KINDS["transfer_between_institutions/1"].minimal
LINES = {"country": "GB", "lines": ["1 High Street", "London"]}
NAMELESS = {"other": {"identification": "4711", "scheme": "BANK"}}
TOWN = {"town": "London", "country": "GB"}
LATER = datetime(2026, 11, 20, 9, tzinfo=UTC)


def living(address: dict[str, Any]) -> dict[str, Any]:
    return CUSTOMER | {"creditor": CUSTOMER["creditor"] | {"address": address}}


@pytest.mark.parametrize(
    ("event", "codes"),
    [
        (living(LINES), {"cbpr_address_town_and_country"}),
        (living(TOWN | {"lines": ["a", "b", "c"]}), {"cbpr_address_lines"}),
        (
            INSTITUTION | {"settlement_method": "clearing", "clearing_system": "TGT"},
            {"cbpr_settlement_method_of_institutions"},
        ),
        (CUSTOMER | {"charge_bearer": "service_level"}, {"cbpr_charge_bearer"}),
        (CUSTOMER | {"remittance": ["R\u00e9sum\u00e9"]}, {"cbpr_characters"}),
        (INSTITUTION | {"creditor_agent": NAMELESS}, {"cbpr_agents_named"}),
    ],
)
def test_what_correspondents_do_not_take_is_refused_with_its_rule(event: dict[str, Any], codes: set[str]) -> None:
    assert refused(event, created_at=LATER) == codes


def test_a_hybrid_address_is_taken_and_an_unstructured_one_until_november_2026() -> None:
    assert build(living(TOWN | {"lines": ["1 High Street"]}), created_at=LATER).warnings == ()
    assert build(living(LINES)).warnings == ()
