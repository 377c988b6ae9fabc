"""A small CA: a root, intermediates, and certificates for servers and clients (mission row S22)."""

from handclasp.ca.authority import Authority, Issued, KeyType

__all__ = ["Authority", "Issued", "KeyType"]
