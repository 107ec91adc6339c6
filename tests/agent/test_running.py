"""The whole agent as a process, against a small server over real mutual TLS."""

from __future__ import annotations

from typing import Any

from fettle_protocol.v1 import link_pb2


def test_machine_enrols_streams_judges_and_leaves(machine: Any, server: Any, until: Any) -> None:
    machine.settle().start()
    until(lambda: server.all("vitals"))
    kinds = [power.kind for power in server.of("power")]
    assert link_pb2.PowerChange.KIND_AGENT_STARTED in kinds
    assert machine.command("test-fault", "--state", machine.state).returncode == 0
    (raised,) = until(lambda: server.of("raised"))
    assert (raised.rule, raised.value, raised.severity, raised.policy_version) == ("test-fault", 1.0, "watch", 1)
    assert machine.command("test-fault", "--state", machine.state, "--clear").returncode == 0
    assert [cleared.reason for cleared in until(lambda: server.of("cleared"))] == ["recovered"]
    assert machine.stop() == 0
    assert server.of("power")[-1].kind == link_pb2.PowerChange.KIND_AGENT_STOPPING
