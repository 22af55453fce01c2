"""A daemon that looks at everything once an hour only: what it mends before, it heard of."""

import sys

from tests.e2e.appliance import Appliance

PROGRAM = """
from sdd import app, reconcile
assert reconcile.run.__kwdefaults__["resync_s"] == reconcile.RESYNC_S
reconcile.run.__kwdefaults__["resync_s"] = 3600.0
app.main()
"""


class Listening(Appliance):
    """Any repair shows that it was told of the damage, however long a busy machine took."""

    def command(self) -> list[str]:
        """The daemon's command line."""
        return [sys.executable, "-c", PROGRAM, *super().command()[1:]]
