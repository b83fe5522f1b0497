"""A registered release boosts groups where the caller gives the boosts, and says by how much."""

from pathlib import Path

import mlflow.pyfunc
import pytest
from mlflow.exceptions import MlflowException

from tasks.release.loading import load_release
from tasks.release.serve import boost_groups
from tasks.release.view import with_boosts
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.toy_release import NAME, a_frame, register_toy, toy_files
from tests.stores.mlflow_home import new_home

BOOSTS = '{"source": {"ads": 2.0}}'
TARGET = b'{"exposure": {"by": "source", "least": {"ads": 0.5}, "most": 2.0}, '


def test_boosts_come_with_the_call_or_from_the_audit_and_change_places_alone(tmp_path: Path) -> None:
    home, files, frame = new_home(tmp_path / "home"), toy_files(), a_frame()
    part = register_toy(home, files | {"slate.json": files["slate.json"].replace(b"{", TARGET, 1)})
    store = Store.open(home)
    folder = store.registry.fetch(part, tmp_path / "fetched")
    served, loaded = mlflow.pyfunc.load_model(str(folder)), load_release(folder)
    plain, boosted = (served.predict(frame, params=one) for one in ({}, {"exposure_boosts": BOOSTS}))
    ads = (frame["source"] == "ads").to_numpy()
    assert (plain["exposure_boost"] == 0).all()
    assert boosted["exposure_boost"][ads].tolist() == [2.0] * ads.sum()
    assert boosted["slate_position"].notna()[ads].sum() > plain["slate_position"].notna()[ads].sum()
    assert boosted[["utility", "dropped_by"]].equals(plain[["utility", "dropped_by"]])
    with pytest.raises(MlflowException, match="Boosts are"):
        served.predict(frame, params={"exposure_boosts": "ads"})
    workspace = Workspace(NAME, tmp_path, store)
    assert with_boosts(workspace, loaded).boosts == {}
    row = Entry(Kind.EXPOSURE, "monitor", part.version, None, "why", boosts=BOOSTS)
    workspace.aliases.add(lambda *_: row)
    own = with_boosts(workspace, loaded)
    assert own.score(frame)["slate_position"].equals(boosted["slate_position"].astype("Int32"))
    python_model = served.unwrap_python_model()
    boost_groups(workspace, python_model)()
    assert served.predict(frame)["slate_position"].equals(boosted["slate_position"])
