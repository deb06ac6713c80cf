"""What the commands of stages, training and scripts share."""

import re
import sys


def with_pattern_joined(arguments: list[str] | None = None) -> list[str]:
    """The arguments, by default those of this process, with "--pattern" "-3,0" as "--pattern=-3,0", as argparse takes what
    begins with a minus for an option."""
    joined: list[str] = []
    for word in sys.argv[1:] if arguments is None else arguments:
        if joined and joined[-1] == "--pattern" and re.match(r"-\.?\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
