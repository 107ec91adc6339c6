"""The gateway and the name servers."""

import socket
import struct
import threading

import pytest
from fettle_agent.collectors import addresses_windows, dns, reachability
from hypothesis import given
from hypothesis import strategies as st


def test_gateway_of_the_default_route(sample):
    assert reachability.gateway_in(sample("route.txt")) == "192.0.2.1"


def test_default_route_with_the_lowest_metric_is_taken():
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    rows = "wl\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\neth\t00000000\tFE0200C0\t0003\t0\t0\t100\t00000000\n"

    assert reachability.gateway_in(head + rows) == "192.0.2.254"


def test_gateway_that_macos_prints(sample):
    assert reachability.gateway_printed(sample("route_get_macos.txt")) == "192.0.2.254"


def test_neighbour_with_a_complete_entry_is_there(sample):
    assert reachability.is_neighbour(sample("arp.txt"), "192.0.2.1")
    assert not reachability.is_neighbour(sample("arp.txt"), "192.0.2.10")


def test_neighbour_that_did_not_answer_is_not_there():
    table = "IP address HW type Flags HW address Mask Device\n192.0.2.1 0x1 0x0 00:00:00:00:00:00 * eth0\n"

    assert not reachability.is_neighbour(table, "192.0.2.1")


def test_round_trip_that_ping_printed(sample):
    assert reachability.ping_seconds(sample("ping.txt")) == pytest.approx(0.0005, abs=0.001)
    assert reachability.ping_seconds(sample("ping_windows.txt")) == 0.001


def test_answer_from_someone_else_is_no_round_trip(sample):
    assert reachability.ping_seconds(sample("ping_windows_unreachable.txt")) is None


def test_checksum_of_an_echo_is_that_of_the_standard():
    packet = bytes.fromhex("0800000012340001") + b"abcdefgh"
    whole = packet[:2] + struct.pack(">H", reachability.checksum(packet)) + packet[4:]

    assert reachability.checksum(whole) == 0


def test_gateway_that_answers_is_reachable_with_its_latency(values, monkeypatch):
    monkeypatch.setattr(reachability, "_echo", lambda address: None)
    monkeypatch.setattr(reachability, "_connect", lambda address: 0.002)

    assert values(reachability.check("192.0.2.1", "linux")) == {("gateway.reachable", ""): 1, ("gateway.latency_ms", ""): 2.0}


@pytest.mark.parametrize(("there", "expected"), [(True, 1.0), (False, 0.0)])
def test_silent_gateway_is_judged_by_its_hardware_address_and_says_so(monkeypatch, there, expected):
    monkeypatch.setattr(reachability, "_echo", lambda address: None)
    monkeypatch.setattr(reachability, "_connect", lambda address: None)
    monkeypatch.setattr(reachability, "is_neighbour", lambda table, address: there)

    (reading,) = reachability.check("192.0.2.1", "linux").readings
    assert reading.value == expected
    assert "address" in reading.detail


def test_own_address_answers_an_echo(values):
    assert values(reachability.check("127.0.0.1", "linux"))["gateway.reachable", ""] == 1


def test_machine_that_lost_its_gateway_has_a_fault_and_one_without_has_none(setup, monkeypatch):
    gateways = iter([None, "127.0.0.1", None])
    monkeypatch.setattr(reachability, "_gateway", lambda system: next(gateways))
    collect = reachability.collector(setup)

    assert [[reading.value for reading in collect().readings][:1] for _ in range(3)] == [[], [1.0], [0.0]]


@given(st.text())
def test_any_text_is_read_without_harm(text):
    reachability.gateway_in("head\n" + text)
    reachability.gateway_printed(text)
    reachability.is_neighbour(text, "192.0.2.1")
    reachability.ping_seconds(text)
    dns.servers_in(text)


# name servers


class Server:
    """A name server on the loopback that answers as it is told, or not at all."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = 0
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            query, peer = self.socket.recvfrom(512)
            if query == b"stop":
                return
            self.asked += 1
            answer = self._answer(query)
            if answer is not None:
                self.socket.sendto(answer, peer)

    def stop(self):
        self.socket.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self.socket.close()


@pytest.fixture
def server(monkeypatch):
    """Starts such a server; a try lasts a fifth of a second."""
    monkeypatch.setattr(dns, "TRY_S", 0.2)
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for started in servers:
        started.stop()


def _with_code(code):
    return lambda query: query[:2] + struct.pack(">H", 0x8180 | code) + query[4:]


@pytest.mark.parametrize("code", [0, 3, 5])
def test_any_well_formed_answer_shows_a_working_name_server(server, values, code):
    found = values(dns.check(["127.0.0.1"], port=server(_with_code(code)).port))

    assert found["dns.working", ""] == 1
    assert 0 <= found["dns.latency_ms", ""] < 200


@pytest.mark.parametrize(
    "answer", [_with_code(2), lambda query: None, lambda query: b"noise", lambda query: query, lambda query: b""]
)
def test_silence_noise_and_server_failure_do_not(server, values, answer):
    started = server(answer)

    assert values(dns.check(["127.0.0.1"], port=started.port)) == {("dns.working", ""): 0}
    assert started.asked == dns.TRIES


def test_one_answering_server_of_two_is_enough(server, values):
    started = server(_with_code(0))

    assert values(dns.check(["127.0.0.2", "127.0.0.1"], port=started.port))["dns.working", ""] == 1


def test_lost_first_packet_does_not_count(server, values):
    answers = iter([None, b"\x81\x80"])

    def answer(query):
        flags = next(answers)
        return None if flags is None else query[:2] + flags + query[4:]

    assert values(dns.check(["127.0.0.1"], port=server(answer).port))["dns.working", ""] == 1


def test_machine_without_name_servers_has_no_data():
    assert dns.check([]).readings == ()


def test_name_servers_of_a_resolv_conf():
    servers = ("192.0.2.53", "fe80::1%eth0", "192.0.2.53", "nonsense")
    text = "# comment\nsearch example.org\n" + "".join(f"nameserver {server}\n" for server in servers)

    assert dns.servers_in(text) == ("192.0.2.53", "fe80::1%eth0")


def test_question_is_the_same_as_dig_sends_for_the_roots_servers():
    assert dns.query(0x1234).hex() == "123401000001000000000000" + "0000020001"


@given(st.binary(), st.integers(0, 65_535))
def test_any_bytes_are_judged_without_harm(message, number):
    dns.is_answer(message, number)


def test_name_servers_of_windows_are_those_set_by_hand_else_dhcps():
    interfaces = [
        {"NameServer": "192.0.2.1,192.0.2.2", "DhcpNameServer": "192.0.2.9", "IPAddress": ["192.0.2.17"]},
        {"NameServer": "", "DhcpNameServer": "192.0.2.9 192.0.2.1", "DhcpIPAddress": "192.0.2.18"},
        {"NameServer": "198.51.100.1", "DhcpIPAddress": "0.0.0.0"},
    ]

    assert addresses_windows.choose(interfaces, "NameServer", "DhcpNameServer") == ("192.0.2.1", "192.0.2.2", "192.0.2.9")
    assert addresses_windows.name_servers() == ()


def test_gateway_of_windows_is_that_of_an_interface_with_an_address():
    interfaces = [
        {"DhcpDefaultGateway": ["198.51.100.1"], "DhcpIPAddress": "0.0.0.0"},
        {"DefaultGateway": ["0.0.0.0"], "DhcpDefaultGateway": ["192.0.2.254"], "IPAddress": ["192.0.2.17"]},
        {"DefaultGateway": [], "DhcpDefaultGateway": ["192.0.2.253"], "DhcpIPAddress": "192.0.2.18"},
    ]

    assert addresses_windows.choose(interfaces, "DefaultGateway", "DhcpDefaultGateway") == ("192.0.2.254", "192.0.2.253")
    assert addresses_windows.gateway() is None
