"""Translators: (network, endpoint) → wanted links, addresses, routes. Pure, one file per driver."""
