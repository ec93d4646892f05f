"""Kubeflow's community distribution, the source of several parts. Pure."""

from typing import Final

from infra.upstream.part import Source

NAME: Final = "community-distribution"


def distribution(*folders: str) -> Source:
    """Return the release 26.03.1 of the distribution, with the folders that a part uses.

    It has no tag; the commit is of the branch release-26.03.1 as of 2026-11-28.
    """
    return Source(
        name=NAME,
        repository="https://github.com/kubeflow/community-distribution",
        commit="0d1a00306501ebaf2a0edc121656752b3deeba57",
        folders=folders,
    )
