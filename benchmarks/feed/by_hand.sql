-- The labels of the feed's three tasks by one hand-written statement of DuckDB: the same rows and columns as
-- `labels.run` writes, as plain Parquet by day. What is credited is aggregated by impression and joined back;
-- impressions that are immature anyway are left out of every join that they cannot bear on; a status is one
-- byte until it is in the file.
COPY (
  WITH repeated AS MATERIALIZED (
    SELECT request_id, item_id FROM impressions
    WHERE shown_at < $as_of AND request_id IS NOT NULL AND item_id IS NOT NULL
    GROUP BY 1, 2 HAVING count(*) > 1
  ), shown AS (
    SELECT impressions.* FROM impressions ANTI JOIN repeated USING (request_id, item_id)
    WHERE shown_at < $as_of AND request_id IS NOT NULL AND item_id IS NOT NULL
    UNION ALL
    SELECT impressions.* FROM impressions SEMI JOIN repeated USING (request_id, item_id)
    WHERE shown_at < $as_of
    QUALIFY row_number() OVER (
      PARTITION BY request_id, item_id
      ORDER BY shown_at, position NULLS FIRST, user_id NULLS FIRST, visible NULLS FIRST, price NULLS FIRST,
               item_age_days NULLS FIRST, margin NULLS FIRST, source NULLS FIRST, category NULLS FIRST,
               device NULLS FIRST) = 1
  ), known AS (
    SELECT * FROM events WHERE happened_at < $as_of AND (ingested_at IS NULL OR ingested_at < $as_of)
  ), every AS (
    SELECT request_id, item_id,
           min(happened_at) FILTER (event = 'click') AS click_at, min(happened_at) FILTER (event = 'hide') AS hide_at
    FROM (
      SELECT request_id, shown.item_id, event, happened_at FROM shown JOIN known USING (user_id, item_id)
      WHERE event IN ('click', 'hide') AND happened_at >= shown_at
        AND happened_at < shown_at + CASE event WHEN 'click' THEN INTERVAL 30 MINUTE ELSE INTERVAL 168 HOUR END
        AND (event = 'click' OR shown_at <= $as_of - INTERVAL 192 HOUR))
    GROUP BY 1, 2
  ), touched AS (
    SELECT best.request_id, best.item_id, min(happened_at) AS purchase_at
    FROM (
      SELECT happened_at, max({shown_at: shown_at, position: coalesce(position, -2147483648),
                               request_id: request_id, item_id: shown.item_id}) AS best
      FROM shown JOIN known USING (user_id, item_id)
      WHERE event = 'purchase' AND happened_at >= shown_at AND happened_at < shown_at + INTERVAL 168 HOUR
        AND shown_at <= $as_of - INTERVAL 24 HOUR
      GROUP BY happened_at, user_id, shown.item_id)
    GROUP BY 1, 2
  ), stock AS (
    SELECT item_id, shown_at, 1 AS no_stock FROM shown JOIN known USING (item_id)
    WHERE event = 'out_of_stock' AND happened_at >= shown_at AND happened_at < shown_at + INTERVAL 168 HOUR
      AND shown_at <= $as_of - INTERVAL 192 HOUR
    GROUP BY 1, 2
  ), people AS (
    SELECT user_id, shown_at, 1 AS not_eligible FROM shown JOIN known USING (user_id)
    WHERE event = 'ineligible' AND happened_at >= shown_at AND happened_at < shown_at + INTERVAL 168 HOUR
      AND shown_at <= $as_of - INTERVAL 192 HOUR
    GROUP BY 1, 2
  ), statuses AS (
    SELECT shown.*, click_at, purchase_at, hide_at,
      CASE WHEN shown_at > $as_of - INTERVAL 1 HOUR THEN 'immature'
           WHEN user_id IS NULL OR NOT coalesce(visible, false) THEN 'not_applicable'
           ELSE 'observed' END::ENUM ('immature', 'not_applicable', 'observed') AS click_30m__status,
      CASE WHEN shown_at > $as_of - INTERVAL 192 HOUR THEN 'immature'
           WHEN user_id IS NULL THEN 'not_applicable'
           WHEN no_stock = 1 OR not_eligible = 1 THEN 'excluded'
           ELSE 'observed' END::ENUM ('immature', 'not_applicable', 'excluded', 'observed') AS purchase_7d__status,
      CASE WHEN shown_at > $as_of - INTERVAL 192 HOUR THEN 'immature'
           WHEN user_id IS NULL THEN 'not_applicable'
           ELSE 'observed' END::ENUM ('immature', 'not_applicable', 'observed') AS hide_7d__status
    FROM shown LEFT JOIN every USING (request_id, item_id) LEFT JOIN touched USING (request_id, item_id)
      LEFT JOIN stock USING (item_id, shown_at) LEFT JOIN people USING (user_id, shown_at)
  )
  SELECT * EXCLUDE (click_at, purchase_at, hide_at, click_30m__status, purchase_7d__status, hide_7d__status),
    make_timestamp(epoch_us(shown_at))::DATE AS ds,
    CASE WHEN click_30m__status = 'observed' THEN (click_at IS NOT NULL)::TINYINT END AS click_30m,
    click_30m__status,
    CASE WHEN click_30m__status = 'observed' THEN click_at END AS click_30m__at,
    CASE WHEN purchase_7d__status = 'observed' THEN (purchase_at IS NOT NULL)::TINYINT END AS purchase_7d,
    purchase_7d__status,
    CASE WHEN purchase_7d__status = 'observed' THEN purchase_at END AS purchase_7d__at,
    CASE WHEN hide_7d__status = 'observed' THEN (hide_at IS NOT NULL)::TINYINT END AS hide_7d,
    hide_7d__status,
    CASE WHEN hide_7d__status = 'observed' THEN hide_at END AS hide_7d__at,
    1::INTEGER AS contract__version,
    '$digest'::ENUM ('$digest') AS contract__digest
  FROM statuses
) TO '$out' (FORMAT parquet, PARTITION_BY (ds))
