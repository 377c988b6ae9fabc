"""The protocol: who says what when, and what it means.

`flow` is how a handshake waits; `side` is what it acts on; `client` and `server` agree on a
version and hand over to `client13`, `server13`, `client12` or `server12`; `after13` is what
TLS 1.3 still says once the handshake is over.
"""
