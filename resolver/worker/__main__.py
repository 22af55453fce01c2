"""`python -m resolver.worker`: the process, without an installed command."""

from resolver.worker import process

if __name__ == "__main__":
    process.main()
