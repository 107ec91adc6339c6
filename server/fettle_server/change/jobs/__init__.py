"""Jobs: one manifest for one endpoint, as a durable intent that always says why it has not run yet."""
