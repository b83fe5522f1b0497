"""`python -m deploy.healthcheck URL [PART]`: ends with 0 when Web(URL, PART) answers.

Compose asks its services this way, where this machine's parts are asked by the same code.
"""

import sys

from deploy.services import Web


def main(words: list[str]) -> int:
    """Look once."""
    return 0 if Web(*words).answers() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
