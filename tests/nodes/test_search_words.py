"""Search words for older servers are those of the nodes. No engine is needed."""

from search_words import FILE, content, search_words


def test_the_file_is_what_the_nodes_say():
    assert FILE.read_text(encoding="utf-8") == content(), "run scripts/search_words.py"


def test_words_that_people_type_find_a_node():
    words = [word for found in search_words().values() for word in found]
    typed = ("exr", "load video", "exposure fusion", "merge hdr", "tone map", "preview hdr", "hdr10", "image sequence")
    assert not [text for text in typed if not any(text in word for word in words)]
