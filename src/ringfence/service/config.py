"""Read ringfence.toml: `Config.load(path)` gives values that are right, or says all that is wrong.

`sections` has the keys, `problems` turns what pydantic finds into a line, a reason and a fix, `lines` finds
the line. A private key or secret that other users of the machine can read is refused here, before anything
starts.
"""

from __future__ import annotations

import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.aaa_sections import AccountsSection, Diameter, DiameterServer, Profile, Radius
from ringfence.service.acme_sections import Acme
from ringfence.service.caller_sections import Callers, Identity
from ringfence.service.certificate_sections import Certificates
from ringfence.service.charging_sections import ChargingSection, Fraud, RateSection
from ringfence.service.config_file import exposure, read_text, syntax_problem
from ringfence.service.export_sections import Hep, Otel
from ringfence.service.guard_sections import Guard, Malware, Overload, Prefix
from ringfence.service.hiding_sections import HidingSection
from ringfence.service.ipsec_sections import Ipsec
from ringfence.service.ledger_sections import Ledger
from ringfence.service.limit_sections import Limits
from ringfence.service.lines import KeyPath, line_of, locate
from ringfence.service.media_sections import Media, Nat
from ringfence.service.privacy_sections import PrivacySection
from ringfence.service.problems import ConfigError, Problem, translate
from ringfence.service.registrations_section import Registrations
from ringfence.service.sections import (
    BodyRule,
    Control,
    Database,
    Dns,
    Domain,
    Listen,
    Log,
    MetricsSection,
    NodeSection,
    Peer,
    PolicySection,
    Proxy,
    Registrar,
    Section,
    Security,
    Timers,
    Tls,
    Websocket,
)
from ringfence.service.shared_sections import Shared
from ringfence.service.values import Many
from ringfence.service.webhook_sections import Webhook
from ringfence.transport.mesh import mark

CONFIG_NAME = "ringfence.toml"
MAX_SOCKET_PATH = 104
"""Bytes of the path of a Unix socket: 107 on Linux, 103 and a zero on BSD."""

DEFAULT_LISTEN = (
    Listen(transport="tls", port=5061),
    Listen(transport="wss", port=5443),
    Listen(transport="tcp", port=5060),
    Listen(transport="udp", port=5060),
)
"""TLS for whoever can; TCP and UDP since many phones need them (DESIGN: `require_tls` turns them off)."""


class Config(Section):
    """The whole configuration of a node. Paths are absolute or from the working directory."""

    domain: Domain
    node: NodeSection = NodeSection()
    listen: Annotated[Many[Listen], Field(min_length=1)] = DEFAULT_LISTEN
    tls: Tls = Tls()
    security: Security = Security()
    registrar: Registrar = Registrar()
    proxy: Proxy = Proxy()
    timers: Timers = Timers()
    limits: Limits = Limits()
    dns: Dns = Dns()
    websocket: Websocket = Websocket()
    database: Database = Database()
    registrations: Registrations = Registrations()
    shared: Shared = Shared()
    ipsec: Ipsec = Ipsec()
    acme: Acme = Acme()
    certificates: Certificates = Certificates()
    ledger: Ledger = Ledger()
    log: Log = Log()
    metrics: MetricsSection = MetricsSection()
    control: Control = Control()
    policy: PolicySection = PolicySection()
    identity: Identity = Identity()
    callers: Callers = Callers()
    hiding: HidingSection = HidingSection()
    media: Media = Media()
    privacy: PrivacySection = PrivacySection()
    nat: Nat = Nat()
    guard: Guard = Guard()
    prefix: Many[Prefix] = ()
    overload: Overload = Overload()
    malware: Malware = Malware()
    peer: Many[Peer] = ()
    bodies: Many[BodyRule] = ()
    accounts: AccountsSection = AccountsSection()
    profile: Many[Profile] = ()
    charging: ChargingSection = ChargingSection()
    rate: Many[RateSection] = ()
    fraud: Fraud = Fraud()
    radius: Many[Radius] = ()
    webhook: Many[Webhook] = ()
    diameter: Diameter = Diameter()
    diameter_server: Many[DiameterServer] = ()
    hep: Hep = Hep()
    otel: Otel = Otel()

    _file: Path = PrivateAttr(default=Path(CONFIG_NAME))
    _places: dict[KeyPath, int] = PrivateAttr(default_factory=dict)
    _worker: int | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: Path | str, *, staged: bool = False) -> Self:
        """Read and check a file. Raises `ConfigError` with every problem found.

        ``staged``: its directory will be moved to its place, so how long the paths are says nothing yet.
        """
        path = Path(path)
        text = read_text(path)
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([syntax_problem(path, str(error), text)]) from None
        return cls.from_values(values, path, locate(text), staged=staged)

    @classmethod
    def from_values(
        cls,
        values: dict[str, Any],
        path: Path,
        places: dict[KeyPath, int] | None = None,
        *,
        staged: bool = False,
    ) -> Self:
        """The configuration with these values, as if read from the file. Raises `ConfigError`."""
        places = places or {}
        # An absent section is an empty one: its default paths too start from the file's directory.
        sections: dict[str, Any] = {
            key: {} for key, field in cls.model_fields.items() if isinstance(field.default, Section)
        }
        try:
            context = {"directory": path.parent, "staged": staged}
            config = cls.model_validate(sections | values, context=context)
        except ValidationError as error:
            raise ConfigError(translate(error, cls, path, places)) from None
        config._file = path
        config._places = places
        if exposed := list(config._exposed_secrets()):
            raise ConfigError(exposed)
        return config

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        names = Counter(peer.name for peer in self.peer)
        if twice := [name for name, count in names.items() if count > 1]:
            raise PydanticCustomError(
                "peer_twice", "two peers have one name", {"fix": f"rename one of the peers {twice[0]}"}
            )
        if self.security.require_tls and not any(each.secure for each in self.listen):
            raise PydanticCustomError(
                "nothing_to_listen",
                "require_tls is on, and no port is tls or wss",
                {"fix": 'add [[listen]] transport = "tls" port = 5061'},
            )
        security = self.security
        if lacking := self.ipsec.lacks(security.mechanisms):
            raise PydanticCustomError("agreement_ipsec", "{reason}", lacking)
        if security.agreement != "off" and "tls" in security.mechanisms and self.agreement_port is None:
            raise PydanticCustomError(
                "agreement_tls",
                "phones are to agree on tls, and no port is tls",
                {"fix": 'add [[listen]] transport = "tls" port = 5061, or write mechanisms = ["digest"]'},
            )
        longest = self.socket_of(self.node.workers) if self.node.workers > 1 else self.control_socket
        staged = bool((info.context or {}).get("staged"))
        if not staged and len(str(longest).encode()) > MAX_SOCKET_PATH:
            raise PydanticCustomError(
                "socket_path",
                "the path of the control socket is too long for the operating system",
                {"fix": 'write socket = "/run/ringfence/control.sock" under [control]'},
            )
        return self

    def as_worker(self, worker: int) -> Self:
        """The same for one of several workers: what only one process can have is its own."""
        own: dict[str, Any] = {"control": self.control.model_copy(update={"socket": self.socket_of(worker)})}
        if worker:
            own["identity"] = self.identity.model_copy(update={"publish": ""})
        if self.metrics.address is not None:
            listen = f"{self.metrics.address._replace(port=self.metrics.address.port + worker)}"
            own["metrics"] = self.metrics.model_copy(update={"listen": listen})
        config = self.model_copy(update=own)
        config._worker = worker
        return config

    def as_workers(self) -> tuple[Self, ...]:
        """The same for each process of the node, of which there may be one."""
        count = self.node.workers
        return tuple(map(self.as_worker, range(count))) if count > 1 else (self,)

    @property
    def worker(self) -> int | None:
        """The number of this process among several; None for a node that is one process."""
        return self._worker

    @property
    def writer(self) -> str:
        """Whose chain of the ledger it is: a worker has its own."""
        return self.node.name if self._worker is None else f"{self.node.name}.{mark(self._worker)}"

    def socket_of(self, worker: int) -> Path:
        """Where one of several workers takes commands: from the process that started it."""
        return self.mesh_dir / f"control.{worker}"

    @property
    def mesh_dir(self) -> Path:
        """Where workers have their sockets."""
        return self.node.data_dir / "workers"

    @property
    def file(self) -> Path:
        """The file this was read from."""
        return self._file

    @property
    def realm(self) -> str:
        """The digest realm."""
        return self.domain.realm or self.domain.name

    @property
    def domains(self) -> frozenset[str]:
        """All the domains this node is responsible for."""
        return frozenset({self.domain.name, *self.domain.aliases})

    @property
    def listeners(self) -> tuple[Listen, ...]:
        """The ports to open: without plaintext ones when TLS is required."""
        return tuple(each for each in self.listen if each.secure or not self.security.require_tls)

    @property
    def agreement_port(self) -> int | None:
        """Where phones come that have agreed on TLS (RFC 3329): the usual port if it is open, else the first."""
        ports = [each.port for each in self.listen if each.transport == "tls"]
        return 5061 if 5061 in ports else next(iter(ports), None)

    @property
    def database_url(self) -> str:
        """Where accounts and registrations are kept. It may hold a password."""
        return self.database.url or f"sqlite:///{(self.node.data_dir / 'ringfence.db').absolute()}"

    def database_exists(self) -> bool:
        """Whether there is a SQLite file; True for a database elsewhere, which only an attempt can tell."""
        scheme, _, path = self.database_url.partition(":///")
        return scheme != "sqlite" or Path(path).exists()

    @property
    def ledger_url(self) -> str:
        """Where calls are recorded. It may hold a password."""
        return self.ledger.database or f"sqlite:///{(self.node.data_dir / 'ledger.db').absolute()}"

    @property
    def ledger_key(self) -> Path:
        """The key that signs the ledger."""
        return self.ledger.key or self.node.data_dir / "ledger.key"

    @property
    def ledger_witness(self) -> Path:
        """Where the checkpoints of the ledger are copied to."""
        return self.ledger.witness or self.node.data_dir / "ledger.witness"

    @property
    def control_socket(self) -> Path:
        """Where the running node takes commands."""
        return self.control.socket or self.node.data_dir / "control.sock"

    @property
    def secret_file(self) -> Path:
        """The random bytes behind nonces and flow tokens."""
        return self.security.secret or self.node.data_dir / "secret.key"

    @property
    def acme_dir(self) -> Path:
        """Where the account with the ACME server is, and what it has issued."""
        return self.node.data_dir / "acme" / self.acme.place

    @property
    def acme_pair(self) -> Path | None:
        """The certificate of the ACME server with its key, in one file so that both change at once; None: not yet."""
        path = self.acme_dir / "certificate.pem"
        return path if self.acme.enabled and path.is_file() else None

    @property
    def inside_names(self) -> frozenset[str]:
        """The other nodes of our own network, by the names in their certificates."""
        return frozenset(
            name for peer in self.peer if peer.role != "domain" for name in peer.certificate_names
        )

    @property
    def shown_pair(self) -> tuple[Path, Path]:
        """The certificate and the key that are shown to whoever asks for no other name."""
        pair = self.acme_pair
        return (self.tls.certificate, self.tls.key) if pair is None else (pair, pair)

    def certificate_files(self) -> Iterator[tuple[str, Path, Path]]:
        """Each certificate in use: the section that names it, the chain, the private key."""
        if any(each.secure and each.certificate is None for each in self.listeners):
            pair = self.acme_pair
            if pair is not None:
                yield "acme", pair, pair
            if pair is None or self.tls.certificate.exists():  # for the names that it has besides
                yield "tls", self.tls.certificate, self.tls.key
        for each in self.listeners:
            if each.secure and each.certificate and each.key:
                yield "listen", each.certificate, each.key

    def missing_files(self) -> list[Problem]:
        """The files that serving needs and that are not there."""
        needed = [(section, "certificate", chain) for section, chain, _ in self.certificate_files()]
        needed += [(section, "key", key) for section, _, key in self.certificate_files()]
        needed += [("tls", "trust", path) for path in self.tls.trust]
        needed += [("tls", "crl", path) for path in self.tls.crl]
        identity = self.identity
        if identity.sign:
            needed += [("identity", "certificate", path) for _, path, _ in identity.signers]
            needed += [("identity", "key", path) for _, _, path in identity.signers]
        if self.acme.ca is not None:
            needed.append(("acme", "ca", self.acme.ca))
        if identity.publish:
            needed += [("tls", "certificate", self.shown_pair[0]), ("tls", "key", self.shown_pair[1])]
            needed += [("identity", "certificate", path) for _, path, _ in identity.signers]
        needed += [("peer", "trust", path) for peer in self.peer for path in peer.trust]
        needed += [("identity", "trust", path) for path in identity.trust]
        needed += [("certificates", "trust", path) for path in self.certificates.trust]
        needed += [("identity", "crl", path) for path in identity.crl]
        needed += [("identity", "list_issuers", path) for path in identity.list_issuers]
        needed += [("identity", "fetch_trust", path) for path in identity.fetch_trust]
        return [
            self.problem(
                (section, key), f"there is no file {path}", "run ringfence init, or name the right file"
            )
            for section, key, path in dict.fromkeys(needed)
            if not path.is_file()
        ]

    def problem(self, path: KeyPath, reason: str, fix: str) -> Problem:
        """A problem with the key at the path, with the line it stands on."""
        key = ".".join(str(part) for part in path if isinstance(part, str))
        return Problem(self.file.name, line_of(self._places, path), key, reason, fix)

    def _secrets(self) -> Iterator[tuple[KeyPath, Path]]:
        for section, _, key in self.certificate_files():
            yield (section, "key"), key
        if self.tls.ca_key:
            yield ("tls", "ca_key"), self.tls.ca_key
        if self.acme.eab_key is not None:
            yield ("acme", "eab_key"), self.acme.eab_key
        yield ("identity", "key"), self.identity.key
        for place, signer in enumerate(self.identity.signer):
            yield ("identity", "signer", place, "key"), signer.key
        yield ("security", "secret"), self.secret_file
        yield ("ledger", "key"), self.ledger_key
        for place, phone in enumerate(self.ipsec.phone):
            yield ("ipsec", "phone", place, "keys"), phone.keys
        for place, server in enumerate(self.radius):
            yield ("radius", place, "secret"), server.secret
        for place, hook in enumerate(self.webhook):
            yield ("webhook", place, "secret"), hook.secret
        if self.hep.password is not None:
            yield ("hep", "password"), self.hep.password
        if self.otel.headers is not None:
            yield ("otel", "headers"), self.otel.headers
        if "@" in self.database.url:
            yield ("database", "url"), self.file
        if "@" in self.ledger.database:
            yield ("ledger", "database"), self.file

    def _exposed_secrets(self) -> Iterator[Problem]:
        for path, secret in self._secrets():
            if flaw := exposure(secret):
                yield self.problem(path, f"{secret}: {flaw}", f"run chmod 600 {shlex.quote(str(secret))}")
