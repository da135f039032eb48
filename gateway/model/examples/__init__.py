"""One complete and one minimal example of every kind of trade event, as JSON documents (``gateway events example``).

The complete ones use every field; tests build them in every message version. Parties, accounts and trades are invented.
"""
