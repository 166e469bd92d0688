"""The command `voucherify-exports`, which is also `python -m voucherify_exports`."""

import sys

from .cli.exit_codes import ExitCode
from .cli.interruption import INTERRUPTED
from .errors import MissingExtraError
from .extras import check_extra


def main() -> None:
    """Run the command line and exit; without the extra `cli`, print how to install it."""
    try:
        check_extra("cli")
        from .cli.app import run
    except MissingExtraError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(ExitCode.from_error(error))
    except KeyboardInterrupt:  # during the import
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(ExitCode.INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
