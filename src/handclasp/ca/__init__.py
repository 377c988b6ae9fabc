"""A small CA: a root, intermediates, and certificates for servers and clients (mission row S22)."""

from handclasp.ca.authority import Authority, Issued, KeyType
from handclasp.ca.house import CaDirectory

__all__ = ["Authority", "CaDirectory", "Issued", "KeyType"]
