"""Names of the algorithms, the key schedules, record protection: thin over `cryptography`.

Hashes and HMAC are the standard library's: the same OpenSSL code behind a shorter way
(docs/decisions.md has the figures). Decides nothing of the protocol.
"""
