-- One row for each current claim. Each join meets at most one row: dimension keys are unique.
SELECT
    c.hospital || '/' || c.claim_id AS claim_key,
    c.hospital,
    c.claim_id,
    c.transaction_id,
    c.encounter_id,
    COALESCE(p.patient_key, 'unknown') AS patient_key,
    COALESCE(v.provider_key, 'unknown') AS provider_key,
    COALESCE(d.department_key, 'unknown') AS department_key,
    c.service_date,
    c.claim_date,
    c.payor_id,
    c.payor_type,
    c.claim_status,
    c.claim_amount,
    c.paid_amount,
    c.deductible,
    c.coinsurance,
    c.copay
FROM silver.claims AS c
LEFT JOIN gold.dim_patient AS p ON p.patient_key = c.hospital || '/' || c.patient_id
LEFT JOIN gold.dim_provider AS v ON v.provider_key = c.hospital || '/' || c.provider_id
LEFT JOIN gold.dim_department AS d ON d.department_key = c.hospital || '/' || c.department_id
ORDER BY claim_key
