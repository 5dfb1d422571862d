"""A name server for networks of our own: ``python names.py ADDRESS FILE`` serves the records of a file.

A line is ``NAME TYPE DATA``, such as ``_sips._tcp.example.org. SRV 0 1 5061 one.example.org.``.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

TTL = 5


def main(address: str, file: str) -> None:
    """Answer until killed."""
    records: dict[object, dns.rrset.RRset] = {}
    names = set()
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, kind, data = line.split(" ", 2)
        record = dns.rrset.from_text(name, TTL, "IN", kind, data)
        known = records.setdefault((record.name, record.rdtype), record)
        if known is not record:
            known.update(record)
        names.add(record.name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            data, client = server.recvfrom(4096)
            try:
                query = dns.message.from_wire(data)
            except dns.exception.DNSException:
                continue
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            for question in query.question:
                found = records.get((question.name, question.rdtype))
                if found is not None:
                    response.answer.append(found)
                elif question.name not in names:
                    response.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(response.to_wire(), client)


if __name__ == "__main__":
    main(*sys.argv[1:3])
