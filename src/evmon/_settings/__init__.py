"""Settings: declaration, the settings classes, their list, and the environment."""
