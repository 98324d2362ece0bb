"""Configuration as text: what each program of the cluster is told."""

import configparser
import json
import tomllib
from pathlib import Path

from stack import cluster_config, network, registry, s3, supervisor
from stack.supervisor import Program
from stack.toolchain import Toolchain

TOOLS = Toolchain(Path("/cache/kubernetes/bin"), Path("/cache/node/bin"))
EVERYWHERE = ("0.0.0.0", "[::]", "--bind-address=:")


def every_command():
    programs = cluster_config.programs(TOOLS, {"*": ()})
    programs += s3.programs(Path("/venv"), TOOLS.node / "forward", ())
    return {program.name: " ".join(map(str, program.command)) for program in programs}


def test_containerd_configuration_is_read_back():
    written = tomllib.loads(cluster_config.containerd(TOOLS, "10.231.0.1:5000/pause:1"))
    runtime = written["plugins"]["io.containerd.cri.v1.runtime"]
    assert written["version"] == 3
    assert runtime["restrict_oom_score_adj"] is True
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/cache/node/bin/runc"
    assert written["plugins"]["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": "10.231.0.1:5000/pause:1"}


def test_registry_asks_for_the_stacks_client_certificate():
    written = json.loads(registry.configuration())
    assert written["http"]["addr"] == "10.231.0.1:5000"
    assert written["http"]["tls"]["clientcas"] == ["/run/loomworks/pki/ca.crt"]
    hosts = tomllib.loads(cluster_config.registry_hosts("10.231.0.1:5000"))
    assert hosts["host"]["https://10.231.0.1:5000"]["client"] == [
        ["/run/loomworks/pki/registry-client.crt", "/run/loomworks/pki/registry-client.key"]
    ]


def test_nothing_listens_on_every_address():
    for name, command in every_command().items():
        assert not any(address in command for address in EVERYWHERE), name


def test_kubelet_keeps_to_the_bridge_and_to_its_own_control_group():
    written = json.loads(cluster_config.kubelet())
    assert (written["address"], written["healthzBindAddress"]) == ("10.231.0.1", "127.0.0.1")
    assert written["cgroupRoot"] == "/loomworks"
    assert written["makeIPTablesUtilChains"] is False


def test_pods_have_wires_of_their_own():
    (wire,) = json.loads(network.cni_configuration())["plugins"]
    assert wire["type"] == "ptp"
    assert wire["ipam"]["ranges"][0][0]["gateway"] == "10.231.0.1"


def test_pods_get_only_name_servers_that_they_can_reach(tmp_path):
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\nsearch example\n")
    real.write_text("nameserver 192.0.2.1\nnameserver 127.0.0.1\n")
    assert network.resolver_configuration((stub, real)) == "nameserver 192.0.2.1\n"


def test_supervisor_reads_back_what_was_written(tmp_path):
    used = tmp_path / "file"
    used.write_text("one")
    program = Program("one", ("/bin/pro gram", "100%", 'a "word"'), {"NAME": "50%"}, (used,), "INT", 3)
    text = supervisor.configuration([program], Path("/logs"), Path("/run/here"))
    read = configparser.RawConfigParser()
    read.read_string(text)
    section = read["program:one"]
    assert section["command"] == '"/bin/pro gram" "100%%" "a \\"word\\""'
    assert section["environment"].startswith('NAME="50%%",LOOMWORKS_USES="')
    assert (section["stopsignal"], section["stopwaitsecs"]) == ("INT", "3")
    assert section["stdout_logfile"] == "/logs/one.log"


def test_changed_file_changes_the_program(tmp_path):
    used = tmp_path / "file"
    used.write_text("one")
    program = Program("one", ("/bin/true",), uses=(used,))
    before = program.section(Path("/logs"))
    used.write_text("two")
    assert program.section(Path("/logs")) != before
