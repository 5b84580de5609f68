-- One row for each patient; names, SSN, phone and address never leave silver.
SELECT
    hospital || '/' || patient_id AS patient_key,
    hospital,
    patient_id,
    gender,
    date_of_birth,
    surrogate_key
FROM silver.patients
UNION ALL
SELECT 'unknown', CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS DATE), CAST(NULL AS VARCHAR)
ORDER BY patient_key
