"""The DNS of the demo: a name server on loopback that says where the two domains are (RFC 3263)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"
TTL = 60


def server_name(domain: str) -> str:
    """The name of the only machine of a domain."""
    return f"sip.{domain}"


class Zone(asyncio.DatagramProtocol):
    """Answers SRV and A for domains whose only server is a TLS port on loopback."""

    def __init__(self) -> None:
        self.port = 0
        self._records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        self._transport: asyncio.DatagramTransport

    async def open(self, ports: Mapping[str, int]) -> None:
        """Serve domains with these TLS ports; ``port`` is where."""
        for domain, port in ports.items():
            server = f"{server_name(domain)}."
            self._add(f"_sips._tcp.{domain}.", "SRV", f"0 0 {port} {server}")
            self._add(server, "A", HOST)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Answer no more."""
        self._transport.close()

    def _add(self, name: str, kind: str, text: str) -> None:
        record = dns.rrset.from_text(name, TTL, "IN", kind, text)
        self._records[record.name, record.rdtype] = record

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """One question."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        for question in query.question:
            known = self._records.get((question.name, question.rdtype))
            if known is not None:
                response.answer.append(known)
        self._transport.sendto(response.to_wire(), addr)
