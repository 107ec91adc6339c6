from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnrolRequest(_message.Message):
    __slots__ = ("token", "csr_der", "machine")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    token: str
    csr_der: bytes
    machine: Machine
    def __init__(self, token: _Optional[str] = ..., csr_der: _Optional[bytes] = ..., machine: _Optional[_Union[Machine, _Mapping]] = ...) -> None: ...

class EnrolResponse(_message.Message):
    __slots__ = ("endpoint_id", "certificate_pem", "ca_pem", "school", "signers")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    SCHOOL_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    certificate_pem: bytes
    ca_pem: bytes
    school: str
    signers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, endpoint_id: _Optional[str] = ..., certificate_pem: _Optional[bytes] = ..., ca_pem: _Optional[bytes] = ..., school: _Optional[str] = ..., signers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr_der",)
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    csr_der: bytes
    def __init__(self, csr_der: _Optional[bytes] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("certificate_pem", "ca_pem")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: bytes
    ca_pem: bytes
    def __init__(self, certificate_pem: _Optional[bytes] = ..., ca_pem: _Optional[bytes] = ...) -> None: ...

class Machine(_message.Message):
    __slots__ = ("hostname", "os", "os_version", "fingerprint", "agent_version")
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    OS_VERSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    os: str
    os_version: str
    fingerprint: str
    agent_version: str
    def __init__(self, hostname: _Optional[str] = ..., os: _Optional[str] = ..., os_version: _Optional[str] = ..., fingerprint: _Optional[str] = ..., agent_version: _Optional[str] = ...) -> None: ...

class Uplink(_message.Message):
    __slots__ = ("hello", "events", "vitals", "history", "pong", "live")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    VITALS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    events: _containers.RepeatedCompositeFieldContainer[Event]
    vitals: Vitals
    history: _containers.RepeatedCompositeFieldContainer[History]
    pong: Pong
    live: Live
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., vitals: _Optional[_Union[Vitals, _Mapping]] = ..., history: _Optional[_Iterable[_Union[History, _Mapping]]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., live: _Optional[_Union[Live, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "machine", "instance", "spool", "boot", "policy_version", "policy_digest", "sent_ms")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SPOOL_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SENT_MS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    machine: Machine
    instance: str
    spool: str
    boot: str
    policy_version: int
    policy_digest: int
    sent_ms: int
    def __init__(self, protocol: _Optional[int] = ..., machine: _Optional[_Union[Machine, _Mapping]] = ..., instance: _Optional[str] = ..., spool: _Optional[str] = ..., boot: _Optional[str] = ..., policy_version: _Optional[int] = ..., policy_digest: _Optional[int] = ..., sent_ms: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "at_ms", "raised", "cleared", "power", "inventory", "notice", "job")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at_ms: int
    raised: FaultRaised
    cleared: FaultCleared
    power: PowerChange
    inventory: Inventory
    notice: Notice
    job: JobReport
    def __init__(self, sequence: _Optional[int] = ..., at_ms: _Optional[int] = ..., raised: _Optional[_Union[FaultRaised, _Mapping]] = ..., cleared: _Optional[_Union[FaultCleared, _Mapping]] = ..., power: _Optional[_Union[PowerChange, _Mapping]] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ..., job: _Optional[_Union[JobReport, _Mapping]] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("at_ms", "value")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    value: float
    def __init__(self, at_ms: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class FaultRaised(_message.Message):
    __slots__ = ("rule", "instance", "value", "since_ms", "evidence", "policy_version", "severity", "detail")
    RULE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    instance: str
    value: float
    since_ms: int
    evidence: _containers.RepeatedCompositeFieldContainer[Sample]
    policy_version: int
    severity: str
    detail: str
    def __init__(self, rule: _Optional[str] = ..., instance: _Optional[str] = ..., value: _Optional[float] = ..., since_ms: _Optional[int] = ..., evidence: _Optional[_Iterable[_Union[Sample, _Mapping]]] = ..., policy_version: _Optional[int] = ..., severity: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class FaultCleared(_message.Message):
    __slots__ = ("rule", "instance", "value", "since_ms", "evidence", "reason")
    RULE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rule: str
    instance: str
    value: float
    since_ms: int
    evidence: _containers.RepeatedCompositeFieldContainer[Sample]
    reason: str
    def __init__(self, rule: _Optional[str] = ..., instance: _Optional[str] = ..., value: _Optional[float] = ..., since_ms: _Optional[int] = ..., evidence: _Optional[_Iterable[_Union[Sample, _Mapping]]] = ..., reason: _Optional[str] = ...) -> None: ...

class PowerChange(_message.Message):
    __slots__ = ("kind", "back_by_ms")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[PowerChange.Kind]
        KIND_BOOTED: _ClassVar[PowerChange.Kind]
        KIND_SHUTTING_DOWN: _ClassVar[PowerChange.Kind]
        KIND_SLEEPING: _ClassVar[PowerChange.Kind]
        KIND_WOKE: _ClassVar[PowerChange.Kind]
        KIND_AGENT_STARTED: _ClassVar[PowerChange.Kind]
        KIND_AGENT_STOPPING: _ClassVar[PowerChange.Kind]
        KIND_RESTARTING: _ClassVar[PowerChange.Kind]
    KIND_UNSPECIFIED: PowerChange.Kind
    KIND_BOOTED: PowerChange.Kind
    KIND_SHUTTING_DOWN: PowerChange.Kind
    KIND_SLEEPING: PowerChange.Kind
    KIND_WOKE: PowerChange.Kind
    KIND_AGENT_STARTED: PowerChange.Kind
    KIND_AGENT_STOPPING: PowerChange.Kind
    KIND_RESTARTING: PowerChange.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    BACK_BY_MS_FIELD_NUMBER: _ClassVar[int]
    kind: PowerChange.Kind
    back_by_ms: int
    def __init__(self, kind: _Optional[_Union[PowerChange.Kind, str]] = ..., back_by_ms: _Optional[int] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("section", "digest", "json")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    section: str
    digest: str
    json: bytes
    def __init__(self, section: _Optional[str] = ..., digest: _Optional[str] = ..., json: _Optional[bytes] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("code", "subject", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    subject: str
    text: str
    def __init__(self, code: _Optional[str] = ..., subject: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class JobReport(_message.Message):
    __slots__ = ("job", "state", "step", "kind", "percent", "why", "words", "result", "attempt")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[JobReport.State]
        STATE_RECEIVED: _ClassVar[JobReport.State]
        STATE_REFUSED: _ClassVar[JobReport.State]
        STATE_WAITING: _ClassVar[JobReport.State]
        STATE_DEFERRED: _ClassVar[JobReport.State]
        STATE_STARTED: _ClassVar[JobReport.State]
        STATE_STEP_DONE: _ClassVar[JobReport.State]
        STATE_STEP_FAILED: _ClassVar[JobReport.State]
        STATE_RESTARTING: _ClassVar[JobReport.State]
        STATE_RESUMED: _ClassVar[JobReport.State]
        STATE_DONE: _ClassVar[JobReport.State]
        STATE_FAILED: _ClassVar[JobReport.State]
        STATE_CANCELLED: _ClassVar[JobReport.State]
        STATE_PROGRESS: _ClassVar[JobReport.State]
    STATE_UNSPECIFIED: JobReport.State
    STATE_RECEIVED: JobReport.State
    STATE_REFUSED: JobReport.State
    STATE_WAITING: JobReport.State
    STATE_DEFERRED: JobReport.State
    STATE_STARTED: JobReport.State
    STATE_STEP_DONE: JobReport.State
    STATE_STEP_FAILED: JobReport.State
    STATE_RESTARTING: JobReport.State
    STATE_RESUMED: JobReport.State
    STATE_DONE: JobReport.State
    STATE_FAILED: JobReport.State
    STATE_CANCELLED: JobReport.State
    STATE_PROGRESS: JobReport.State
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job: str
    state: JobReport.State
    step: int
    kind: str
    percent: int
    why: str
    words: str
    result: bytes
    attempt: int
    def __init__(self, job: _Optional[str] = ..., state: _Optional[_Union[JobReport.State, str]] = ..., step: _Optional[int] = ..., kind: _Optional[str] = ..., percent: _Optional[int] = ..., why: _Optional[str] = ..., words: _Optional[str] = ..., result: _Optional[bytes] = ..., attempt: _Optional[int] = ...) -> None: ...

class Vitals(_message.Message):
    __slots__ = ("at_ms", "readings", "faults", "agent", "pending", "policy_version")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    faults: _containers.RepeatedCompositeFieldContainer[OpenFault]
    agent: AgentHealth
    pending: _containers.RepeatedCompositeFieldContainer[Pending]
    policy_version: int
    def __init__(self, at_ms: _Optional[int] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[OpenFault, _Mapping]]] = ..., agent: _Optional[_Union[AgentHealth, _Mapping]] = ..., pending: _Optional[_Iterable[_Union[Pending, _Mapping]]] = ..., policy_version: _Optional[int] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("key", "instance", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: int
    instance: str
    value: float
    def __init__(self, key: _Optional[int] = ..., instance: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class OpenFault(_message.Message):
    __slots__ = ("rule", "instance")
    RULE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    instance: str
    def __init__(self, rule: _Optional[str] = ..., instance: _Optional[str] = ...) -> None: ...

class Pending(_message.Message):
    __slots__ = ("rule", "instance", "clearing", "since_ms")
    RULE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CLEARING_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    instance: str
    clearing: bool
    since_ms: int
    def __init__(self, rule: _Optional[str] = ..., instance: _Optional[str] = ..., clearing: _Optional[bool] = ..., since_ms: _Optional[int] = ...) -> None: ...

class AgentHealth(_message.Message):
    __slots__ = ("cpu_percent", "memory_mib", "spool_events", "spool_bytes", "shed", "collectors")
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    SPOOL_EVENTS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHED_FIELD_NUMBER: _ClassVar[int]
    COLLECTORS_FIELD_NUMBER: _ClassVar[int]
    cpu_percent: float
    memory_mib: float
    spool_events: int
    spool_bytes: int
    shed: int
    collectors: _containers.RepeatedCompositeFieldContainer[CollectorHealth]
    def __init__(self, cpu_percent: _Optional[float] = ..., memory_mib: _Optional[float] = ..., spool_events: _Optional[int] = ..., spool_bytes: _Optional[int] = ..., shed: _Optional[int] = ..., collectors: _Optional[_Iterable[_Union[CollectorHealth, _Mapping]]] = ...) -> None: ...

class CollectorHealth(_message.Message):
    __slots__ = ("name", "duration_s", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    duration_s: float
    error: str
    def __init__(self, name: _Optional[str] = ..., duration_s: _Optional[float] = ..., error: _Optional[str] = ...) -> None: ...

class History(_message.Message):
    __slots__ = ("hour", "pack", "final", "sequence")
    HOUR_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    hour: int
    pack: bytes
    final: bool
    sequence: int
    def __init__(self, hour: _Optional[int] = ..., pack: _Optional[bytes] = ..., final: _Optional[bool] = ..., sequence: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Live(_message.Message):
    __slots__ = ("at_ms", "readings")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    def __init__(self, at_ms: _Optional[int] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ...) -> None: ...

class Downlink(_message.Message):
    __slots__ = ("welcome", "ack", "policy", "watch", "ping", "rejected", "refusal", "told", "prove", "jobs", "cancelled", "wake")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    WAKE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    policy: Policy
    watch: Watch
    ping: Ping
    rejected: _containers.RepeatedCompositeFieldContainer[Rejected]
    refusal: Refusal
    told: Told
    prove: Prove
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    cancelled: _containers.RepeatedCompositeFieldContainer[CancelJob]
    wake: Wake
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., watch: _Optional[_Union[Watch, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., rejected: _Optional[_Iterable[_Union[Rejected, _Mapping]]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., told: _Optional[_Union[Told, _Mapping]] = ..., prove: _Optional[_Union[Prove, _Mapping]] = ..., jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., cancelled: _Optional[_Iterable[_Union[CancelJob, _Mapping]]] = ..., wake: _Optional[_Union[Wake, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("endpoint_id", "server_ms", "events_acked", "history_acked", "vitals_every_s")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVER_MS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_ACKED_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ACKED_FIELD_NUMBER: _ClassVar[int]
    VITALS_EVERY_S_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    server_ms: int
    events_acked: int
    history_acked: int
    vitals_every_s: int
    def __init__(self, endpoint_id: _Optional[str] = ..., server_ms: _Optional[int] = ..., events_acked: _Optional[int] = ..., history_acked: _Optional[int] = ..., vitals_every_s: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("events", "history", "server_ms")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SERVER_MS_FIELD_NUMBER: _ClassVar[int]
    events: int
    history: int
    server_ms: int
    def __init__(self, events: _Optional[int] = ..., history: _Optional[int] = ..., server_ms: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("version", "json")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    version: int
    json: bytes
    def __init__(self, version: _Optional[int] = ..., json: _Optional[bytes] = ...) -> None: ...

class Watch(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    def __init__(self, seconds: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("sequence", "reason")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: str
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "text", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    retry_after_s: int
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., retry_after_s: _Optional[int] = ...) -> None: ...

class Prove(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    def __init__(self, seconds: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "manifest", "signature", "key", "start_ms", "until_ms", "exam")
    ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    EXAM_FIELD_NUMBER: _ClassVar[int]
    id: str
    manifest: bytes
    signature: bytes
    key: str
    start_ms: int
    until_ms: int
    exam: bool
    def __init__(self, id: _Optional[str] = ..., manifest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., key: _Optional[str] = ..., start_ms: _Optional[int] = ..., until_ms: _Optional[int] = ..., exam: _Optional[bool] = ...) -> None: ...

class CancelJob(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Wake(_message.Message):
    __slots__ = ("macs",)
    MACS_FIELD_NUMBER: _ClassVar[int]
    macs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, macs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Told(_message.Message):
    __slots__ = ("code", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...
