"""`python -m tasks.deploy.probe URL [PART]`: ends with 0 when the address answers or calls the part healthy.

Compose asks its services this way, where this machine's parts are asked by the same code.
"""

import sys

from tasks.deploy.services import Web


def main(words: list[str]) -> int:
    """Look once."""
    return 0 if Web(*words).holds() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
