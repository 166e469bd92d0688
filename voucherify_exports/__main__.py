"""The command `voucherify-exports`, which is `python -m voucherify_exports` as well."""

import sys


def main() -> None:
    """Run the command line, or say how to get it, and exit."""
    try:
        from .cli import run
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "dotenv"}:
            raise
        sys.stderr.write("The command line needs an extra: pip install 'voucherify-exports[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:  # while it was being imported
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
