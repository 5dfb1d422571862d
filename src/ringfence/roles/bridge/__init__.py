"""The back-to-back user agent behind header, session and user privacy (RFC 3323 section 5).

Two dialogs and a mapping. To each party the node is the other one: what a party sends is judged by its own dialog
(``engine.dialog``), written anew into the other one, and what comes back goes the same way. Each has its Call-ID, tags,
CSeq, Contact, Via and routes; nothing of one is in the other but what ``security.privacy.TABLE`` lets pass.

What needs no state of ours stays between the parties: a 2xx or a reliable 1xx is repeated by whoever sent it until its
ACK or PRACK has come the whole way, and so are session timers refreshed. Forking, failover, timers and where to send to
are those of the proxy: a ``Crossing`` is a ``Forwarding`` whose two sides have different names.

``legs`` what is known of a private call · ``bridges`` all of them · ``opening`` how one begins · ``within`` requests in
the dialogs · ``crossing`` one request on its way · ``translate`` messages from one dialog to the other · ``names``
dialogs that messages name · ``bodies`` what a body may tell · ``ending`` what ends without a party · ``registration``
anonymous contacts
"""
