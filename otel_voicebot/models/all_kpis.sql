-- all_kpis: every KPI of a report.
-- inputs: kpis, fcr, strict_containment, automation, mos, completion, cost_kpis
-- grain: one row per KPI; position orders them. provisional: what its window is still open for; null where it has none.
SELECT position * 10 AS position, name, unit, numerator, denominator, excluded, exclusion, NULL::BIGINT AS provisional, value FROM kpis
UNION ALL SELECT * FROM fcr
UNION ALL SELECT * FROM strict_containment
UNION ALL SELECT * FROM automation
UNION ALL SELECT * FROM mos
UNION ALL SELECT * FROM completion
UNION ALL SELECT * FROM cost_kpis
ORDER BY position
