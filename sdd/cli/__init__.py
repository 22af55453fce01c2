"""sdctl: one file per noun. Stays light: no asyncio, no daemon package."""
