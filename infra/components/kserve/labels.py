"""Labels of KServe's objects. Pure."""

from infra.names import PART_OF


def labels(component: str) -> dict[str, str]:
    """Return the labels of the objects of one component, such as `controller`."""
    return {
        **PART_OF,
        "app.kubernetes.io/name": "kserve",
        "app.kubernetes.io/component": component,
    }
