"""The bus: its public methods, its parts, and running it as a service."""
