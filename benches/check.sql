-- Maps our lake to the names that the peers' check.py reads (its head says what is allowed: renames, casts, joined keys, filters).
-- benches/e2e.py copies this file into the lake; check.py runs it over views such as silver_patients, quarantine_patients, gold_dim_patient.
-- Dates: check.py compares days, our valid times are midnights in UTC. The unknown member of a dimension is ours: it is left out,
-- and where a fact or a KPI points to it, the peers have NULL.

-- silver: a row of quarantine stands for the current, quarantined version that the peers keep in silver
CREATE VIEW chk.silver_patients AS
SELECT hospital || '/' || patient_id AS Patient_Key, patient_id AS SRC_PatientID, first_name AS FirstName, last_name AS LastName,
       middle_name AS MiddleName, ssn AS SSN, phone_number AS PhoneNumber, gender AS Gender, date_of_birth AS DOB, address AS Address,
       modified_date AS SRC_ModifiedDate, hospital AS datasource, is_quarantined,
       CAST(valid_from AS DATE) AS valid_from, CAST(valid_to AS DATE) AS valid_to, is_current
FROM silver_patients
UNION ALL
SELECT hospital || '/' || patient_id, patient_id, first_name, last_name,
       middle_name, ssn, phone_number, gender, date_of_birth, address,
       modified_date, hospital, is_quarantined,
       modified_date, CAST(NULL AS DATE), true
FROM quarantine_patients;

CREATE VIEW chk.silver_encounters AS
SELECT hospital || '/' || encounter_id AS EncounterKey, encounter_id AS SRC_EncounterID, patient_id AS PatientID,
       encounter_date AS EncounterDate, encounter_type AS EncounterType, provider_id AS ProviderID, department_id AS DepartmentID,
       procedure_code AS ProcedureCode, inserted_date AS SRC_InsertedDate, modified_date AS SRC_ModifiedDate, hospital AS datasource,
       is_quarantined, CAST(valid_from AS DATE) AS valid_from, CAST(valid_to AS DATE) AS valid_to, is_current
FROM silver_encounters;

CREATE VIEW chk.silver_transactions AS
SELECT hospital || '/' || transaction_id AS TransactionKey, transaction_id AS SRC_TransactionID, encounter_id AS EncounterID,
       patient_id AS PatientID, provider_id AS ProviderID, department_id AS DeptID, visit_date AS VisitDate, service_date AS ServiceDate,
       paid_date AS PaidDate, visit_type AS VisitType, amount AS Amount, amount_type AS AmountType, paid_amount AS PaidAmount,
       claim_id AS ClaimID, payor_id AS PayorID, procedure_code AS ProcedureCode, icd_code AS ICDCode, line_of_business AS LineOfBusiness,
       medicaid_id AS MedicaidID, medicare_id AS MedicareID, inserted_date AS SRC_InsertDate, modified_date AS SRC_ModifiedDate,
       hospital AS datasource, is_quarantined,
       CAST(valid_from AS DATE) AS valid_from, CAST(valid_to AS DATE) AS valid_to, is_current
FROM silver_transactions;

CREATE VIEW chk.silver_claims AS
SELECT hospital || '/' || claim_id AS ClaimKey, claim_id AS SRC_ClaimID, transaction_id AS TransactionID, patient_id AS PatientID,
       encounter_id AS EncounterID, provider_id AS ProviderID, department_id AS DeptID, service_date AS ServiceDate,
       claim_date AS ClaimDate, payor_id AS PayorID, claim_amount AS ClaimAmount, paid_amount AS PaidAmount, claim_status AS ClaimStatus,
       payor_type AS PayorType, deductible AS Deductible, coinsurance AS Coinsurance, copay AS Copay, inserted_date AS SRC_InsertDate,
       modified_date AS SRC_ModifiedDate, hospital AS datasource, is_quarantined,
       CAST(valid_from AS DATE) AS valid_from, CAST(valid_to AS DATE) AS valid_to, is_current
FROM silver_claims;

-- the peers hold no history of these three
CREATE VIEW chk.silver_providers AS
SELECT provider_id AS ProviderID, first_name AS FirstName, last_name AS LastName, specialization AS Specialization,
       department_id AS DeptID, npi AS NPI, hospital AS datasource, is_quarantined
FROM silver_providers WHERE is_current;

CREATE VIEW chk.silver_departments AS
SELECT hospital || '/' || department_id AS Dept_Id, department_id AS SRC_Dept_Id, name AS Name, hospital AS datasource, is_quarantined
FROM silver_departments WHERE is_current;

CREATE VIEW chk.silver_cptcodes AS
SELECT cpt_code AS cpt_codes, category AS procedure_code_category, description AS procedure_code_descriptions, status AS code_status,
       is_quarantined
FROM silver_cpt_codes WHERE is_current;

-- gold: dimensions without their unknown member
CREATE VIEW chk.dim_patient AS
SELECT patient_key AS Patient_Key, patient_id AS SRC_PatientID, gender AS Gender, date_of_birth AS DOB, hospital AS datasource
FROM gold_dim_patient WHERE patient_key <> 'unknown';

CREATE VIEW chk.dim_provider AS
SELECT provider_key AS ProviderID, first_name AS FirstName, last_name AS LastName, NULLIF(department_key, 'unknown') AS DeptID,
       npi AS NPI, hospital AS datasource
FROM gold_dim_provider WHERE provider_key <> 'unknown';

CREATE VIEW chk.dim_department AS
SELECT department_key AS Dept_Id, department_id AS SRC_Dept_Id, department AS Name, hospital AS datasource
FROM gold_dim_department WHERE department_key <> 'unknown';

CREATE VIEW chk.dim_cpt_code AS
SELECT cpt_code AS cpt_codes, category AS procedure_code_category, description AS procedure_code_descriptions, status AS code_status
FROM gold_dim_cpt_code WHERE cpt_code <> 'unknown';

-- gold: facts
CREATE VIEW chk.fact_transactions AS
SELECT transaction_key AS TransactionID, transaction_id AS SRC_TransactionID, encounter_id AS EncounterID,
       NULLIF(patient_key, 'unknown') AS FK_PatientID, NULLIF(provider_key, 'unknown') AS FK_ProviderID,
       NULLIF(department_key, 'unknown') AS FK_DeptID, icd_code AS ICDCode, procedure_code AS ProcedureCode, visit_type AS VisitType,
       service_date AS ServiceDate, paid_date AS PaidDate, amount AS Amount, paid_amount AS PaidAmount, amount_type AS AmountType,
       claim_id AS ClaimID, hospital AS datasource
FROM gold_fact_transactions;

CREATE VIEW chk.fact_encounters AS
SELECT encounter_key AS EncounterID, encounter_id AS SRC_EncounterID,
       NULLIF(patient_key, 'unknown') AS FK_PatientID, NULLIF(provider_key, 'unknown') AS FK_ProviderID,
       NULLIF(department_key, 'unknown') AS FK_DeptID, encounter_date AS EncounterDate, encounter_type AS EncounterType,
       procedure_code AS ProcedureCode, hospital AS datasource
FROM gold_fact_encounters;

CREATE VIEW chk.fact_claims AS
SELECT claim_key AS ClaimID, claim_id AS SRC_ClaimID, hospital || '/' || transaction_id AS FK_TransactionID,
       NULLIF(patient_key, 'unknown') AS FK_PatientID, NULLIF(provider_key, 'unknown') AS FK_ProviderID,
       NULLIF(department_key, 'unknown') AS FK_DeptID, service_date AS ServiceDate, claim_date AS ClaimDate, payor_id AS PayorID,
       claim_amount AS ClaimAmount, paid_amount AS PaidAmount, claim_status AS ClaimStatus, payor_type AS PayorType,
       deductible AS Deductible, coinsurance AS Coinsurance, copay AS Copay, hospital AS datasource
FROM gold_fact_claims;

-- gold: KPIs
CREATE VIEW chk.kpi_provider_charges AS
SELECT NULLIF(provider, 'Unknown provider') AS provider, NULLIF(department, 'Unknown department') AS department, amount
FROM gold_kpi_provider_charges;

-- the peers ask for service dates of one year
CREATE VIEW chk.kpi_provider_month AS
SELECT NULLIF(provider, 'Unknown provider') AS provider, NULLIF(department, 'Unknown department') AS department, month, amount, paid_amount
FROM gold_kpi_provider_month WHERE month BETWEEN '202401' AND '202412';

-- the peers have no row for an empty band
CREATE VIEW chk.kpi_ar_aging AS
SELECT band, transactions, outstanding FROM gold_kpi_ar_aging WHERE transactions > 0;

CREATE VIEW chk.kpi_denials AS
SELECT payer, denied, claims FROM gold_kpi_denials;
