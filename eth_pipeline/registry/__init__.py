"""From candidate to production: gates, decision, signed bundle, MLflow, local copy."""
