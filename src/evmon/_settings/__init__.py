"""Settings: how a setting is declared, the settings classes, and the environment."""
