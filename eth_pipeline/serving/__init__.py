"""The inference service: the verified production bundle behind MLflow's scoring protocol."""
