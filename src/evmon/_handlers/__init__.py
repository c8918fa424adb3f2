"""Handlers: how they are declared, called and matched to events."""
