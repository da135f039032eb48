"""Currencies of ISO 4217 (list one, with funds and precious metals) and how many decimals an amount in each may have.

One line a number of decimals. Units of account and precious metals, for which the standard states no decimals, take
five: the most that an ISO 20022 amount carries.
"""

from __future__ import annotations

_TABLE = """
0 BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
2 AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
2 CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR
2 ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
2 MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
2 SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL
3 BHD IQD JOD KWD LYD OMR TND
4 CLF UYW
5 XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA
"""

DECIMALS: dict[str, int] = {
    code: int(line.split()[0]) for line in _TABLE.split("\n") if line for code in line.split()[1:]
}
"""Decimals an amount may have, by currency code."""
