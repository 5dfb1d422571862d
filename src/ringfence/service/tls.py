"""From the configuration to the files of TLS. Part of `wiring`."""

from __future__ import annotations

from ringfence.service.config import Config
from ringfence.transport.contexts import TlsSettings


def tls_settings(config: Config) -> TlsSettings:
    """Which files TLS uses, and how."""
    tls = config.tls
    pairs = dict.fromkeys((chain, key) for _, chain, key in config.certificate_files())
    ca = (tls.ca,) if tls.ca is not None and tls.ca.exists() else ()
    inside = (tls.certificate, tls.key) if config.acme_pair and tls.certificate.exists() else None
    return TlsSettings(
        certificates=tuple(pairs),
        trust=(*ca, *tls.trust),
        system_trust=tls.system_trust,
        client_certificates=tls.client_certificates,
        verify_servers=tls.verify_servers,
        minimum_version=tls.min_version,
        revoked=tls.crl,
        inside=inside,
        inside_names=config.inside_names,
    )
