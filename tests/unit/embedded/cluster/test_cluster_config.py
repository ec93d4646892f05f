import json
import tomllib
from pathlib import Path

import pytest
import yaml

from embedded.cluster import bootstrap, config
from embedded.cluster.api import url_of
from embedded.cluster.components import BINARIES, components
from embedded.cluster.paths import ClusterPaths
from embedded.cluster.pki import Pki, leaves
from embedded.cluster.supervisor import MAX_BACKOFF, STOP_ORDER, backoff
from embedded.instance import Instance


@pytest.fixture
def paths(tmp_path):
    instance = Instance("mine", data_root=tmp_path / "data", run_root=tmp_path / "run")
    instance.allocate(lambda number: None)
    return ClusterPaths(instance)


def rows(paths):
    return components(paths, {name: Path("/bin") / tool for name, tool in BINARIES.items()})


def test_containerd_uses_the_instances_folders(paths):
    parsed = tomllib.loads(config.containerd(paths, "slipway.local/pause:1"))
    for path in (parsed["root"], parsed["state"], parsed["grpc"]["address"]):
        assert paths.instance.name in Path(path).parts
    cri = parsed["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "slipway.local/pause:1"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["registry"]["config_path"] == str(paths.registries)
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


def test_pods_get_addresses_of_the_slice_and_no_masquerading(paths):
    [plugin] = json.loads(config.cni(paths))["plugins"]
    assert plugin["type"] == "ptp"
    assert plugin["ipMasq"] is False
    assert plugin["ipam"]["ranges"] == [[{"subnet": str(paths.instance.addresses.pods)}]]


def test_kubelet_requires_authentication_and_has_a_cgroup(paths):
    parsed = yaml.safe_load(config.kubelet(paths, "/mine/pods"))
    assert parsed["authentication"]["anonymous"] == {"enabled": False}
    assert parsed["authorization"] == {"mode": "Webhook"}
    assert (parsed["cgroupRoot"], parsed["cgroupsPerQOS"]) == ("/mine/pods", True)
    assert parsed["clusterDNS"] == [str(paths.instance.addresses.dns_service)]
    assert parsed["imageGCHighThresholdPercent"] == 100


def test_proxy_uses_nftables_and_not_conntrack_settings(paths):
    parsed = yaml.safe_load(config.proxy(paths))
    assert parsed["mode"] == "nftables"
    assert parsed["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_dns_has_no_upstream(paths):
    text = config.corefile(paths)
    assert "forward" not in text
    assert "rcode NXDOMAIN" in text


def test_secrets_are_encrypted_and_plain_text_is_readable():
    parsed = yaml.safe_load(config.encryption(b"k" * 32))
    [rule] = parsed["resources"]
    assert rule["resources"] == ["secrets"]
    assert [next(iter(p)) for p in rule["providers"]] == ["secretbox", "identity"]


def test_a_kubeconfig_embeds_its_credentials(paths):
    instance = paths.instance
    required = leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    Pki(paths.pki.folder).ensure(required)
    parsed = yaml.safe_load(config.kubeconfig(paths, "admin", "https://127.0.0.1:20000"))
    assert parsed["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:20000"
    assert set(parsed["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert parsed["current-context"] == "mine"


def test_every_component_depends_on_existing_ones(paths):
    table = {row.name: row for row in rows(paths)}
    for row in table.values():
        assert set(row.after) <= set(table)
        for needed in row.after:
            dependency = table[needed]
            assert dependency.listens or dependency.socket or dependency.healthy, (
                f"{needed} has no readiness probe"
            )


def test_every_component_is_stopped_once_and_etcd_last(paths):
    order = [name for names in STOP_ORDER for name in names]
    assert sorted(order) == sorted(row.name for row in rows(paths))
    assert order[0] == "kubelet"
    assert order.index("apiserver") < order.index("etcd") == len(order) - 1


def test_only_the_forwarder_is_in_the_machines_network(paths):
    assert [row.name for row in rows(paths) if row.network == "machine"] == ["forwards"]


def test_components_have_their_security_flags(paths):
    table = {row.name: " ".join(row.command) for row in rows(paths)}
    for flag in (
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        "--encryption-provider-config=",
        "--service-account-max-token-expiration=24h",
        "--service-account-extend-token-expiration=false",
        f"--service-cluster-ip-range={paths.instance.addresses.services}",
    ):
        assert flag in table["apiserver"]
    assert "unsafe-no-fsync" not in table["etcd"]
    assert "--client-cert-auth=true" in table["etcd"]


def test_no_argument_contains_a_key(paths):
    instance = paths.instance
    required = leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    Pki(paths.pki.folder).ensure(required)
    assert "PRIVATE KEY" not in "".join(row.model_dump_json() for row in rows(paths))


def test_the_backoff_grows_to_a_limit():
    pauses = [backoff(n) for n in range(100)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.5
    assert pauses[-1] == MAX_BACKOFF


def test_initial_objects_have_distinct_api_paths(paths):
    urls = {url_of(manifest) for manifest in bootstrap.objects(paths)}
    assert "/apis/storage.k8s.io/v1/storageclasses/standard" in urls
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in urls
    assert len(urls) == len(bootstrap.objects(paths))


def test_our_processes_have_least_privilege(paths):
    rules = {
        manifest["metadata"]["name"]: manifest["rules"]
        for manifest in bootstrap.objects(paths)
        if manifest["kind"] == "ClusterRole"
    }
    assert set(rules) == {"slipway:coredns", "slipway:volumes", "slipway:forwards"}
    for verbs in (rule["verbs"] for parsed in rules.values() for rule in parsed):
        assert "*" not in verbs
    assert rules["slipway:forwards"] == [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}]
