"""Identifiers of parties, securities and accounts: their structure as patterns, their check digits as functions.

Patterns are plain enough for every regular expression engine, so that one text serves the event models, their JSON
Schema and the explanation of a refusal. Check functions take a value that has the pattern.
"""

from __future__ import annotations

from functools import lru_cache

# ISO 3166-1, and XK (Kosovo), which the registrar of ISO 9362 uses by agreement.
_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_COUNTRIES.split())

_ANY_COUNTRY = "|".join(sorted(COUNTRIES))

BIC_PATTERN = f"^[A-Z0-9]{{4}}({_ANY_COUNTRY})[A-Z0-9]{{2}}([A-Z0-9]{{3}})?$"
COUNTRY_PATTERN = f"^({_ANY_COUNTRY})$"
ISIN_PATTERN = "^[A-Z]{2}[A-Z0-9]{9}[0-9]$"
LEI_PATTERN = "^[A-Z0-9]{18}[0-9]{2}$"
IBAN_PATTERN = "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"
MIC_PATTERN = "^[A-Z0-9]{4}$"
UTI_PATTERN = "^[A-Z0-9]{18}[0-9]{2}[A-Z0-9]{0,32}$"

RULES: dict[str, str] = {
    BIC_PATTERN: "a BIC (ISO 9362): 4 letters or digits, a country code, 2 letters or digits, optionally a branch of 3",
    COUNTRY_PATTERN: "a country code of ISO 3166-1 (two capital letters)",
    ISIN_PATTERN: "an ISIN (ISO 6166): 2 letters, 9 letters or digits, 1 check digit",
    LEI_PATTERN: "an LEI (ISO 17442): 18 capital letters or digits, 2 check digits",
    IBAN_PATTERN: "an IBAN (ISO 13616): country, 2 check digits, 11 to 30 capital letters or digits, no spaces",
    MIC_PATTERN: "a market identifier code (ISO 10383): 4 capital letters or digits",
    UTI_PATTERN: "a unique transaction identifier (ISO 23897): an LEI, then up to 32 capital letters or digits",
}
"""What each pattern asks for, in words."""


def _digits(text: str) -> str:
    """Write letters as the two digits that ISO 6166, 7064 and 13616 give them (A=10 ... Z=35)."""
    return "".join(str(int(character, 36)) for character in text)


@lru_cache(maxsize=65_536)
def isin_holds(isin: str) -> bool:
    """Tell whether the check digit of an ISIN holds (ISO 6166, modulus 10, double-add-double)."""
    total = 0
    for position, digit in enumerate(reversed(_digits(isin))):
        doubled = int(digit) * (1 + position % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


@lru_cache(maxsize=65_536)
def lei_holds(lei: str) -> bool:
    """Tell whether the check digits of an LEI hold (ISO 17442: ISO 7064, MOD 97-10)."""
    return int(_digits(lei)) % 97 == 1


@lru_cache(maxsize=65_536)
def iban_holds(iban: str) -> bool:
    """Tell whether the check digits of an IBAN hold (ISO 13616: ISO 7064, MOD 97-10, country and digits moved last)."""
    return int(_digits(iban[4:] + iban[:4])) % 97 == 1
