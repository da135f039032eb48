"""``gateway demo``: a day of trades, end to end, on this machine, judged by three independent books.

``course`` is what the tables say; ``day`` makes the trades and says where each has to end; ``stage`` runs broker,
ledger, gateway and counterparties as processes of their own; ``upstream`` listens to the status and exceptions topics;
``audit`` compares the books; ``play`` directs; ``board`` shows it.
"""
