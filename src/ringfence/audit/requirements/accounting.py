"""4. Accounting: calls are recorded, and nobody can change the record."""

from __future__ import annotations

import stat
from pathlib import Path

from ringfence.audit.exchange import contact_of, token
from ringfence.audit.finding import Fix, Probe, Requirement, Verdict, failed, passed, unseen, weak
from ringfence.audit.pair import pair
from ringfence.audit.site import Site, Unobservable
from ringfence.ledger.keys import read_public_keys
from ringfence.ledger.reading import reading
from ringfence.ledger.witness import read_witness
from ringfence.message import LocalError
from ringfence.service.checks import examine
from ringfence.service.config import Config
from ringfence.service.finding import Severity
from ringfence.service.ledger import public_path
from ringfence.store.errors import StoreError


def _config(site: Site) -> Config:
    if site.config is None:
        raise Unobservable("accounts are kept inside: run it on the server, ringfence audit --config FILE")
    return site.config


async def stays_in_the_way(site: Site) -> Verdict:
    """The server hears of the end of a call."""
    both = await pair(site)
    found = await both.deliver()
    route = found.get("Record-Route")
    if route:
        return passed(f"the call is record-routed: {route[:120]}")
    return failed("the call has no Record-Route: its end passes the server by, and the record has none")


async def charging_fields(site: Site) -> Verdict:
    """What a phone writes about charging is not believed."""
    both = await pair(site)
    vector = f"icid-value={token()};orig-ioi=audit.invalid"
    found = await both.deliver(
        extra=[("P-Charging-Vector", vector), ("P-Charging-Function-Addresses", "ccf=192.0.2.1")]
    )
    kept = [name for name in ("P-Charging-Vector", "P-Charging-Function-Addresses") if found.get(name)]
    if kept:
        return weak(f"{', '.join(kept)} of a phone is passed on: whoever trusts it charges somebody else")
    return passed("charging fields of a phone are removed")


async def forged_end(site: Site) -> Verdict:
    """A call is not ended by somebody who is not in it."""
    both = await pair(site)
    contact = [("Contact", f"<{contact_of(both.callee.line)}>")]
    begun = await both.deliver(status=486, answering=contact)
    tag = (begun.answer.get("To").partition("tag=")[2] or token(4)).partition(";")[0]
    async with site.open() as line:
        user = site.uri(both.callee.login.user)
        call_id = begun.request.call_id
        found = await both.deliver(
            "BYE",
            line=line,
            to=f"<{user}>;tag={tag}",
            call_id=call_id,
            sequence=9,
            authenticate=False,
            contact="",
        )
    if found.arrived is not None:
        return failed(
            "a BYE of a stranger reaches the callee: calls can be ended, and their record cut short"
        )
    return passed(f"a BYE of a stranger is answered {found.answer}")


async def ledger_verifies(site: Site) -> Verdict:
    """Every event is there, in order, and signed."""
    config = _config(site)
    try:
        keys = read_public_keys(public_path(config.ledger_key))
        witness = config.ledger_witness
        witnessed = read_witness(witness) if witness is not None and witness.exists() else {}
        with reading(config.ledger_url) as reader:
            reports = list(reader.verify(keys, witnessed))
    except (LocalError, OSError, StoreError) as error:
        return failed(f"the ledger cannot be verified: {error}")
    wrong = [each.finding for each in reports if each.finding is not None]
    if wrong:
        return failed(str(wrong[0]))
    told = f"{sum(each.events for each in reports)} events in {len(reports)} chains verify"
    return passed(told)


async def ledger_key_is_private(site: Site) -> Verdict:
    """Nobody else can sign a false ledger."""
    config = _config(site)
    paths = [config.ledger_key, config.secret_file, config.tls.key]
    paths += [key for _, _, key in config.identity.signers]
    if config.tls.ca_key is not None:
        paths.append(config.tls.ca_key)
    seen = [path for path in paths if path.exists()]
    open_ones = [path for path in seen if _mode(path) & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_ones:
        return failed(f"{', '.join(map(str, open_ones))}: readable by other users of the machine")
    return passed(f"{', '.join(path.name for path in seen)} are readable by their owner only")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def check_is_clean(site: Site) -> Verdict:
    """`ringfence check` has nothing to say."""
    found = examine(_config(site))
    errors = [str(each.problem) for each in found if each.severity is Severity.ERROR]
    if errors:
        return failed("; ".join(errors[:3]))
    if found:
        return weak("; ".join(str(each.problem) for each in found[:3]))
    return passed("ringfence check has nothing to remark on")


async def call_is_recorded(site: Site) -> Verdict:
    """A call that was connected stands in the ledger, charged to the account that made it."""
    config = _config(site)
    both = await pair(site)
    found = await both.deliver(status=200)
    if found.answer.status != 200:
        return unseen(f"the test call was answered {found.answer}")
    call_id = found.request.call_id
    with reading(config.ledger_url) as reader:
        events = [each for each in reader.events() if call_id in str(each.facts)]
    if not events:
        return failed("a call that was connected is not in the ledger")
    owner = site.uri(both.caller.user)
    if not any(owner in str(each.facts) for each in events):
        return failed(f"the call is in the ledger, but not charged to {owner}")
    return passed(f"the call is in the ledger, charged to {owner}")


REQUIREMENT = Requirement(
    4,
    "Accounting",
    "Calls are reliably charged for, and there is no attack on the accounts, from outside or inside.",
    (
        Probe(
            "record-route",
            "The server stays in the way of a call",
            "RFC 3261 section 16.6 step 4",
            "The end of the call is never seen, so that it cannot be charged by its length.",
            Fix(
                "[proxy] record_route = true",
                'if (is_method("INVITE|SUBSCRIBE")) record_route();',
                "(always: a B2BUA)",
            ),
            stays_in_the_way,
            2,
        ),
        Probe(
            "charging-fields",
            "Charging fields of phones are not believed",
            "RFC 7315 section 5.6",
            "A phone can put its calls on the bill of others.",
            Fix(
                '[security] challenge = "first"',
                'remove_hf("P-Charging-Vector"); remove_hf("P-Charging-Function-Addresses");',
                "(not passed on by a B2BUA)",
            ),
            charging_fields,
        ),
        Probe(
            "forged-end",
            "A stranger cannot end a call",
            "RFC 3261 section 15.1.2",
            "Calls of others can be ended, and their record says that they were short.",
            Fix(
                "[proxy] record_route = true",
                'if (has_totag() && !is_known_dlg()) { sl_send_reply("481", "No such dialog"); exit; }',
                "(always on in res_pjsip)",
            ),
            forged_end,
            2,
        ),
        Probe(
            "call-recorded",
            "A call stands in the record",
            "Rantapuska 2003, section 3",
            "Calls are made that nobody is charged for.",
            Fix(
                "[ledger] required = true",
                'loadmodule "acc_db.so"; setflag(FLT_ACC);',
                "cdr.conf: [general] enable=yes",
            ),
            call_is_recorded,
            3,
        ),
        Probe(
            "ledger-verifies",
            "The record is whole",
            "Rantapuska 2003, section 3",
            "Somebody has changed, removed or added what calls are charged by.",
            Fix("ringfence ledger verify", "(acc has no such proof)", "(cdr has no such proof)"),
            ledger_verifies,
            3,
        ),
        Probe(
            "keys-private",
            "Keys are readable by their owner only",
            "RFC 9325 section 7.1",
            "Whoever has the key can write a false record, or be the server.",
            Fix(
                "chmod 600 data/*.key tls/*.key",
                "chmod 600 /etc/kamailio/tls/*.key",
                "chmod 600 /etc/asterisk/keys/*.key",
            ),
            ledger_key_is_private,
            3,
        ),
        Probe(
            "check-clean",
            "ringfence check has nothing to say",
            "Rantapuska 2003, section 3",
            "Something in the configuration weakens what the others promise.",
            Fix("ringfence check", "kamailio -c", "asterisk -rx 'pjsip show settings'"),
            check_is_clean,
        ),
    ),
)
