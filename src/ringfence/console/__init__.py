"""The web console: what a node does, for people with a browser; and the same as JSON, for programs.

A process of its own (``ringfence console``): a fault in a web page can't reach a call. It has what an administrator at
a terminal has: the control socket of the node, the database, the ledger.
"""
