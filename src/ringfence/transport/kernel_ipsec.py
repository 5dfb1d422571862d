"""IPsec of the operating system, where the extra that speaks with it is installed."""

from __future__ import annotations

from ringfence.transport.ipsec import Ipsec, IpsecError


def kernel_ipsec() -> Ipsec:
    """That of the operating system.

    Raises:
        IpsecError: when it has none, or the package that speaks with it is not installed.
    """
    try:
        from ringfence.transport.xfrm import Xfrm  # an extra: who needs no IPsec does not install its package
    except ImportError as error:
        raise IpsecError(f"IPsec needs the package {error.name}: pip install 'ringfence[ipsec]'") from None
    return Xfrm()
