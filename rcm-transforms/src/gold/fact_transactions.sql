-- One row for each current transaction. Each join meets at most one row: dimension keys are unique.
SELECT
    t.hospital || '/' || t.transaction_id AS transaction_key,
    t.hospital,
    t.transaction_id,
    COALESCE(p.patient_key, 'unknown') AS patient_key,
    COALESCE(v.provider_key, 'unknown') AS provider_key,
    COALESCE(d.department_key, 'unknown') AS department_key,
    COALESCE(c.cpt_code, 'unknown') AS cpt_code,
    t.encounter_id,
    t.claim_id,
    t.visit_date,
    t.service_date,
    t.paid_date,
    t.visit_type,
    t.amount,
    t.amount_type,
    t.paid_amount,
    t.payor_id,
    t.procedure_code,
    t.icd_code,
    t.line_of_business
FROM silver.transactions AS t
LEFT JOIN gold.dim_patient AS p ON p.patient_key = t.hospital || '/' || t.patient_id
LEFT JOIN gold.dim_provider AS v ON v.provider_key = t.hospital || '/' || t.provider_id
LEFT JOIN gold.dim_department AS d ON d.department_key = t.hospital || '/' || t.department_id
LEFT JOIN gold.dim_cpt_code AS c ON c.cpt_code = t.procedure_code
ORDER BY transaction_key
