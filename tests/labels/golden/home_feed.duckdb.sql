-- Labels of home_feed, as the contract home-feed-labels, version 1, defines them
-- (digest 3e42a712f6436c66c3bdc98fe0ae75b18365ef9798dcc74aa8414c639081d2e4).
--
-- $as_of is the instant of the build, a time with a zone: an impression takes part that was shown before it,
-- an event that had happened before it and, where ingested_at says when, had arrived. $arrived is the
-- instant up to which the log had arrived by then: $as_of itself, where the newest known row of both tables
-- lies less than P1D before it (`arrival`), else that row's time. What is not mature by then has the
-- status immature and no label.
-- Reads the tables impressions and events, under the column names of the contracts. The session's time
-- zone must be UTC: days are UTC days.
WITH "repeated" AS (
  SELECT
    "request_id",
    "item_id"
  FROM "impressions"
  WHERE
    "impressions"."shown_at" < CAST($as_of AS TIMESTAMPTZ)
    AND NOT "impressions"."request_id" IS NULL
    AND NOT "impressions"."item_id" IS NULL
  GROUP BY
    "request_id",
    "item_id"
  HAVING
    COUNT(*) > 1
), "first_of_repeated" AS (
  SELECT
    "request_id",
    "user_id",
    "item_id",
    "shown_at",
    "position",
    "price",
    "item_age_days",
    "item_popularity",
    "item_click_rate",
    "item_hide_rate",
    "item_return_rate",
    "item_rating",
    "user_category_affinity",
    "user_price_sensitivity",
    "user_buyer_score",
    "user_hide_score",
    "source",
    "category",
    "device",
    "page",
    "user_tenure",
    "region",
    "margin",
    "visible"
  FROM (
    SELECT
      "impressions"."request_id",
      "impressions"."user_id",
      "impressions"."item_id",
      "impressions"."shown_at",
      "impressions"."position",
      "impressions"."price",
      "impressions"."item_age_days",
      "impressions"."item_popularity",
      "impressions"."item_click_rate",
      "impressions"."item_hide_rate",
      "impressions"."item_return_rate",
      "impressions"."item_rating",
      "impressions"."user_category_affinity",
      "impressions"."user_price_sensitivity",
      "impressions"."user_buyer_score",
      "impressions"."user_hide_score",
      "impressions"."source",
      "impressions"."category",
      "impressions"."device",
      "impressions"."page",
      "impressions"."user_tenure",
      "impressions"."region",
      "impressions"."margin",
      "impressions"."visible",
      ROW_NUMBER() OVER (
        PARTITION BY "impressions"."request_id", "impressions"."item_id"
        ORDER BY "impressions"."shown_at" ASC NULLS FIRST, "impressions"."position" ASC NULLS FIRST, "impressions"."user_id" ASC NULLS FIRST, "impressions"."price" ASC NULLS FIRST, "impressions"."item_age_days" ASC NULLS FIRST, "impressions"."item_popularity" ASC NULLS FIRST, "impressions"."item_click_rate" ASC NULLS FIRST, "impressions"."item_hide_rate" ASC NULLS FIRST, "impressions"."item_return_rate" ASC NULLS FIRST, "impressions"."item_rating" ASC NULLS FIRST, "impressions"."user_category_affinity" ASC NULLS FIRST, "impressions"."user_price_sensitivity" ASC NULLS FIRST, "impressions"."user_buyer_score" ASC NULLS FIRST, "impressions"."user_hide_score" ASC NULLS FIRST, "impressions"."source" ASC NULLS FIRST, "impressions"."category" ASC NULLS FIRST, "impressions"."device" ASC NULLS FIRST, "impressions"."page" ASC NULLS FIRST, "impressions"."user_tenure" ASC NULLS FIRST, "impressions"."region" ASC NULLS FIRST, "impressions"."margin" ASC NULLS FIRST, "impressions"."visible" ASC NULLS FIRST
      ) AS "_place"
    FROM "impressions"
    JOIN "repeated"
      ON "impressions"."request_id" = "repeated"."request_id"
      AND "impressions"."item_id" = "repeated"."item_id"
    WHERE
      "impressions"."shown_at" < CAST($as_of AS TIMESTAMPTZ)
      AND NOT "impressions"."request_id" IS NULL
      AND NOT "impressions"."item_id" IS NULL
  ) AS "placed"
  WHERE
    "_place" = 1
), "shown" AS (
  SELECT
    "impressions"."request_id",
    "impressions"."user_id",
    "impressions"."item_id",
    "impressions"."shown_at",
    "impressions"."position",
    "impressions"."price",
    "impressions"."item_age_days",
    "impressions"."item_popularity",
    "impressions"."item_click_rate",
    "impressions"."item_hide_rate",
    "impressions"."item_return_rate",
    "impressions"."item_rating",
    "impressions"."user_category_affinity",
    "impressions"."user_price_sensitivity",
    "impressions"."user_buyer_score",
    "impressions"."user_hide_score",
    "impressions"."source",
    "impressions"."category",
    "impressions"."device",
    "impressions"."page",
    "impressions"."user_tenure",
    "impressions"."region",
    "impressions"."margin",
    "impressions"."visible"
  FROM "impressions"
  LEFT JOIN "repeated"
    ON "impressions"."request_id" = "repeated"."request_id"
    AND "impressions"."item_id" = "repeated"."item_id"
  WHERE
    "impressions"."shown_at" < CAST($as_of AS TIMESTAMPTZ)
    AND NOT "impressions"."request_id" IS NULL
    AND NOT "impressions"."item_id" IS NULL
    AND "repeated"."request_id" IS NULL
  UNION ALL
  SELECT
    "request_id",
    "user_id",
    "item_id",
    "shown_at",
    "position",
    "price",
    "item_age_days",
    "item_popularity",
    "item_click_rate",
    "item_hide_rate",
    "item_return_rate",
    "item_rating",
    "user_category_affinity",
    "user_price_sensitivity",
    "user_buyer_score",
    "user_hide_score",
    "source",
    "category",
    "device",
    "page",
    "user_tenure",
    "region",
    "margin",
    "visible"
  FROM "first_of_repeated"
), "known" AS (
  SELECT
    "event",
    "happened_at",
    "user_id",
    "item_id",
    "value"
  FROM "events"
  WHERE
    "happened_at" < CAST($as_of AS TIMESTAMPTZ)
    AND (
      "ingested_at" IS NULL OR "ingested_at" < CAST($as_of AS TIMESTAMPTZ)
    )
    AND "event" IN (
      'add_to_cart',
      'click',
      'dwell',
      'hide',
      'ineligible',
      'out_of_stock',
      'purchase',
      'report',
      'return',
      'survey'
    )
), "click_30m__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('click') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('click') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "click_30m__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "click_30m__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '30' MINUTE
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "dwell_60s_1d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('dwell')
    AND COALESCE(
      CASE WHEN NOT ISNAN(CAST("value" AS DOUBLE)) THEN CAST("value" AS DOUBLE) END >= CAST('60.0' AS DOUBLE),
      FALSE
    ) AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('dwell') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "dwell_60s_1d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "dwell_60s_1d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '24' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "add_to_cart_1d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('add_to_cart') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('add_to_cart') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "add_to_cart_1d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "add_to_cart_1d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '24' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "add_to_cart_1d__out_0_signals" AS (
  SELECT
    "item_id",
    "happened_at"
  FROM "known"
  WHERE
    "event" IN ('out_of_stock') AND NOT "item_id" IS NULL
), "add_to_cart_1d__out_0" AS (
  SELECT
    "item_id",
    "_opens",
    CASE WHEN "_at" < "_opens" + INTERVAL '24' HOUR THEN "_at" END AS "_at"
  FROM (
    SELECT
      "item_id",
      "_opens",
      MIN("_at") OVER (
        PARTITION BY "item_id"
        ORDER BY "_instant" DESC
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "_at"
    FROM (
      SELECT
        "item_id",
        "_opens" AS "_instant",
        "_opens" AS "_opens",
        NULL AS "_at"
      FROM (
        SELECT DISTINCT
          "shown"."item_id",
          "shown"."shown_at" AS "_opens"
        FROM "shown"
        WHERE
          "shown"."shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '48' HOUR
          AND EXISTS(
            SELECT
              1
            FROM "add_to_cart_1d__out_0_signals" AS "_signals"
            WHERE
              "_signals"."item_id" = "shown"."item_id"
          )
      ) AS "_windows"
      UNION ALL
      SELECT
        "item_id",
        "happened_at" AS "_instant",
        NULL AS "_opens",
        "happened_at" AS "_at"
      FROM "add_to_cart_1d__out_0_signals"
    ) AS "met"
  ) AS "scanned"
  WHERE
    NOT "_opens" IS NULL AND "_at" < "_opens" + INTERVAL '24' HOUR
), "add_to_cart_1d__out_1_signals" AS (
  SELECT
    "user_id",
    "happened_at"
  FROM "known"
  WHERE
    "event" IN ('ineligible') AND NOT "user_id" IS NULL
), "add_to_cart_1d__out_1" AS (
  SELECT
    "user_id",
    "_opens",
    CASE WHEN "_at" < "_opens" + INTERVAL '24' HOUR THEN "_at" END AS "_at"
  FROM (
    SELECT
      "user_id",
      "_opens",
      MIN("_at") OVER (
        PARTITION BY "user_id"
        ORDER BY "_instant" DESC
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "_at"
    FROM (
      SELECT
        "user_id",
        "_opens" AS "_instant",
        "_opens" AS "_opens",
        NULL AS "_at"
      FROM (
        SELECT DISTINCT
          "shown"."user_id",
          "shown"."shown_at" AS "_opens"
        FROM "shown"
        WHERE
          "shown"."shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '48' HOUR
          AND EXISTS(
            SELECT
              1
            FROM "add_to_cart_1d__out_1_signals" AS "_signals"
            WHERE
              "_signals"."user_id" = "shown"."user_id"
          )
      ) AS "_windows"
      UNION ALL
      SELECT
        "user_id",
        "happened_at" AS "_instant",
        NULL AS "_opens",
        "happened_at" AS "_at"
      FROM "add_to_cart_1d__out_1_signals"
    ) AS "met"
  ) AS "scanned"
  WHERE
    NOT "_opens" IS NULL AND "_at" < "_opens" + INTERVAL '24' HOUR
), "purchase_7d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('purchase') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('purchase') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "purchase_7d__touched" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "request_id"
  FROM (
    SELECT
      "_signals"."user_id",
      "_signals"."item_id",
      "_signals"."happened_at",
      "_windows"."request_id",
      ROW_NUMBER() OVER (
        PARTITION BY "_signals"."user_id", "_signals"."item_id", "_signals"."happened_at"
        ORDER BY "_windows"."shown_at" DESC, "_windows"."position" DESC, "_windows"."request_id" DESC, "_windows"."item_id" DESC
      ) AS "_place"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."request_id",
        "shown"."shown_at",
        "shown"."position",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN (
      SELECT DISTINCT
        "user_id",
        "item_id",
        "happened_at"
      FROM "purchase_7d__signals"
    ) AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '168' HOUR
  ) AS "placed"
  WHERE
    "_place" = 1
), "purchase_7d__credited" AS (
  SELECT
    "request_id",
    "item_id",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."request_id",
      "_windows"."item_id",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM "purchase_7d__touched" AS "_windows"
    JOIN "purchase_7d__signals" AS "_signals"
      ON "_windows"."user_id" = "_signals"."user_id"
      AND "_windows"."item_id" = "_signals"."item_id"
      AND "_windows"."happened_at" = "_signals"."happened_at"
  ) AS "pairs"
  GROUP BY
    "request_id",
    "item_id"
), "purchase_7d__out_0_signals" AS (
  SELECT
    "item_id",
    "happened_at"
  FROM "known"
  WHERE
    "event" IN ('out_of_stock') AND NOT "item_id" IS NULL
), "purchase_7d__out_0" AS (
  SELECT
    "item_id",
    "_opens",
    CASE WHEN "_at" < "_opens" + INTERVAL '168' HOUR THEN "_at" END AS "_at"
  FROM (
    SELECT
      "item_id",
      "_opens",
      MIN("_at") OVER (
        PARTITION BY "item_id"
        ORDER BY "_instant" DESC
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "_at"
    FROM (
      SELECT
        "item_id",
        "_opens" AS "_instant",
        "_opens" AS "_opens",
        NULL AS "_at"
      FROM (
        SELECT DISTINCT
          "shown"."item_id",
          "shown"."shown_at" AS "_opens"
        FROM "shown"
        WHERE
          "shown"."shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
          AND EXISTS(
            SELECT
              1
            FROM "purchase_7d__out_0_signals" AS "_signals"
            WHERE
              "_signals"."item_id" = "shown"."item_id"
          )
      ) AS "_windows"
      UNION ALL
      SELECT
        "item_id",
        "happened_at" AS "_instant",
        NULL AS "_opens",
        "happened_at" AS "_at"
      FROM "purchase_7d__out_0_signals"
    ) AS "met"
  ) AS "scanned"
  WHERE
    NOT "_opens" IS NULL AND "_at" < "_opens" + INTERVAL '168' HOUR
), "purchase_7d__out_1_signals" AS (
  SELECT
    "user_id",
    "happened_at"
  FROM "known"
  WHERE
    "event" IN ('ineligible') AND NOT "user_id" IS NULL
), "purchase_7d__out_1" AS (
  SELECT
    "user_id",
    "_opens",
    CASE WHEN "_at" < "_opens" + INTERVAL '168' HOUR THEN "_at" END AS "_at"
  FROM (
    SELECT
      "user_id",
      "_opens",
      MIN("_at") OVER (
        PARTITION BY "user_id"
        ORDER BY "_instant" DESC
        RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS "_at"
    FROM (
      SELECT
        "user_id",
        "_opens" AS "_instant",
        "_opens" AS "_opens",
        NULL AS "_at"
      FROM (
        SELECT DISTINCT
          "shown"."user_id",
          "shown"."shown_at" AS "_opens"
        FROM "shown"
        WHERE
          "shown"."shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
          AND EXISTS(
            SELECT
              1
            FROM "purchase_7d__out_1_signals" AS "_signals"
            WHERE
              "_signals"."user_id" = "shown"."user_id"
          )
      ) AS "_windows"
      UNION ALL
      SELECT
        "user_id",
        "happened_at" AS "_instant",
        NULL AS "_opens",
        "happened_at" AS "_at"
      FROM "purchase_7d__out_1_signals"
    ) AS "met"
  ) AS "scanned"
  WHERE
    NOT "_opens" IS NULL AND "_at" < "_opens" + INTERVAL '168' HOUR
), "return_30d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('return') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('return') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "return_30d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "purchase_7d__credited"."_at" AS "_opens"
      FROM "shown"
      JOIN "purchase_7d__credited"
        ON "shown"."request_id" = "purchase_7d__credited"."request_id"
        AND "shown"."item_id" = "purchase_7d__credited"."item_id"
      WHERE
        NOT "purchase_7d__credited"."_at" IS NULL
    ) AS "_windows"
    JOIN "return_30d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" > "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '720' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "hide_7d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('hide') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('hide') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "hide_7d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "hide_7d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '168' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "report_7d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('report') AS "_counts"
  FROM "known"
  WHERE
    "event" IN ('report') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "report_7d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "report_7d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '168' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "survey_happy_14d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('survey')
    AND COALESCE(
      CASE WHEN NOT ISNAN(CAST("value" AS DOUBLE)) THEN CAST("value" AS DOUBLE) END >= CAST('4.0' AS DOUBLE),
      FALSE
    ) AS "_counts",
    "event" IN ('survey') AS "_answers"
  FROM "known"
  WHERE
    "event" IN ('survey') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "survey_happy_14d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    MIN(CASE WHEN "_counts" THEN "happened_at" END) AS "_at",
    MAX(CASE WHEN "_answers" THEN 1 ELSE 0 END) AS "_answered"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts",
      "_signals"."_answers"
    FROM (
      SELECT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
    ) AS "_windows"
    JOIN "survey_happy_14d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '336' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "dwell_seconds_1d__signals" AS (
  SELECT
    "user_id",
    "item_id",
    "happened_at",
    "event" IN ('dwell') AS "_counts",
    CASE WHEN NOT ISNAN(CAST("value" AS DOUBLE)) THEN CAST("value" AS DOUBLE) END AS "_amount"
  FROM "known"
  WHERE
    "event" IN ('dwell') AND NOT "user_id" IS NULL AND NOT "item_id" IS NULL
), "dwell_seconds_1d__credited" AS (
  SELECT
    "user_id",
    "item_id",
    "_opens",
    LIST_SUM(
      ARRAY_AGG(
        CASE WHEN "_counts" THEN "_amount" END ORDER BY CASE WHEN "_counts" THEN "_amount" END ASC NULLS FIRST
      )
    ) AS "_amount"
  FROM (
    SELECT
      "_windows"."user_id",
      "_windows"."item_id",
      "_windows"."_opens",
      "_signals"."happened_at",
      "_signals"."_counts",
      "_signals"."_amount"
    FROM (
      SELECT DISTINCT
        "shown"."user_id",
        "shown"."item_id",
        "shown"."shown_at" AS "_opens"
      FROM "shown"
      WHERE
        EXISTS(
          SELECT
            1
          FROM "dwell_seconds_1d__signals" AS "_signals"
          WHERE
            "_signals"."user_id" = "shown"."user_id"
            AND "_signals"."item_id" = "shown"."item_id"
        )
    ) AS "_windows"
    JOIN "dwell_seconds_1d__signals" AS "_signals"
      ON "_signals"."user_id" = "_windows"."user_id"
      AND "_signals"."item_id" = "_windows"."item_id"
      AND "_signals"."happened_at" >= "_windows"."_opens"
      AND "_signals"."happened_at" < "_windows"."_opens" + INTERVAL '24' HOUR
  ) AS "pairs"
  GROUP BY
    "user_id",
    "item_id",
    "_opens"
), "facts" AS (
  SELECT
    "shown"."request_id",
    "shown"."user_id",
    "shown"."item_id",
    "shown"."shown_at",
    "shown"."position",
    "shown"."price",
    "shown"."item_age_days",
    "shown"."item_popularity",
    "shown"."item_click_rate",
    "shown"."item_hide_rate",
    "shown"."item_return_rate",
    "shown"."item_rating",
    "shown"."user_category_affinity",
    "shown"."user_price_sensitivity",
    "shown"."user_buyer_score",
    "shown"."user_hide_score",
    "shown"."source",
    "shown"."category",
    "shown"."device",
    "shown"."page",
    "shown"."user_tenure",
    "shown"."region",
    "shown"."margin",
    "shown"."visible",
    CAST(MAKE_TIMESTAMP(EPOCH_US("shown"."shown_at")) AS DATE) AS "ds",
    "click_30m__credited"."_at" AS "click_30m__credit",
    "dwell_60s_1d__credited"."_at" AS "dwell_60s_1d__credit",
    "add_to_cart_1d__credited"."_at" AS "add_to_cart_1d__credit",
    "add_to_cart_1d__out_0"."_at" AS "add_to_cart_1d__out_0",
    "add_to_cart_1d__out_1"."_at" AS "add_to_cart_1d__out_1",
    "purchase_7d__credited"."_at" AS "purchase_7d__credit",
    "purchase_7d__out_0"."_at" AS "purchase_7d__out_0",
    "purchase_7d__out_1"."_at" AS "purchase_7d__out_1",
    "return_30d__credited"."_at" AS "return_30d__credit",
    "hide_7d__credited"."_at" AS "hide_7d__credit",
    "report_7d__credited"."_at" AS "report_7d__credit",
    "survey_happy_14d__credited"."_at" AS "survey_happy_14d__credit",
    NULLIF("survey_happy_14d__credited"."_answered", 0) AS "survey_happy_14d__answer",
    "dwell_seconds_1d__credited"."_amount" AS "dwell_seconds_1d__amount"
  FROM "shown"
  LEFT JOIN "click_30m__credited"
    ON "shown"."user_id" = "click_30m__credited"."user_id"
    AND "shown"."item_id" = "click_30m__credited"."item_id"
    AND "click_30m__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "dwell_60s_1d__credited"
    ON "shown"."user_id" = "dwell_60s_1d__credited"."user_id"
    AND "shown"."item_id" = "dwell_60s_1d__credited"."item_id"
    AND "dwell_60s_1d__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "add_to_cart_1d__credited"
    ON "shown"."user_id" = "add_to_cart_1d__credited"."user_id"
    AND "shown"."item_id" = "add_to_cart_1d__credited"."item_id"
    AND "add_to_cart_1d__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "add_to_cart_1d__out_0"
    ON "shown"."item_id" = "add_to_cart_1d__out_0"."item_id"
    AND "add_to_cart_1d__out_0"."_opens" = "shown"."shown_at"
  LEFT JOIN "add_to_cart_1d__out_1"
    ON "shown"."user_id" = "add_to_cart_1d__out_1"."user_id"
    AND "add_to_cart_1d__out_1"."_opens" = "shown"."shown_at"
  LEFT JOIN "purchase_7d__credited"
    ON "shown"."request_id" = "purchase_7d__credited"."request_id"
    AND "shown"."item_id" = "purchase_7d__credited"."item_id"
  LEFT JOIN "purchase_7d__out_0"
    ON "shown"."item_id" = "purchase_7d__out_0"."item_id"
    AND "purchase_7d__out_0"."_opens" = "shown"."shown_at"
  LEFT JOIN "purchase_7d__out_1"
    ON "shown"."user_id" = "purchase_7d__out_1"."user_id"
    AND "purchase_7d__out_1"."_opens" = "shown"."shown_at"
  LEFT JOIN "return_30d__credited"
    ON "shown"."user_id" = "return_30d__credited"."user_id"
    AND "shown"."item_id" = "return_30d__credited"."item_id"
    AND "return_30d__credited"."_opens" = "purchase_7d__credited"."_at"
  LEFT JOIN "hide_7d__credited"
    ON "shown"."user_id" = "hide_7d__credited"."user_id"
    AND "shown"."item_id" = "hide_7d__credited"."item_id"
    AND "hide_7d__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "report_7d__credited"
    ON "shown"."user_id" = "report_7d__credited"."user_id"
    AND "shown"."item_id" = "report_7d__credited"."item_id"
    AND "report_7d__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "survey_happy_14d__credited"
    ON "shown"."user_id" = "survey_happy_14d__credited"."user_id"
    AND "shown"."item_id" = "survey_happy_14d__credited"."item_id"
    AND "survey_happy_14d__credited"."_opens" = "shown"."shown_at"
  LEFT JOIN "dwell_seconds_1d__credited"
    ON "shown"."user_id" = "dwell_seconds_1d__credited"."user_id"
    AND "shown"."item_id" = "dwell_seconds_1d__credited"."item_id"
    AND "dwell_seconds_1d__credited"."_opens" = "shown"."shown_at"
), "statuses_0" AS (
  SELECT
    *,
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '1' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL OR NOT COALESCE("visible", FALSE)
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "click_30m__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '48' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "dwell_60s_1d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '48' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      WHEN NOT "add_to_cart_1d__out_0" IS NULL OR NOT "add_to_cart_1d__out_1" IS NULL
      THEN 'excluded'
      ELSE 'observed'
    END AS "add_to_cart_1d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      WHEN NOT "purchase_7d__out_0" IS NULL OR NOT "purchase_7d__out_1" IS NULL
      THEN 'excluded'
      ELSE 'observed'
    END AS "purchase_7d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "hide_7d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "report_7d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '360' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL OR "survey_happy_14d__answer" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "survey_happy_14d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '48' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "dwell_seconds_1d__status"
  FROM "facts"
), "labels_0" AS (
  SELECT
    *,
    CASE
      WHEN "click_30m__status" = 'observed'
      THEN CASE WHEN NOT "click_30m__credit" IS NULL THEN 1 ELSE 0 END
    END AS "click_30m",
    CASE
      WHEN "dwell_60s_1d__status" = 'observed'
      THEN CASE WHEN NOT "dwell_60s_1d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "dwell_60s_1d",
    CASE
      WHEN "dwell_60s_1d__status" = 'observed'
      THEN CASE WHEN NOT "dwell_60s_1d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "dwell_60s_1d__known",
    CASE
      WHEN "add_to_cart_1d__status" = 'observed'
      THEN CASE WHEN NOT "add_to_cart_1d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "add_to_cart_1d",
    CASE
      WHEN "purchase_7d__status" = 'observed'
      THEN CASE WHEN NOT "purchase_7d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "purchase_7d",
    CASE
      WHEN "hide_7d__status" = 'observed'
      THEN CASE WHEN NOT "hide_7d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "hide_7d",
    CASE
      WHEN "hide_7d__status" = 'observed'
      THEN CASE WHEN NOT "hide_7d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "hide_7d__known",
    CASE
      WHEN "report_7d__status" = 'observed'
      THEN CASE WHEN NOT "report_7d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "report_7d",
    CASE
      WHEN "report_7d__status" = 'observed'
      THEN CASE WHEN NOT "report_7d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "report_7d__known",
    CASE
      WHEN "survey_happy_14d__status" = 'observed'
      THEN CASE WHEN NOT "survey_happy_14d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "survey_happy_14d",
    CASE
      WHEN "dwell_seconds_1d__status" = 'observed'
      THEN CASE
        WHEN CASE
          WHEN COALESCE(CAST("dwell_seconds_1d__amount" AS DOUBLE), CAST('0.0' AS DOUBLE)) IS NULL
          OR CAST('0.0' AS DOUBLE) IS NULL
          THEN NULL
          ELSE GREATEST(
            COALESCE(CAST("dwell_seconds_1d__amount" AS DOUBLE), CAST('0.0' AS DOUBLE)),
            CAST('0.0' AS DOUBLE)
          )
        END IS NULL
        OR CAST('1800.0' AS DOUBLE) IS NULL
        THEN NULL
        ELSE LEAST(
          CASE
            WHEN COALESCE(CAST("dwell_seconds_1d__amount" AS DOUBLE), CAST('0.0' AS DOUBLE)) IS NULL
            OR CAST('0.0' AS DOUBLE) IS NULL
            THEN NULL
            ELSE GREATEST(
              COALESCE(CAST("dwell_seconds_1d__amount" AS DOUBLE), CAST('0.0' AS DOUBLE)),
              CAST('0.0' AS DOUBLE)
            )
          END,
          CAST('1800.0' AS DOUBLE)
        )
      END
    END AS "dwell_seconds_1d"
  FROM "statuses_0"
), "statuses_1" AS (
  SELECT
    *,
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '888' HOUR
      THEN 'immature'
      WHEN "user_id" IS NULL OR "item_id" IS NULL OR COALESCE("purchase_7d", 0) <> 1
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "return_30d__status",
    CASE
      WHEN NOT "shown_at" <= CAST($arrived AS TIMESTAMPTZ) - INTERVAL '192' HOUR
      THEN 'immature'
      WHEN "dwell_60s_1d__known" IS NULL
      OR "hide_7d__known" IS NULL
      OR "report_7d__known" IS NULL
      THEN 'not_applicable'
      ELSE 'observed'
    END AS "satisfied_7d__status"
  FROM "labels_0"
), "labels_1" AS (
  SELECT
    *,
    CASE
      WHEN "return_30d__status" = 'observed'
      THEN CASE WHEN NOT "return_30d__credit" IS NULL THEN 1 ELSE 0 END
    END AS "return_30d",
    CASE
      WHEN "satisfied_7d__status" = 'observed'
      THEN CASE
        WHEN "dwell_60s_1d__known" = 1 AND "hide_7d__known" = 0 AND "report_7d__known" = 0
        THEN 1
        ELSE 0
      END
    END AS "satisfied_7d"
  FROM "statuses_1"
)
SELECT
  "request_id",
  "user_id",
  "item_id",
  "shown_at",
  "position",
  "price",
  "item_age_days",
  "item_popularity",
  "item_click_rate",
  "item_hide_rate",
  "item_return_rate",
  "item_rating",
  "user_category_affinity",
  "user_price_sensitivity",
  "user_buyer_score",
  "user_hide_score",
  "source",
  "category",
  "device",
  "page",
  "user_tenure",
  "region",
  "margin",
  "visible",
  "ds",
  CAST("click_30m" AS TINYINT) AS "click_30m",
  "click_30m__status",
  CAST(CASE WHEN "click_30m__status" = 'observed' THEN "click_30m__credit" END AS TIMESTAMPTZ) AS "click_30m__at",
  CAST("dwell_60s_1d" AS TINYINT) AS "dwell_60s_1d",
  "dwell_60s_1d__status",
  CAST(CASE WHEN "dwell_60s_1d__status" = 'observed' THEN "dwell_60s_1d__credit" END AS TIMESTAMPTZ) AS "dwell_60s_1d__at",
  CAST("add_to_cart_1d" AS TINYINT) AS "add_to_cart_1d",
  "add_to_cart_1d__status",
  CAST(CASE WHEN "add_to_cart_1d__status" = 'observed' THEN "add_to_cart_1d__credit" END AS TIMESTAMPTZ) AS "add_to_cart_1d__at",
  CAST("purchase_7d" AS TINYINT) AS "purchase_7d",
  "purchase_7d__status",
  CAST(CASE WHEN "purchase_7d__status" = 'observed' THEN "purchase_7d__credit" END AS TIMESTAMPTZ) AS "purchase_7d__at",
  CAST("return_30d" AS TINYINT) AS "return_30d",
  "return_30d__status",
  CAST(CASE WHEN "return_30d__status" = 'observed' THEN "return_30d__credit" END AS TIMESTAMPTZ) AS "return_30d__at",
  CAST("hide_7d" AS TINYINT) AS "hide_7d",
  "hide_7d__status",
  CAST(CASE WHEN "hide_7d__status" = 'observed' THEN "hide_7d__credit" END AS TIMESTAMPTZ) AS "hide_7d__at",
  CAST("report_7d" AS TINYINT) AS "report_7d",
  "report_7d__status",
  CAST(CASE WHEN "report_7d__status" = 'observed' THEN "report_7d__credit" END AS TIMESTAMPTZ) AS "report_7d__at",
  CAST("survey_happy_14d" AS TINYINT) AS "survey_happy_14d",
  "survey_happy_14d__status",
  CAST(CASE
    WHEN "survey_happy_14d__status" = 'observed'
    THEN "survey_happy_14d__credit"
  END AS TIMESTAMPTZ) AS "survey_happy_14d__at",
  CAST("satisfied_7d" AS TINYINT) AS "satisfied_7d",
  "satisfied_7d__status",
  CAST(NULL AS TIMESTAMPTZ) AS "satisfied_7d__at",
  CAST("dwell_seconds_1d" AS DOUBLE) AS "dwell_seconds_1d",
  "dwell_seconds_1d__status",
  CAST(NULL AS TIMESTAMPTZ) AS "dwell_seconds_1d__at"
FROM "labels_1"
