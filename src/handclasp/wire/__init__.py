"""What goes over the wire: codec, registries, records, messages, extensions. Decides nothing."""
