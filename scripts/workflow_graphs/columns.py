"""Columns of the graphs, each in a group of its own: clip, method, files, viewer.

All four fit on a screen of 1920x1080 at 100 % in Nodes 2.0 too, which older front ends draw 1.2 times as large: 1520 * 1.2 + what
is beside them.
"""

CLIP, METHOD, SAVE, VIEW = (20, 300), (380, 260), (700, 260), (1020, 480)  # left edge and width of the nodes, in pixels
TOP = 50  # of the nodes
MARGIN, TITLE = 20, 70  # of a group around its nodes: at the sides, above


def around(column: tuple[int, int], top: int, bottom: int) -> tuple[int, int, int, int]:
    """x, y, width, height of the group around nodes of a column, the first at `top`."""
    x, width = column
    return x - MARGIN, top - TITLE, width + 2 * MARGIN, bottom - top + TITLE
