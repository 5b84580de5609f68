-- One row for each current encounter. Each join meets at most one row: dimension keys are unique.
SELECT
    e.hospital || '/' || e.encounter_id AS encounter_key,
    e.hospital,
    e.encounter_id,
    COALESCE(p.patient_key, 'unknown') AS patient_key,
    COALESCE(v.provider_key, 'unknown') AS provider_key,
    COALESCE(d.department_key, 'unknown') AS department_key,
    COALESCE(c.cpt_code, 'unknown') AS cpt_code,
    e.encounter_date,
    e.encounter_type,
    e.procedure_code
FROM silver.encounters AS e
LEFT JOIN gold.dim_patient AS p ON p.patient_key = e.hospital || '/' || e.patient_id
LEFT JOIN gold.dim_provider AS v ON v.provider_key = e.hospital || '/' || e.provider_id
LEFT JOIN gold.dim_department AS d ON d.department_key = e.hospital || '/' || e.department_id
LEFT JOIN gold.dim_cpt_code AS c ON c.cpt_code = e.procedure_code
ORDER BY encounter_key
