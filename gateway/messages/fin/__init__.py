"""SWIFT FIN: the fields of a message, judged by definitions that are data (``schemas/fin``).

``definitions`` reads the files, ``fields`` makes checkers of SWIFT's notation, ``structure`` makes a tree of the fields
of block 4, ``rules`` are the network validated rules, ``shapes`` recognises what was judged before, ``judging`` is all
of them together.
"""
