-- errors: what failed, by component and type.
-- inputs: operations
-- grain: one row per (component, provider, error_type) with at least one failed operation.
SELECT component, provider, coalesce(error_type, '_OTHER') AS error_type, count(*) AS errors
FROM operations
WHERE failed
GROUP BY component, provider, coalesce(error_type, '_OTHER')
ORDER BY errors DESC, component, provider, error_type
