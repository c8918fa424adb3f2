"""Discovery: finds handlers on providers and caches what it found."""
