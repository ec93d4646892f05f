"""Programs that run as Jobs in the cluster. They don't import Pulumi, which their image does not contain."""
