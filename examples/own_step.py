"""A rule of your own: no calls to premium numbers. In ringfence.toml:

    [policy]
    steps = ["own_step:no_premium_numbers"]

The module has to be importable where the node runs: PYTHONPATH=examples ringfence serve. The step runs for every
request that has been let in, before its target is looked up.
"""

from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

PREMIUM = ("+35870", "+35860")


def no_premium_numbers(call: Call) -> Verdict:
    if call.request.method == "INVITE" and (call.uri.user or "").startswith(PREMIUM):
        return Answer(403, "Forbidden (premium numbers are not called from here)")
    return CONTINUE
