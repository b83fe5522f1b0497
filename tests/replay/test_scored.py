"""What a release scored: columns where the items stood, as far as it tells that apart."""

import numpy as np
import pandas as pd
import pytest

from tasks.replay.scored import WhereLogged

FRAME = pd.DataFrame(
    {"p_click": [0.1, 0.2], "p_click__shown": [0.4, np.nan], "p_buy": [0.5, 0.6], "note": ["a", "b"]}
)


def test_a_column_is_that_at_the_logged_place_where_there_is_one() -> None:
    assert WhereLogged(FRAME)["p_click"].tolist() == [0.4, 0.2]
    assert WhereLogged(FRAME)["p_buy"].tolist() == [0.5, 0.6]


def test_it_lists_the_columns_and_knows_no_other() -> None:
    where = WhereLogged(FRAME)
    assert (list(where), len(where)) == (list(FRAME.columns), 4)
    with pytest.raises(KeyError):
        where["p_sell"]
