"""Intent → one transaction; watch → state → slots; progress → whoever waits."""
