-- The procedure codes that the hospitals loaded, shared by all of them.
SELECT cpt_code, category, description, status, surrogate_key
FROM silver.cpt_codes
UNION ALL
SELECT 'unknown', CAST(NULL AS VARCHAR), 'Unknown procedure', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR)
ORDER BY cpt_code
