from tests.labels.conftest import engine, shop, story

__all__ = ["engine", "shop", "story"]
