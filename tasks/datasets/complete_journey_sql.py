"""The SQL of the Complete Journey import: stage once, then one query a week.

::

    transactions ─> lines ─> baskets ─┐
    products ──────────┐              ├─> IMPRESSIONS of week w   (reads lines and baskets of weeks < w only)
    promotions ─> shelf (front page) ─┘
    lines, baskets ─────────────────────> EVENTS of week w        (purchases and trips at their true times)

Money is summed in whole cents: a parallel sum of fractions depends on the order of its threads.
"""

from typing import Final

LINES: Final = """
CREATE TABLE lines AS
SELECT t.household_id::BIGINT AS household_id, t.store_id, t.basket_id, t.product_id::BIGINT AS product_id,
       t.week::INTEGER AS promo_week,
       t.transaction_timestamp::TIMESTAMP AT TIME ZONE 'UTC' AS happened_at,
       round(t.sales_value * 100)::BIGINT AS cents, t.quantity, p.product_type
FROM read_parquet($transactions) t LEFT JOIN read_parquet($products) p USING (product_id)
"""

BASKETS: Final = """
CREATE TABLE baskets AS
SELECT household_id, store_id, basket_id, promo_week,
       min(happened_at) AS happened_at, sum(cents)::BIGINT AS cents
FROM lines GROUP BY ALL
"""

SHELF: Final = """
CREATE TABLE shelf AS
SELECT m.week::INTEGER AS promo_week, m.store_id, m.product_id::BIGINT AS product_id, m.display_location,
       p.department, p.brand, p.product_category, p.product_type
FROM read_parquet($promotions) m LEFT JOIN read_parquet($products) p USING (product_id)
WHERE m.mailer_location = 'F' AND m.week BETWEEN $first_week AND $last_week
"""

SHELF_WEEKS: Final = "SELECT DISTINCT promo_week FROM shelf ORDER BY promo_week"
LINE_WEEKS: Final = "SELECT DISTINCT promo_week FROM lines WHERE promo_week >= $week ORDER BY promo_week"

STRAY_LINES: Final = """
SELECT count(*), min(basket_id), min(promo_week)
FROM lines LEFT JOIN weeks USING (promo_week)
WHERE NOT coalesce(happened_at >= starts_at AND happened_at < ends_at, FALSE)
"""
"""Lines outside the promotion week that they claim: with any, "weeks < w" would not mean "before"."""

IMPRESSIONS: Final = """
WITH page AS (SELECT * FROM shelf WHERE promo_week = $week),
now AS (SELECT starts_at FROM weeks WHERE promo_week = $week),
visited AS (
    SELECT household_id, store_id, count(*) AS visits, max(happened_at) AS last_at
    FROM baskets WHERE promo_week >= $week - 12 AND promo_week < $week GROUP BY ALL
),
home AS (
    SELECT household_id, store_id FROM visited
    QUALIFY row_number() OVER (PARTITION BY household_id ORDER BY visits DESC, last_at DESC, store_id) = 1
),
past AS (SELECT * FROM lines WHERE promo_week >= $week - 52 AND promo_week < $week),
listed AS (SELECT DISTINCT product_id, product_type FROM page),
household AS (
    SELECT household_id,
           (count(*) FILTER (promo_week >= $week - 4))::INTEGER AS trips_4w,
           (count(*) FILTER (promo_week >= $week - 12))::INTEGER AS trips_12w,
           (sum(cents) FILTER (promo_week >= $week - 12))::BIGINT / 100.0 AS spend_12w,
           max(happened_at) AS trip_at, ($week - min(promo_week))::INTEGER AS tenure_weeks
    FROM baskets WHERE promo_week < $week GROUP BY ALL
),
own_item AS (
    SELECT household_id, product_id,
           (count(DISTINCT basket_id) FILTER (promo_week >= $week - 12))::INTEGER AS item_bought_12w,
           count(DISTINCT basket_id)::INTEGER AS item_bought_52w, max(happened_at) AS item_at
    FROM past SEMI JOIN listed USING (product_id) GROUP BY ALL
),
own_type AS (
    SELECT household_id, product_type,
           (count(DISTINCT basket_id) FILTER (promo_week >= $week - 4))::INTEGER AS type_bought_4w,
           count(DISTINCT basket_id)::INTEGER AS type_bought_52w, max(happened_at) AS type_at
    FROM past SEMI JOIN listed USING (product_type) GROUP BY ALL
),
item AS (
    SELECT product_id,
           (count(DISTINCT household_id) FILTER (promo_week >= $week - 4))::INTEGER AS popularity,
           count(DISTINCT household_id)::INTEGER AS popularity_52w,
           median(cents / 100.0 / quantity) FILTER (quantity > 0 AND cents > 0) AS price
    FROM past SEMI JOIN listed USING (product_id) GROUP BY ALL
),
kind AS (
    SELECT product_type, median(cents / 100.0 / quantity) AS price
    FROM past SEMI JOIN listed USING (product_type) WHERE quantity > 0 AND cents > 0 GROUP BY ALL
),
anything AS (
    SELECT median(cents / 100.0 / quantity) AS price FROM past WHERE quantity > 0 AND cents > 0
)
SELECT home.household_id * 100 + $week AS request_id, home.household_id AS user_id,
       page.product_id AS item_id, starts_at AS shown_at, page.store_id, page.promo_week,
       page.department, page.brand, page.product_category, page.product_type, page.display_location,
       coalesce(item_bought_12w, 0) AS item_bought_12w, coalesce(item_bought_52w, 0) AS item_bought_52w,
       date_diff('day', item_at, starts_at)::INTEGER AS days_since_item,
       coalesce(type_bought_4w, 0) AS type_bought_4w, coalesce(type_bought_52w, 0) AS type_bought_52w,
       date_diff('day', type_at, starts_at)::INTEGER AS days_since_type,
       trips_4w, trips_12w, spend_12w,
       date_diff('day', trip_at, starts_at)::INTEGER AS days_since_trip, tenure_weeks,
       coalesce(popularity, 0) AS popularity, coalesce(popularity_52w, 0) AS popularity_52w,
       round(coalesce(item.price, kind.price, anything.price), 4) AS usual_price,
       CASE WHEN item.price IS NOT NULL THEN 'item' WHEN kind.price IS NOT NULL THEN 'type'
            WHEN anything.price IS NOT NULL THEN 'any' END AS usual_price_of
FROM home JOIN page USING (store_id) JOIN household USING (household_id)
CROSS JOIN now CROSS JOIN anything
LEFT JOIN own_item ON own_item.household_id = home.household_id AND own_item.product_id = page.product_id
LEFT JOIN own_type ON own_type.household_id = home.household_id AND own_type.product_type = page.product_type
LEFT JOIN item ON item.product_id = page.product_id
LEFT JOIN kind ON kind.product_type = page.product_type
ORDER BY request_id, item_id, display_location
"""

EVENTS: Final = """
SELECT 'purchase' AS event, happened_at, household_id AS user_id, product_id AS item_id,
       cents / 100.0 AS value, product_type
FROM lines WHERE promo_week = $week
UNION ALL
SELECT 'trip', happened_at, household_id, NULL, cents / 100.0, NULL
FROM baskets WHERE promo_week = $week
ORDER BY happened_at, user_id, event, item_id, value
"""
"""One row a scanned line (item and type) and one a basket (household only)."""

IMPRESSION_COUNTS: Final = """
WITH requests AS (SELECT request_id, count(*) AS candidates FROM read_parquet($files) GROUP BY ALL)
SELECT count(*) AS impressions, count(DISTINCT request_id) AS requests,
       count(DISTINCT user_id) AS households, count(DISTINCT item_id) AS products,
       count(*) - count(DISTINCT (request_id, item_id)) AS duplicate_impressions,
       count(*) FILTER (product_type IS NULL) AS without_product_type,
       count(*) FILTER (usual_price_of = 'type') AS priced_by_type,
       count(*) FILTER (usual_price_of = 'any') AS priced_by_any,
       (SELECT min(candidates) FROM requests) AS smallest_set,
       (SELECT max(candidates) FROM requests) AS largest_set
FROM read_parquet($files)
"""

DUPLICATE_SHELF_ROWS: Final = """
SELECT count(*) - count(DISTINCT (promo_week, store_id, product_id)) AS duplicate_shelf_rows FROM shelf
"""

EVENT_COUNTS: Final = """
SELECT count(*) FILTER (event = 'purchase') AS purchases, count(*) FILTER (event = 'trip') AS trips,
       count(*) FILTER (event = 'purchase' AND value <= 0) AS purchases_without_value,
       count(*) FILTER (event = 'purchase' AND product_type IS NULL) AS purchases_without_type
FROM read_parquet($files)
"""
