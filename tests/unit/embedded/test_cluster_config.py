import json
import tomllib
from pathlib import Path

import pytest
import yaml

from embedded.cluster import bootstrap, config
from embedded.cluster.api import url_of
from embedded.cluster.components import BINARIES, components
from embedded.cluster.pki import Pki, leaves
from embedded.cluster.places import Places
from embedded.cluster.supervisor import LONGEST_PAUSE, STOP_ORDER, pause_after
from embedded.instance import Instance


@pytest.fixture
def places(tmp_path):
    instance = Instance("mine", data_root=tmp_path / "data", run_root=tmp_path / "run")
    instance.allocate(lambda number: None)
    return Places(instance)


def rows(places):
    return components(places, {name: Path("/bin") / tool for name, tool in BINARIES.items()})


def test_containerd_keeps_everything_in_the_instances_folders(places):
    held = tomllib.loads(config.containerd(places, "slipway.local/pause:1"))
    for path in (held["root"], held["state"], held["grpc"]["address"]):
        assert places.instance.name in Path(path).parts
    cri = held["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "slipway.local/pause:1"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


def test_pods_get_addresses_of_the_slice_and_no_masquerading(places):
    [plugin] = json.loads(config.cni(places))["plugins"]
    assert plugin["type"] == "ptp"
    assert plugin["ipMasq"] is False
    assert plugin["ipam"]["ranges"] == [[{"subnet": str(places.instance.addresses.pods)}]]


def test_the_kubelet_asks_for_credentials_and_stays_in_its_cgroup(places):
    held = yaml.safe_load(config.kubelet(places, "/mine/pods"))
    assert held["authentication"]["anonymous"] == {"enabled": False}
    assert held["authorization"] == {"mode": "Webhook"}
    assert (held["cgroupRoot"], held["cgroupsPerQOS"]) == ("/mine/pods", True)
    assert held["clusterDNS"] == [str(places.instance.addresses.dns_service)]
    assert held["imageGCHighThresholdPercent"] == 100


def test_proxy_uses_nftables_and_leaves_the_conntrack_table_alone(places):
    held = yaml.safe_load(config.proxy(places))
    assert held["mode"] == "nftables"
    assert held["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_dns_has_no_upstream(places):
    text = config.corefile(places)
    assert "forward" not in text
    assert "rcode NXDOMAIN" in text


def test_secrets_are_encrypted_first_and_read_either_way():
    held = yaml.safe_load(config.encryption(b"k" * 32))
    [rule] = held["resources"]
    assert rule["resources"] == ["secrets"]
    assert [next(iter(p)) for p in rule["providers"]] == ["secretbox", "identity"]


def test_a_kubeconfig_carries_its_credentials_itself(places):
    instance = places.instance
    wanted = leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    Pki(places.pki.folder).ensure(wanted)
    held = yaml.safe_load(config.kubeconfig(places, "admin", "https://127.0.0.1:20000"))
    assert held["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:20000"
    assert set(held["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert held["current-context"] == "mine"


def test_every_component_waits_for_components_that_there_are(places):
    table = {row.name: row for row in rows(places)}
    for row in table.values():
        assert set(row.after) <= set(table)
        for needed in row.after:
            gate = table[needed]
            assert gate.listens or gate.socket or gate.healthy, f"{needed} never says that it answers"


def test_every_component_is_stopped_once_and_etcd_last(places):
    order = [name for names in STOP_ORDER for name in names]
    assert sorted(order) == sorted(row.name for row in rows(places))
    assert order[0] == "kubelet"
    assert order.index("apiserver") < order.index("etcd") == len(order) - 1


def test_only_the_forwarder_is_outside_of_the_clusters_network(places):
    assert [row.name for row in rows(places) if row.network == "machine"] == ["forwards"]


def test_the_components_are_told_what_they_must_be(places):
    table = {row.name: " ".join(row.command) for row in rows(places)}
    for flag in (
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        "--encryption-provider-config=",
        "--service-account-max-token-expiration=24h",
        "--service-account-extend-token-expiration=false",
        f"--service-cluster-ip-range={places.instance.addresses.services}",
    ):
        assert flag in table["apiserver"]
    assert "unsafe-no-fsync" not in table["etcd"]
    assert "--client-cert-auth=true" in table["etcd"]


def test_no_argument_holds_a_key(places):
    instance = places.instance
    wanted = leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    Pki(places.pki.folder).ensure(wanted)
    assert "PRIVATE KEY" not in "".join(row.model_dump_json() for row in rows(places))


def test_the_pause_between_starts_grows_to_a_limit():
    pauses = [pause_after(n) for n in range(100)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.5
    assert pauses[-1] == LONGEST_PAUSE


def test_the_first_objects_have_addresses_of_the_api(places):
    made = {url_of(manifest) for manifest in bootstrap.objects(places)}
    assert "/apis/storage.k8s.io/v1/storageclasses/standard" in made
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in made
    assert len(made) == len(bootstrap.objects(places))


def test_our_own_processes_may_do_only_what_they_do(places):
    rules = {
        manifest["metadata"]["name"]: manifest["rules"]
        for manifest in bootstrap.objects(places)
        if manifest["kind"] == "ClusterRole"
    }
    assert set(rules) == {"slipway:coredns", "slipway:volumes", "slipway:forwards"}
    for verbs in (rule["verbs"] for held in rules.values() for rule in held):
        assert "*" not in verbs
    assert rules["slipway:forwards"] == [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}]
