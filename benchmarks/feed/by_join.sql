-- A plain join, as an engineer would write it in an afternoon: the outcome of each impression in its window, 1 or 0.
-- It knows no maturity, visibility, exclusion or credit, takes repeated impressions as they come, and keeps no times.
COPY (
  SELECT *, make_timestamp(epoch_us(shown_at))::DATE AS ds,
    coalesce(clicked, 0)::TINYINT AS click_30m, coalesce(bought, 0)::TINYINT AS purchase_7d,
    coalesce(hid, 0)::TINYINT AS hide_7d
  FROM impressions LEFT JOIN (
    SELECT request_id, impressions.item_id,
      max((event = 'click' AND happened_at < shown_at + INTERVAL 30 MINUTE)::INT) AS clicked,
      max((event = 'purchase')::INT) AS bought, max((event = 'hide')::INT) AS hid
    FROM impressions JOIN events USING (user_id, item_id)
    WHERE happened_at >= shown_at AND happened_at < shown_at + INTERVAL 168 HOUR
    GROUP BY 1, 2
  ) USING (request_id, item_id)
) TO '$out' (FORMAT parquet, PARTITION_BY (ds))
