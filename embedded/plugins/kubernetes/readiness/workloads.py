"""Readiness of what runs pods. Pure."""

from embedded.plugins.kubernetes.readiness.verdict import (
    Failed,
    Object,
    Ready,
    Related,
    Verdict,
    Waiting,
    condition,
    is_observed,
    is_true,
    selector_text,
    words,
)


def deployment(live: Object, _related: Related) -> Verdict:
    """Judge a Deployment: every replica is of the new version and available."""
    if live["spec"].get("paused"):
        return Ready()
    if not is_observed(live):
        return Waiting("the controller has not seen it yet")
    status, wanted = live.get("status") or {}, live["spec"].get("replicas", 1)
    progress = condition(live, "Progressing")
    if progress.get("status") == "False":
        return Failed(words(progress, "it makes no progress"))
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return Waiting(f"{updated} of {wanted} replicas are of the new version")
    if status.get("replicas", 0) > updated:
        return Waiting(f"{status['replicas'] - updated} old replicas are still there")
    return Ready() if available >= wanted else Waiting(f"{available} of {wanted} replicas are available")


def stateful_set(live: Object, _related: Related) -> Verdict:
    """Judge a StatefulSet: every replica is of the new version and ready."""
    if not is_observed(live):
        return Waiting("the controller has not seen it yet")
    status, spec = live.get("status") or {}, live["spec"]
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if ready < wanted:
        return Waiting(f"{ready} of {wanted} replicas are ready")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Ready()
    expected = max(wanted - ((strategy.get("rollingUpdate") or {}).get("partition") or 0), 0)
    if status.get("updatedReplicas", 0) < expected:
        return Waiting(f"{status.get('updatedReplicas', 0)} of {expected} replicas are of the new version")
    return Ready()


def daemon_set(live: Object, _related: Related) -> Verdict:
    """Judge a DaemonSet: every node that should run it does."""
    if not is_observed(live):
        return Waiting("the controller has not seen it yet")
    status = live.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    on_delete = (live["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if not on_delete and status.get("updatedNumberScheduled", 0) < wanted:
        return Waiting(f"{status.get('updatedNumberScheduled', 0)} of {wanted} nodes have the new version")
    if status.get("numberAvailable", 0) < wanted:
        return Waiting(f"{status.get('numberAvailable', 0)} of {wanted} nodes have it available")
    return Ready()


def replica_set(live: Object, _related: Related) -> Verdict:
    """Judge a ReplicaSet: every replica is available."""
    wanted = live["spec"].get("replicas", 1)
    available = (live.get("status") or {}).get("availableReplicas", 0)
    if not is_observed(live) or available < wanted:
        return Waiting(f"{available} of {wanted} replicas are available")
    return Ready()


def job(live: Object, _related: Related) -> Verdict:
    """Judge a Job: it has finished. A suspended one is ready as it is."""
    if is_true(live, "Complete") or live["spec"].get("suspend"):
        return Ready()
    if is_true(live, "Failed"):
        return Failed(words(condition(live, "Failed"), "the job failed"))
    status = live.get("status") or {}
    return Waiting(
        f"{status.get('succeeded', 0)} of {live['spec'].get('completions', 1)} pods have succeeded, "
        f"{status.get('failed', 0)} have failed"
    )


def pod(live: Object, _related: Related) -> Verdict:
    """Judge a Pod: ready, or done if it is meant to end."""
    phase = (live.get("status") or {}).get("phase", "Pending")
    if phase == "Succeeded" or is_true(live, "Ready"):
        return Ready()
    if phase == "Failed":
        status = live["status"]
        return Failed(words(status, "the pod failed"))
    return Waiting(words(condition(live, "Ready"), f"the pod is {phase}"))


def selected(live: Object) -> str:
    """Return the selector of a workload's pods."""
    return selector_text(live["spec"].get("selector"))
