-- The codes of diagnoses, with the hierarchy in which they stand.
SELECT icd_code, description, is_billable, parent_code, category, code_system, release, surrogate_key
FROM silver.icd_codes
UNION ALL
SELECT 'unknown', 'Unknown diagnosis', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR),
       CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR)
ORDER BY icd_code
