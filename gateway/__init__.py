"""A message-driven SWIFT / ISO 20022 gateway for securities settlement and trade confirmation."""

__version__ = "0.1.0"
