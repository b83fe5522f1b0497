import math

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.promotion.pages.feature_rows import FeatureCell, chart_features


def test_changed_features_come_first_then_those_that_heads_gain_most_from() -> None:
    change = InputChange(feature="age", days="test", kind="distribution", observed=0.12, bound=0.05)
    click = HeadInputs(task="click", gains={"price": 0.7, "shop": 0.2, "age": 0.1}, changes=(change,))
    buy = HeadInputs(task="buy", gains={"price": 0.9, "shop": 0.1})
    served = HeadInputs(
        task="buy",
        gains={},
        changes=(
            InputChange(feature="shop", days="served", kind="constant", observed=math.nan, bound=math.nan),
        ),
    )
    chart = chart_features([click, buy], [served])
    assert chart is not None
    assert chart.heads == ("click", "buy")
    assert [row.feature for row in chart.rows] == ["shop", "age", "price"]
    shop, age, price = chart.rows
    assert age.cells == (
        FeatureCell(0.1, ("distribution on test days: 0.12, limit 0.05",)),
        FeatureCell(None, ()),
    )
    assert shop.cells[1].changes == ("constant on served days: not measured, limit not measured",)
    assert [cell.share for cell in price.cells] == [0.7, 0.9]
    assert chart_features([], []) is None
