"""What the tests of training share: one folder of clips, and one thread."""

import pytest
from hdrweave.models import registry
from hdrweave.training.recipes.pretrained import pretrained
from small_shards import one_thread, write_base_flows, write_small_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Small clips with their estimated flow beside them, made once: to be read only."""
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_small_shards(folder)
        write_base_flows(folder)
    return folder


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """Whatever the package has trained by now."""
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    pretrained.cache_clear()
    yield
    pretrained.cache_clear()
