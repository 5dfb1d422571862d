"""Measures what a call costs here, for ``ringfence bench``: nodes of its own on loopback, beside Kamailio."""
