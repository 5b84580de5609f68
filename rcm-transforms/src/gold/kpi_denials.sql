-- Denied claims and all claims, by payer.
SELECT
    payor_id AS payer,
    COUNT(*) FILTER (WHERE claim_status = 'Denied') AS denied,
    COUNT(*) AS claims
FROM gold.fact_claims
GROUP BY payor_id
ORDER BY payer
