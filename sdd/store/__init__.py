"""Where state lives: one contract, several engines, one test suite for all."""
