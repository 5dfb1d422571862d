"""The nine requirements, put to a SIP server from outside.

``target`` finds its ports, ``site`` is the server as probes see it, ``requirements`` has the probes, one file for each
requirement, ``run`` asks them all, and ``report_*`` write what was found. ``line`` and ``exchange`` are the auditor's
own sockets and transactions: a probe wants to see what an engine would hide.
"""
