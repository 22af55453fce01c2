"""Composition root: builds every object, names every task, owns shutdown."""
