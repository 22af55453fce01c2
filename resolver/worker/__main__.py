"""`python -m resolver.worker`, and `sdd-dns`: nobody is answered until it has started."""

import gc


def main() -> None:
    """Load the process, and be it."""
    # Of what is imported nothing is garbage: the searches for it take a tenth of the start.
    gc.disable()
    from resolver.worker import process  # after that

    process.main()


if __name__ == "__main__":
    main()
