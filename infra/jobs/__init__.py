"""Programs that run as Jobs in the cluster. They load no Pulumi: their image has none."""
