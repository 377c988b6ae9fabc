"""handclasp: TLS in Python."""
