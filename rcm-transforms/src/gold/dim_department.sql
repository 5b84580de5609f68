-- One row for each department of a hospital, as it is now.
SELECT
    hospital || '/' || department_id AS department_key,
    hospital,
    department_id,
    name AS department,
    surrogate_key
FROM silver.departments
UNION ALL
SELECT 'unknown', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), 'Unknown department', CAST(NULL AS VARCHAR)
ORDER BY department_key
