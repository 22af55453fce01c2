"""Where an answer came from, told to people."""
