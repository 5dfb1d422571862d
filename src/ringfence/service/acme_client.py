"""The exchange with an ACME server (RFC 8555), by the library of the certbot project. It blocks: run it in a thread.

One `AcmeServer` is one conversation: the directory, the account (found by its key, made when there is none), and then
orders. How a name is proved is handed in as a `Prover`. Whatever the library, the network or the server raises becomes
an `AcmeError` with one sentence.
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import LocalError
from ringfence.security.pem import key_pem
from ringfence.service.acme_sections import Acme

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.messages import OrderResource

REQUEST_SECONDS = 30
"""For one request. An order has some ten."""

ORDER_SECONDS = 180.0
"""For the server to prove the names and to issue. Public ones take some seconds, and say so when they are busy."""

MAX_DETAIL = 500
"""Characters of what a server says that are told: it is one line of a log."""

USER_AGENT = "ringfence"


class AcmeError(LocalError):
    """There is no certificate, for this reason."""


class Proof(NamedTuple):
    """What has to be published for one name, until the order is done."""

    name: str
    token: str
    """http-01: the last part of the path."""
    text: str
    """What stands there, or in the TXT record."""


class Prover(Protocol):
    """Publishes proofs. Its methods may block, and raise AcmeError."""

    def add(self, proof: Proof) -> None:
        """Publish it: when this returns, the server may look."""

    def remove(self, proof: Proof) -> None:
        """Take it away."""


class Renewal(NamedTuple):
    """When a server wants a certificate renewed (RFC 9773)."""

    at: float | None
    """Seconds since 1970; None where the server has no opinion."""
    ask_again: float
    """The same, of the next question."""


class AcmeServer:
    """A conversation with the server of a configuration. Raises AcmeError, also from every method."""

    def __init__(self, section: Acme, key: ec.EllipticCurvePrivateKey) -> None:
        with _translated(section):
            from acme.client import ClientNetwork, ClientV2
            from josepy.jwa import ES256
            from josepy.jwk import JWKEC

            self._section = section
            self._key = JWKEC(key=key)
            net = ClientNetwork(self._key, alg=ES256, user_agent=USER_AGENT, timeout=REQUEST_SECONDS)
            net.verify_ssl = _trusted(section)
            self._client: ClientV2 = ClientV2(ClientV2.get_directory(section.directory, net), net)

    def sign_in(self) -> None:
        """Find the account of our key, or make one."""
        with _translated(self._section):
            from acme import errors, messages

            try:
                self._client.new_account(messages.NewRegistration(only_return_existing=True))
            except errors.ConflictError as found:  # the library's word for: there is one
                self._use(found.location)
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
                self._make_account()

    def _use(self, location: str) -> None:
        from acme import messages

        self._client.net.account = messages.RegistrationResource(uri=location, body=messages.Registration())

    def _make_account(self) -> None:
        from acme import messages

        section, meta = self._section, self._client.directory.meta
        terms = meta.terms_of_service
        if terms and not section.agree_to_terms:
            fix = "read them and write agree_to_terms = true under [acme]"
            raise AcmeError(f"{section.directory} has terms of service, {terms}; {fix}")
        bound = None
        if section.eab_key is not None:
            secret = section.eab_key.read_text(encoding="ascii").strip()
            bound = messages.ExternalAccountBinding.from_data(
                self._key.public_key(), section.eab_kid, secret, self._client.directory
            )
        elif self._client.external_account_required():
            fix = "write eab_kid and eab_key under [acme]"
            raise AcmeError(f"{section.directory} wants accounts bound to one that you have with it; {fix}")
        wanted: dict[str, Any] = {"contact": tuple(f"mailto:{each}" for each in section.contact)}
        wanted |= {"terms_of_service_agreed": True} if terms else {}
        wanted |= {"external_account_binding": bound} if bound is not None else {}
        self._client.new_account(messages.NewRegistration(**wanted))

    def order(self, key: ec.EllipticCurvePrivateKey, names: Sequence[str], prover: Prover) -> bytes:
        """A certificate for the names and this key, as PEM with its chain. Needs `sign_in`."""
        with _translated(self._section):
            from acme.crypto_util import make_csr

            hosts = [each for each in names if not _is_address(each)]
            addresses = [ip_address(each) for each in names if _is_address(each)]
            csr = make_csr(key_pem(key), hosts, ipaddrs=addresses)
            order = self._client.new_order(csr, self._section.profile or None)
            deadline = datetime.datetime.now() + datetime.timedelta(seconds=ORDER_SECONDS)
            with self._proved(order, prover):
                order = self._client.poll_authorizations(order, deadline)
                return self._client.finalize_order(order, deadline).fullchain_pem.encode()

    @contextlib.contextmanager
    def _proved(self, order: OrderResource, prover: Prover) -> Iterator[None]:
        """All proofs are there before the first is looked at, and until the last has been."""
        from acme.messages import STATUS_VALID

        pending = [each for each in order.authorizations if each.body.status != STATUS_VALID]
        published: list[Proof] = []
        answers = []
        try:
            for each in pending:
                name, offered = each.body.identifier.value, each.body.challenges
                body = next((one for one in offered if one.chall.typ == self._section.challenge), None)
                if body is None:
                    kinds = ", ".join(str(one.chall.typ) for one in offered)
                    raise AcmeError(f"{name} can't be proved by {self._section.challenge}, only by: {kinds}")
                response, text = body.chall.response_and_validation(self._key)
                published.append(Proof(name, body.chall.encode("token"), text))
                prover.add(published[-1])
                answers.append((body, response))
            for body, response in answers:
                self._client.answer_challenge(body, response)
            yield
        finally:
            for proof in published:
                prover.remove(proof)

    def renewal(self, certificate: x509.Certificate) -> Renewal:
        """When the server wants this one renewed; asked without an account."""
        with _translated(self._section):
            from cryptography.hazmat.primitives.serialization import Encoding

            at, again = self._client.renewal_time(certificate.public_bytes(Encoding.PEM))
            return Renewal(None if at is None else at.timestamp(), again.timestamp())

    def revoke(self, certificate: x509.Certificate) -> None:
        """Have the server take a certificate back. Needs `sign_in`."""
        with _translated(self._section):
            self._client.revoke(certificate, 0)


def _trusted(section: Acme) -> Any:
    """What the library checks the server by: a file, or True for the roots that it brings along."""
    if section.ca is not None:
        return str(section.ca)
    return ssl.get_default_verify_paths().cafile or True


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _translated(section: Acme) -> Iterator[None]:
    """Make one sentence of whatever the block raises."""
    try:
        yield
    except AcmeError:
        raise
    except ImportError as error:
        fix = "install it with: pip install 'ringfence[acme]'"
        raise AcmeError(f"the library for ACME is not there ({error.name}); {fix}") from None
    except Exception as error:  # the library raises its own, those of requests and of josepy, and KeyError
        raise AcmeError(_sentence(section, error)[:MAX_DETAIL]) from error


def _sentence(section: Acme, error: Exception) -> str:
    from acme import errors, messages
    from requests import RequestException

    match error:
        case errors.ValidationError():
            return "; ".join(_failed(each.body) for each in error.failed_authzrs)
        case errors.IssuanceError():
            return f"{section.directory} issues nothing: {_problem(error.error)}"
        case messages.Error():
            return f"{section.directory} refuses: {_problem(error)}"
        case errors.TimeoutError():
            return f"{section.directory} was not done within {ORDER_SECONDS:g} s"
        case errors.ARIError() if error.__cause__ is not None:
            return f"when to renew could not be asked: {_innermost(error.__cause__)}"
        case RequestException():
            reason = _innermost(error)
            fix = "; name its root as ca under [acme]" if "certificate verify failed" in reason else ""
            return f"{section.directory} can't be reached: {reason}{fix}"
        case OSError():
            return f"{error.filename or section.directory}: {error.strerror or error}"
    return f"the answer of {section.directory} can't be used: {type(error).__name__}: {_flat(str(error))}"


def _failed(authorization: Any) -> str:
    flaws = [_problem(each.error) for each in authorization.challenges if each.error is not None]
    return f"{authorization.identifier.value} could not be proved: {', '.join(flaws)}"


def _problem(problem: Any) -> str:
    """A problem document (RFC 9457) in some words, with those of the parts that it has."""
    parts = [_problem(each) for each in problem.subproblems or ()]
    text = f"{problem.detail or problem.title or 'no reason is given'} ({problem.code or problem.typ})"
    return _flat("; ".join((text, *parts)))


def _innermost(error: BaseException) -> str:
    """What the chain of exceptions began with: the system's word for it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return _flat(str(error)) or type(error).__name__


def _flat(text: str) -> str:
    """One line, with nothing that moves a cursor: a server wrote it."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))
