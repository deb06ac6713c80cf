"""Nodes of the shipped workflows have room for the pictures of a run. No engine is needed."""

from itertools import combinations

import pytest
from workflow_graphs import graphs

TITLE = 30  # pixels of a node's title, above its position
ASPECT, MARGIN, WORDS = 3 / 4, 16, 30  # the highest picture that has room; what is beside it and below it
# Pixels above the picture of a node in Nodes 2.0, which needs more of them than the older renderer. Seen in its front end 1.32.9
# at 100 %, where everything is drawn 1.2 times as large, with the line of progress; the last four follow from their inputs.
ABOVE = {
    "HDRWeave_LoadAlternatingExposures": 717,
    "HDRWeave_ReconstructHDR": 270,
    "HDRWeave_SaveHDRSequence": 340,
    "HDRWeave_SaveHDRVideo": 412,
    "HDRWeave_MuLawTonemap": 185,
    "HDRWeave_ExposureCheck": 110,
    "SaveImage": 60,
    "live": 200,  # a fold in which frames are computed shows them
}
GRAPHS = graphs()


def box(node: dict) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a node with its title and its picture."""
    (x, y), (width, height) = node["pos"], node["size"]
    if node["type"] in ABOVE:
        height = max(height, ABOVE[node["type"]] + (width - MARGIN) * ASPECT + WORDS)
    return x, y - TITLE, x + width, y + height


def covered(graph: dict) -> list[tuple[str, str]]:
    """Pairs of nodes, by key or title of a fold, of which one lies on the other when `graph` is opened."""
    folds = graph.get("folds") or []
    folded = {key for fold in folds for key in fold["nodes"]}
    boxes = [(node["key"], box(node)) for node in graph["nodes"] if node["key"] not in folded]
    boxes += [(fold["title"], box({**fold, "type": "live" if fold["groups"] else "fold"})) for fold in folds]
    return [
        (a, b)
        for (a, (l1, t1, r1, b1)), (b, (l2, t2, r2, b2)) in combinations(boxes, 2)
        if l1 < r2 and l2 < r1 and t1 < b2 and t2 < b1
    ]


@pytest.mark.parametrize("name", GRAPHS)
def test_no_node_lies_on_another_after_a_run(name):
    assert covered(GRAPHS[name]) == []


def test_a_picture_without_room_is_found():
    nodes = [
        {"key": "a", "type": "HDRWeave_ReconstructHDR", "pos": [0, 0], "size": [320, 100]},
        {"key": "b", "type": "MarkdownNote", "pos": [0, 550], "size": [320, 100]},
    ]
    assert covered({"nodes": nodes}) == [("a", "b")]
    nodes[1]["pos"] = [0, 570]
    assert covered({"nodes": nodes}) == []
