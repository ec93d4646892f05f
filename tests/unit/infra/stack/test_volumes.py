"""What settings may want of volumes that are there already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings.models import LocalSettings
from infra.stack.volumes import (
    GIB,
    ExistingClaim,
    differ,
    in_bytes,
    refuse_layout,
    refuse_volumes,
    wanted_claims,
)
from slipway.core.errors import UsageError

FILE = "Pulumi.local.yaml"
KFP = ("kubeflow", "ml-pipeline-data")
STORE = ("slipway-store", "data-minio-0")


def settings(**changes):
    """Settings of no environment in particular: what is compared is common to all."""
    made = LocalSettings.model_validate({"environment": "local"})
    parts = {
        name: type(getattr(made, name)).model_validate(values, strict=False)
        for name, values in changes.items()
    }
    return made.model_copy(update=parts)


def held(gib=2, storage_class="standard", **changes):
    return ExistingClaim(
        **{"requested": gib * GIB, "capacity": gib * GIB, "storage_class": storage_class, **changes}
    )


def refuse(platform, there, *, grows=True, **more):
    refuse_volumes(wanted_claims(platform), there, lambda name: grows, FILE, **more)


def refusal(*arguments, **named):
    with pytest.raises(UsageError) as caught:
        refuse(*arguments, **named)
    return caught.value


def test_every_claim_of_the_program_is_known():
    four = settings(store={"nodes": 4, "drives_per_node": 2, "size_gib": 7})
    assert {each.place: each.gib for each in wanted_claims(four)} == {
        KFP: 2,
        **{("slipway-store", f"data{drive}-minio-{node}"): 7 for node in range(4) for drive in range(2)},
    }


@pytest.mark.parametrize(
    ("changes", "place"), [({"kfp": {"size_gib": 4}}, KFP), ({"store": {"size_gib": 4}}, STORE)]
)
def test_a_volume_grows_where_its_class_allows_it(changes, place):
    refuse(settings(**changes), {place: held(2)}, grows=True)
    error = refusal(settings(**changes), {place: held(2)}, grows=False)
    setting = f"{next(iter(changes))}.size_gib"
    assert error.what == f"{FILE}: {setting}: volume {'/'.join(place)} can't grow from 2 to 4 GiB."
    assert error.why == "Its StorageClass standard does not allow volumes to grow."
    assert error.fix.startswith(
        "Allow it there if its driver can (allowVolumeExpansion: true), set size_gib: 2"
    )


def test_a_class_that_nobody_names_can_grow_nothing():
    error = refusal(settings(kfp={"size_gib": 4}), {KFP: held(2, None)}, grows=False)
    assert "StorageClass (none)" in error.why


@pytest.mark.parametrize("grows", [True, False])
def test_no_volume_shrinks(grows):
    error = refusal(settings(kfp={"size_gib": 1}), {KFP: held(2)}, grows=grows)
    assert (
        error.what == f"{FILE}: kfp.size_gib: volume kubeflow/ml-pipeline-data can't shrink from 2 to 1 GiB."
    )
    assert error.fix.startswith("Set size_gib: 2, or move the data")


def test_an_unbound_volume_keeps_its_size_for_now():
    there = {KFP: held(2, bound=False)}
    assert "not bound yet" in refusal(settings(kfp={"size_gib": 4}), there).why
    refuse(settings(), there)


def test_a_volume_larger_than_requested_is_accepted():
    rounded = {KFP: held(2, capacity=10 * GIB)}
    refuse(settings(), rounded, grows=False)
    refuse(settings(kfp={"size_gib": 4}), rounded)


def test_a_failed_growth_may_be_taken_back():
    growing = {KFP: held(20, capacity=2 * GIB)}
    refuse(settings(kfp={"size_gib": 4}), growing, grows=False)
    assert "can't shrink" in refusal(settings(kfp={"size_gib": 2}), growing).what


def test_another_storage_class_is_refused():
    fast = settings(store={"storage_class": "fast"})
    error = refusal(fast, {STORE: held(10, "standard")})
    assert error.what.startswith(f"{FILE}: store.storage_class: volume slipway-store/data-minio-0 is of")
    assert "Set storage_class: standard" in error.fix
    refuse(fast, {STORE: held(10, "fast")})
    refuse(settings(), {STORE: held(10, "standard")})
    refuse(fast, {STORE: held(10, None)}, grows=False)


def test_what_is_still_to_be_made_may_have_any_size():
    refuse(settings(kfp={"size_gib": 1024}, store={"size_gib": 1}), {}, grows=False)


def test_only_a_difference_is_worth_a_look_at_the_cluster():
    wanted = wanted_claims(settings())
    same = {KFP: held(2), STORE: held(10)}
    assert not differ(wanted, same)
    assert not differ(wanted, {})
    assert differ(wanted, {**same, KFP: held(3)})
    assert differ(wanted_claims(settings(store={"storage_class": "fast"})), same)


def test_a_live_claim_and_its_declaration_are_read_alike():
    spec = {"resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "standard"}
    status = {"phase": "Bound", "capacity": {"storage": "2Gi"}}
    assert ExistingClaim.of({"spec": spec}) == ExistingClaim.of({"spec": spec, "status": status}) == held(2)
    pending = ExistingClaim.of({"spec": spec, "status": {"phase": "Pending"}})
    assert pending == held(2, bound=False)


@given(st.integers(1, 65536))
def test_sizes_of_settings_are_read_as_they_are_written(gib):
    assert in_bytes(f"{gib}Gi") == gib * GIB


@pytest.mark.parametrize(("text", "size"), [("2048Mi", 2 * GIB), ("1Ti", 1024 * GIB), ("2G", 2 * 10**9)])
def test_quantities_that_others_write_are_read_too(text, size):
    assert in_bytes(text) == size


def test_a_store_keeps_its_nodes_and_drives():
    server = {"spec": {"replicas": 4, "volumeClaimTemplates": [{}, {}]}}
    fits = settings(store={"nodes": 4, "drives_per_node": 2}).store
    refuse_layout(fits, server, FILE)
    for other in ({"nodes": 8, "drives_per_node": 2}, {"nodes": 4}, {}):
        with pytest.raises(
            UsageError,
            match=r"made with nodes: 4 and drives_per_node: 2.*Set nodes: 4 and drives_per_node: 2",
        ):
            refuse_layout(settings(store=other).store, server, FILE)
