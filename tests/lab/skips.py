"""The reasons for which a test may be skipped. A skip for any other reason fails the run.

A test that needs the lab kernel is not skipped elsewhere: it lies in tests/vm and runs there.
"""

ALLOWED: dict[str, str] = {}  # how the reason starts → why no machine of ours can do better
