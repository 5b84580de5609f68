-- Open balances (amount above paid amount) by age from the service date to as_of. A band without any is shown as 0;
-- what has no service date has no age, and is shown as undated where there is any.
WITH open AS (
    SELECT
        CASE
            WHEN t.service_date IS NULL THEN 'undated'
            WHEN t.service_date >= c.today - INTERVAL '30 days' THEN '0-30'
            WHEN t.service_date >= c.today - INTERVAL '60 days' THEN '31-60'
            WHEN t.service_date >= c.today - INTERVAL '90 days' THEN '61-90'
            ELSE '90+'
        END AS band,
        t.amount - COALESCE(t.paid_amount, 0) AS balance
    FROM gold.fact_transactions AS t
    CROSS JOIN run.clock AS c
    WHERE t.amount > COALESCE(t.paid_amount, 0)
),

bands AS (
    SELECT column1 AS band FROM (VALUES ('0-30'), ('31-60'), ('61-90'), ('90+'), ('undated'))
)

SELECT
    b.band,
    COUNT(o.balance) AS transactions,
    CAST(COALESCE(SUM(o.balance), 0) AS DECIMAL(38, 2)) AS outstanding,
    c.as_of
FROM bands AS b
CROSS JOIN run.clock AS c
LEFT JOIN open AS o ON o.band = b.band
GROUP BY b.band, c.as_of
HAVING b.band <> 'undated' OR COUNT(o.balance) > 0
ORDER BY band
