"""The section about the certificates of users. As in `sections`, the docstring below a key is its documentation."""

from __future__ import annotations

from pathlib import Path

from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Many


class Certificates(Section):
    """The certificate service (RFC 6072): who wants to encrypt to a user asks us for its certificate."""

    serve: bool = True
    """Whether anybody is told. A user that there is not looks like one without a certificate."""
    directory: FilePath = Path("tls/users")
    """Where they are: a file for each user, such as alice@example.org.pem. `ringfence cert issue --user` puts one
    there, `ringfence cert revoke` takes it away; it may also come from elsewhere. No private keys."""
    trust: Many[FilePath] = ()
    """Authorities besides our CA that may vouch for the signers of bodies, where `bodies` has them verified: files of
    PEM."""
