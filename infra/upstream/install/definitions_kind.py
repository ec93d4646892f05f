"""What `slipway:upstream:CustomResourceDefinitions` means: apply, wait, compare, delete."""

from collections.abc import Mapping, Sequence

from infra.upstream import object_store
from infra.upstream.install.connected import CONNECTION, ConnectedInputs
from infra.upstream.install.definitions_api import DefinitionsApi
from slipway.core.report import Report
from slipway.provider.kinds import Change, Made, Properties, model_faults


class DefinitionsInputs(ConnectedInputs):
    """The program's inputs."""

    part: str
    definitions: Mapping[str, str]
    """SHA-256 of the canonical object by the definition's name."""


class DefinitionsKind:
    """The definitions of one part, as one resource."""

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        return model_faults(DefinitionsInputs, inputs)

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return dict(inputs)

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: by digest, without a request; another kubeconfig is kept for the deletion."""
        before, after = old.get("definitions") or {}, new["definitions"]
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return [
            *(Change(f'definitions["{name}"]', why=_why(name, before, after)) for name in changed),
            *(Change(path) for path in CONNECTION if old.get(path) != new.get(path)),
            *([Change("part", replaces=True)] if old.get("part") != new["part"] else []),
        ]

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind: without those that are missing or that another writer changed."""
        known = DefinitionsInputs.model_validate(inputs)
        with known.opened() as opened:
            api = DefinitionsApi(opened)
            same = {
                name: digest
                for name, digest in known.definitions.items()
                # A shared state may be read on a machine that has never rendered the definition.
                if api.is_applied(name, object_store.get(digest) if object_store.has(digest) else None)
            }
            if not same and not any(api.exists(name) for name in known.definitions):
                return None
        found = known.model_copy(update={"definitions": same})
        return found.made(found.part, matching=found.model_dump(exclude_none=True))

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind: refuses definitions of another maker before it changes one."""
        wanted = DefinitionsInputs.model_validate(inputs)
        contents = {name: object_store.get(digest) for name, digest in wanted.definitions.items()}
        obsolete = [name for name in (before or {}).get("definitions") or {} if name not in contents]
        with wanted.opened() as opened:
            api = DefinitionsApi(opened)
            api.refuse_foreign(contents)
            api.refuse_used(obsolete)
            for name, content in contents.items():
                report(f"applying {name}")
                api.apply(name, content)
            api.wait_established(contents, report)
            api.delete(obsolete)
        return wanted.made(wanted.part)

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind: refuses while objects of their kinds exist, which the API server would delete too."""
        known = DefinitionsInputs.model_validate(outputs)
        with known.opened() as opened:
            api = DefinitionsApi(opened)
            api.refuse_used(known.definitions)
            report(f"deleting {len(known.definitions)} definitions of {known.part}")
            api.delete(known.definitions)

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind: some may be there."""
        left = DefinitionsInputs.model_validate(inputs)
        return left.made(left.part)


def _why(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    if name not in before:
        return f"{name} will be created"
    return f"{name} will be changed" if name in after else f"{name} will be deleted"
