from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AbortRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class AccessStatus(_message.Message):
    __slots__ = ["enrolled", "keys_needed", "sockets"]
    ENROLLED_FIELD_NUMBER: _ClassVar[int]
    KEYS_NEEDED_FIELD_NUMBER: _ClassVar[int]
    SOCKETS_FIELD_NUMBER: _ClassVar[int]
    enrolled: int
    keys_needed: bool
    sockets: _containers.RepeatedCompositeFieldContainer[SocketAccess]
    def __init__(self, keys_needed: bool = ..., enrolled: _Optional[int] = ..., sockets: _Optional[_Iterable[_Union[SocketAccess, _Mapping]]] = ...) -> None: ...

class Accounting(_message.Message):
    __slots__ = ["dropped_by_ring_full", "duplicate_ranges", "duplicates", "expected", "flyback_frames", "garbage_bytes", "lead_in_frames", "malformed", "missing", "missing_ranges", "missing_ranges_truncated", "other_messages", "other_ranges_truncated", "placed", "rejected", "rejected_ranges", "strays", "tail_frames"]
    DROPPED_BY_RING_FULL_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_RANGES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FLYBACK_FRAMES_FIELD_NUMBER: _ClassVar[int]
    GARBAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEAD_IN_FRAMES_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    MISSING_RANGES_FIELD_NUMBER: _ClassVar[int]
    MISSING_RANGES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    OTHER_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    OTHER_RANGES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PLACED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_RANGES_FIELD_NUMBER: _ClassVar[int]
    STRAYS_FIELD_NUMBER: _ClassVar[int]
    TAIL_FRAMES_FIELD_NUMBER: _ClassVar[int]
    dropped_by_ring_full: int
    duplicate_ranges: _containers.RepeatedCompositeFieldContainer[PositionRange]
    duplicates: int
    expected: int
    flyback_frames: int
    garbage_bytes: int
    lead_in_frames: int
    malformed: int
    missing: int
    missing_ranges: _containers.RepeatedCompositeFieldContainer[PositionRange]
    missing_ranges_truncated: bool
    other_messages: int
    other_ranges_truncated: bool
    placed: int
    rejected: int
    rejected_ranges: _containers.RepeatedCompositeFieldContainer[PositionRange]
    strays: int
    tail_frames: int
    def __init__(self, expected: _Optional[int] = ..., placed: _Optional[int] = ..., missing: _Optional[int] = ..., rejected: _Optional[int] = ..., duplicates: _Optional[int] = ..., strays: _Optional[int] = ..., lead_in_frames: _Optional[int] = ..., flyback_frames: _Optional[int] = ..., tail_frames: _Optional[int] = ..., malformed: _Optional[int] = ..., garbage_bytes: _Optional[int] = ..., other_messages: _Optional[int] = ..., dropped_by_ring_full: _Optional[int] = ..., missing_ranges: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., missing_ranges_truncated: bool = ..., rejected_ranges: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., duplicate_ranges: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., other_ranges_truncated: bool = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ["item"]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: WorkItem
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ...) -> None: ...

class AcquisitionStatus(_message.Message):
    __slots__ = ["accounting", "acquisition", "end_reason", "frames_per_second", "frames_processed", "generation", "nav_shape", "seconds", "sig_shape"]
    ACCOUNTING_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SIG_SHAPE_FIELD_NUMBER: _ClassVar[int]
    accounting: Accounting
    acquisition: bytes
    end_reason: str
    frames_per_second: float
    frames_processed: int
    generation: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    seconds: float
    sig_shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., end_reason: _Optional[str] = ..., accounting: _Optional[_Union[Accounting, _Mapping]] = ..., nav_shape: _Optional[_Iterable[int]] = ..., sig_shape: _Optional[_Iterable[int]] = ..., seconds: _Optional[float] = ..., frames_per_second: _Optional[float] = ..., frames_processed: _Optional[int] = ...) -> None: ...

class ArmRequest(_message.Message):
    __slots__ = ["endless", "frames", "frames_per_partition", "margins", "nav_shape", "trigger", "window"]
    ENDLESS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_PARTITION_FIELD_NUMBER: _ClassVar[int]
    MARGINS_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    endless: bool
    frames: int
    frames_per_partition: int
    margins: ScanMargins
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    trigger: str
    window: int
    def __init__(self, nav_shape: _Optional[_Iterable[int]] = ..., frames: _Optional[int] = ..., trigger: _Optional[str] = ..., margins: _Optional[_Union[ScanMargins, _Mapping]] = ..., frames_per_partition: _Optional[int] = ..., endless: bool = ..., window: _Optional[int] = ...) -> None: ...

class ArrayHeader(_message.Message):
    __slots__ = ["checksum", "dtype", "name", "purpose", "shape", "udf"]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    checksum: int
    dtype: str
    name: str
    purpose: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    udf: str
    def __init__(self, purpose: _Optional[str] = ..., udf: _Optional[str] = ..., name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., checksum: _Optional[int] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ["closed", "frames", "item"]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    closed: bool
    frames: int
    item: WorkItem
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., frames: _Optional[int] = ..., closed: bool = ...) -> None: ...

class Beat(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class BufferDeclaration(_message.Message):
    __slots__ = ["dtype", "extra_shape", "kind", "merge", "name", "use"]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_SHAPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    extra_shape: _containers.RepeatedScalarFieldContainer[int]
    kind: str
    merge: str
    name: str
    use: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., dtype: _Optional[str] = ..., extra_shape: _Optional[_Iterable[int]] = ..., use: _Optional[str] = ..., merge: _Optional[str] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ["reason"]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ChangeRunRequest(_message.Message):
    __slots__ = ["recompute", "run", "udfs"]
    RECOMPUTE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    recompute: bool
    run: str
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, run: _Optional[str] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., recompute: bool = ...) -> None: ...

class CheckFinding(_message.Message):
    __slots__ = ["code", "severity", "text"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    severity: str
    text: str
    def __init__(self, severity: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class CheckReport(_message.Message):
    __slots__ = ["bytes", "counter_depth", "dead_time_seconds", "disk_bytes_free", "dtype", "exposure_seconds", "findings", "frame_bytes", "frame_seconds", "frames_announced", "frames_needed", "nav_shape", "ok", "seconds", "sig_shape", "triggers"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FREE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_ANNOUNCED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_NEEDED_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    FRAME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SIG_SHAPE_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    counter_depth: int
    dead_time_seconds: float
    disk_bytes_free: int
    dtype: str
    exposure_seconds: float
    findings: _containers.RepeatedCompositeFieldContainer[CheckFinding]
    frame_bytes: int
    frame_seconds: float
    frames_announced: int
    frames_needed: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    ok: bool
    seconds: float
    sig_shape: _containers.RepeatedScalarFieldContainer[int]
    triggers: int
    def __init__(self, ok: bool = ..., findings: _Optional[_Iterable[_Union[CheckFinding, _Mapping]]] = ..., nav_shape: _Optional[_Iterable[int]] = ..., sig_shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., counter_depth: _Optional[int] = ..., frames_needed: _Optional[int] = ..., frames_announced: _Optional[int] = ..., triggers: _Optional[int] = ..., exposure_seconds: _Optional[float] = ..., dead_time_seconds: _Optional[float] = ..., frame_seconds: _Optional[float] = ..., seconds: _Optional[float] = ..., frame_bytes: _Optional[int] = ..., bytes: _Optional[int] = ..., disk_bytes_free: _Optional[int] = ...) -> None: ...

class CheckRequest(_message.Message):
    __slots__ = ["arm", "settings"]
    ARM_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    arm: ArmRequest
    settings: _containers.RepeatedCompositeFieldContainer[DetectorSet]
    def __init__(self, arm: _Optional[_Union[ArmRequest, _Mapping]] = ..., settings: _Optional[_Iterable[_Union[DetectorSet, _Mapping]]] = ...) -> None: ...

class CommandFileLine(_message.Message):
    __slots__ = ["request", "value"]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    request: str
    value: str
    def __init__(self, request: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class CommandFileReply(_message.Message):
    __slots__ = ["lines"]
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[CommandFileLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[CommandFileLine, _Mapping]]] = ...) -> None: ...

class CommandFileRequest(_message.Message):
    __slots__ = ["text"]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ["settings"]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: _containers.RepeatedCompositeFieldContainer[DetectorSet]
    def __init__(self, settings: _Optional[_Iterable[_Union[DetectorSet, _Mapping]]] = ...) -> None: ...

class Contributor(_message.Message):
    __slots__ = ["partitions", "worker"]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    partitions: int
    worker: str
    def __init__(self, worker: _Optional[str] = ..., partitions: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ["bytes", "items"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    items: int
    def __init__(self, items: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class DeadTime(_message.Message):
    __slots__ = ["counter_depth", "seconds"]
    COUNTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    counter_depth: int
    seconds: float
    def __init__(self, counter_depth: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class DetectorReply(_message.Message):
    __slots__ = ["value"]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class DetectorRequest(_message.Message):
    __slots__ = ["cmd", "get", "set"]
    CMD_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    cmd: str
    get: str
    set: DetectorSet
    def __init__(self, get: _Optional[str] = ..., set: _Optional[_Union[DetectorSet, _Mapping]] = ..., cmd: _Optional[str] = ...) -> None: ...

class DetectorSet(_message.Message):
    __slots__ = ["name", "value"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class DetectorSetting(_message.Message):
    __slots__ = ["asked", "detector_code", "differs", "message", "name", "value"]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_CODE_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    asked: str
    detector_code: int
    differs: bool
    message: str
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., asked: _Optional[str] = ..., value: _Optional[str] = ..., differs: bool = ..., detector_code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class DetectorSettings(_message.Message):
    __slots__ = ["differing", "settings"]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    differing: int
    settings: _containers.RepeatedCompositeFieldContainer[DetectorSetting]
    def __init__(self, settings: _Optional[_Iterable[_Union[DetectorSetting, _Mapping]]] = ..., differing: _Optional[int] = ...) -> None: ...

class DetectorStatus(_message.Message):
    __slots__ = ["busy", "bytes_received", "connections", "control_connected", "control_reason", "counter_depth", "data_connected", "dead_times", "dtype", "frames_received", "reason", "settings_age_ms", "sig_shape", "software_version", "source"]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    CONTROL_REASON_FIELD_NUMBER: _ClassVar[int]
    COUNTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    DATA_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIMES_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    SIG_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    busy: bool
    bytes_received: int
    connections: int
    control_connected: bool
    control_reason: str
    counter_depth: int
    data_connected: bool
    dead_times: _containers.RepeatedCompositeFieldContainer[DeadTime]
    dtype: str
    frames_received: int
    reason: str
    settings_age_ms: int
    sig_shape: _containers.RepeatedScalarFieldContainer[int]
    software_version: str
    source: str
    def __init__(self, source: _Optional[str] = ..., data_connected: bool = ..., control_connected: bool = ..., reason: _Optional[str] = ..., bytes_received: _Optional[int] = ..., frames_received: _Optional[int] = ..., control_reason: _Optional[str] = ..., connections: _Optional[int] = ..., settings_age_ms: _Optional[int] = ..., software_version: _Optional[str] = ..., sig_shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., counter_depth: _Optional[int] = ..., dead_times: _Optional[_Iterable[_Union[DeadTime, _Mapping]]] = ..., busy: bool = ...) -> None: ...

class Directory(_message.Message):
    __slots__ = ["control_port", "endpoints", "live_port", "source", "topics", "udfs", "work_port"]
    CONTROL_PORT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    LIVE_PORT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    WORK_PORT_FIELD_NUMBER: _ClassVar[int]
    control_port: int
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    live_port: int
    source: str
    topics: _containers.RepeatedScalarFieldContainer[str]
    udfs: _containers.RepeatedScalarFieldContainer[str]
    work_port: int
    def __init__(self, source: _Optional[str] = ..., control_port: _Optional[int] = ..., live_port: _Optional[int] = ..., work_port: _Optional[int] = ..., topics: _Optional[_Iterable[str]] = ..., udfs: _Optional[_Iterable[str]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class DirectoryRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class DiskStatus(_message.Message):
    __slots__ = ["bytes_free", "bytes_total", "directory"]
    BYTES_FREE_FIELD_NUMBER: _ClassVar[int]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    bytes_free: int
    bytes_total: int
    directory: str
    def __init__(self, directory: _Optional[str] = ..., bytes_total: _Optional[int] = ..., bytes_free: _Optional[int] = ...) -> None: ...

class DispatchStatus(_message.Message):
    __slots__ = ["frames_given_up", "oldest_waiting_ms", "partitions_done", "partitions_in_flight", "partitions_quarantined", "partitions_redone", "partitions_waiting", "results_ignored", "spool_bytes_total", "spool_bytes_used", "workers_lost"]
    FRAMES_GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAITING_MS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_DONE_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_REDONE_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_WAITING_FIELD_NUMBER: _ClassVar[int]
    RESULTS_IGNORED_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_USED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LOST_FIELD_NUMBER: _ClassVar[int]
    frames_given_up: int
    oldest_waiting_ms: int
    partitions_done: int
    partitions_in_flight: int
    partitions_quarantined: int
    partitions_redone: int
    partitions_waiting: int
    results_ignored: int
    spool_bytes_total: int
    spool_bytes_used: int
    workers_lost: int
    def __init__(self, partitions_waiting: _Optional[int] = ..., partitions_in_flight: _Optional[int] = ..., partitions_done: _Optional[int] = ..., partitions_redone: _Optional[int] = ..., partitions_quarantined: _Optional[int] = ..., oldest_waiting_ms: _Optional[int] = ..., results_ignored: _Optional[int] = ..., workers_lost: _Optional[int] = ..., spool_bytes_total: _Optional[int] = ..., spool_bytes_used: _Optional[int] = ..., frames_given_up: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ["end_reason", "frames_expected", "frames_placed", "generation"]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    FRAMES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PLACED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    end_reason: str
    frames_expected: int
    frames_placed: int
    generation: int
    def __init__(self, frames_placed: _Optional[int] = ..., generation: _Optional[int] = ..., end_reason: _Optional[str] = ..., frames_expected: _Optional[int] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ["accounting", "acquisition", "frames_failed", "frames_processed", "generation", "nav_shape", "reason", "results", "seconds", "tiles_dropped", "tiles_published"]
    ACCOUNTING_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FAILED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TILES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    TILES_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    accounting: Accounting
    acquisition: bytes
    frames_failed: int
    frames_processed: int
    generation: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    reason: str
    results: _containers.RepeatedCompositeFieldContainer[ResultName]
    seconds: float
    tiles_dropped: int
    tiles_published: int
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., reason: _Optional[str] = ..., accounting: _Optional[_Union[Accounting, _Mapping]] = ..., seconds: _Optional[float] = ..., nav_shape: _Optional[_Iterable[int]] = ..., tiles_published: _Optional[int] = ..., tiles_dropped: _Optional[int] = ..., frames_processed: _Optional[int] = ..., frames_failed: _Optional[int] = ..., results: _Optional[_Iterable[_Union[ResultName, _Mapping]]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ["address", "needs_key", "public_key", "service"]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NEEDS_KEY_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    address: str
    needs_key: bool
    public_key: str
    service: str
    def __init__(self, service: _Optional[str] = ..., address: _Optional[str] = ..., needs_key: bool = ..., public_key: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ["code", "frames_expected", "frames_placed", "request", "severity", "text"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PLACED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    frames_expected: int
    frames_placed: int
    request: str
    severity: str
    text: str
    def __init__(self, severity: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., request: _Optional[str] = ..., frames_placed: _Optional[int] = ..., frames_expected: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ["code", "detector_code", "message"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    detector_code: int
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., detector_code: _Optional[int] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ["acquisition", "count", "first", "request"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    count: int
    first: int
    request: int
    def __init__(self, request: _Optional[int] = ..., acquisition: _Optional[bytes] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class FetchEnd(_message.Message):
    __slots__ = ["request", "unavailable"]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    request: int
    unavailable: _containers.RepeatedCompositeFieldContainer[UnavailableRange]
    def __init__(self, request: _Optional[int] = ..., unavailable: _Optional[_Iterable[_Union[UnavailableRange, _Mapping]]] = ...) -> None: ...

class FetchedTile(_message.Message):
    __slots__ = ["request", "tile"]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    request: int
    tile: Tile
    def __init__(self, request: _Optional[int] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ...) -> None: ...

class FrameFormat(_message.Message):
    __slots__ = ["chip_count", "counter_depth", "data_offset", "dtype", "header_height", "header_width", "layout", "payload_bytes", "pixel_type", "sig_shape"]
    CHIP_COUNT_FIELD_NUMBER: _ClassVar[int]
    COUNTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    DATA_OFFSET_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    HEADER_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEADER_WIDTH_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIXEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIG_SHAPE_FIELD_NUMBER: _ClassVar[int]
    chip_count: int
    counter_depth: int
    data_offset: int
    dtype: str
    header_height: int
    header_width: int
    layout: str
    payload_bytes: int
    pixel_type: str
    sig_shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pixel_type: _Optional[str] = ..., counter_depth: _Optional[int] = ..., layout: _Optional[str] = ..., header_width: _Optional[int] = ..., header_height: _Optional[int] = ..., chip_count: _Optional[int] = ..., data_offset: _Optional[int] = ..., payload_bytes: _Optional[int] = ..., sig_shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ...) -> None: ...

class FrameMemory(_message.Message):
    __slots__ = ["bytes", "inode", "path", "slots"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    inode: int
    path: str
    slots: int
    def __init__(self, path: _Optional[str] = ..., bytes: _Optional[int] = ..., inode: _Optional[int] = ..., slots: _Optional[int] = ...) -> None: ...

class FrameMemoryMapped(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class FrameRequest(_message.Message):
    __slots__ = ["acquisition", "at", "colours", "format", "logarithmic", "newest", "position"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    COLOURS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LOGARITHMIC_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    at: _containers.RepeatedScalarFieldContainer[int]
    colours: str
    format: str
    logarithmic: bool
    newest: bool
    position: int
    def __init__(self, acquisition: _Optional[bytes] = ..., position: _Optional[int] = ..., at: _Optional[_Iterable[int]] = ..., newest: bool = ..., format: _Optional[str] = ..., colours: _Optional[str] = ..., logarithmic: bool = ...) -> None: ...

class FramesInMemory(_message.Message):
    __slots__ = ["count", "filling", "first_position", "offset", "slot"]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FILLING_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    count: int
    filling: int
    first_position: int
    offset: int
    slot: int
    def __init__(self, first_position: _Optional[int] = ..., count: _Optional[int] = ..., offset: _Optional[int] = ..., slot: _Optional[int] = ..., filling: _Optional[int] = ...) -> None: ...

class GenerationRange(_message.Message):
    __slots__ = ["parameter_generation", "range"]
    PARAMETER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    parameter_generation: int
    range: PositionRange
    def __init__(self, range: _Optional[_Union[PositionRange, _Mapping]] = ..., parameter_generation: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ["client", "version_max", "version_min"]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    client: str
    version_max: int
    version_min: int
    def __init__(self, version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., client: _Optional[str] = ...) -> None: ...

class History(_message.Message):
    __slots__ = ["entries", "lost", "next"]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    lost: int
    next: int
    def __init__(self, entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., next: _Optional[int] = ..., lost: _Optional[int] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ["acquisition", "acquisition_header", "dtype", "ended_at", "files", "number", "runs", "server", "session", "started_at"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_HEADER_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    acquisition: AcquisitionStatus
    acquisition_header: bytes
    dtype: str
    ended_at: int
    files: _containers.RepeatedScalarFieldContainer[str]
    number: int
    runs: _containers.RepeatedCompositeFieldContainer[HistoryRun]
    server: str
    session: bytes
    started_at: int
    def __init__(self, number: _Optional[int] = ..., server: _Optional[str] = ..., session: _Optional[bytes] = ..., started_at: _Optional[int] = ..., ended_at: _Optional[int] = ..., acquisition: _Optional[_Union[AcquisitionStatus, _Mapping]] = ..., acquisition_header: _Optional[bytes] = ..., dtype: _Optional[str] = ..., runs: _Optional[_Iterable[_Union[HistoryRun, _Mapping]]] = ..., files: _Optional[_Iterable[str]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ["acquisition", "before", "count"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    before: int
    count: int
    def __init__(self, count: _Optional[int] = ..., before: _Optional[int] = ..., acquisition: _Optional[bytes] = ...) -> None: ...

class HistoryResult(_message.Message):
    __slots__ = ["channel", "dtype", "manifest", "shape", "udf"]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    channel: str
    dtype: str
    manifest: Manifest
    shape: _containers.RepeatedScalarFieldContainer[int]
    udf: str
    def __init__(self, udf: _Optional[str] = ..., channel: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ...) -> None: ...

class HistoryRun(_message.Message):
    __slots__ = ["error", "results", "run", "udfs"]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    error: str
    results: _containers.RepeatedCompositeFieldContainer[HistoryResult]
    run: str
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, run: _Optional[str] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., error: _Optional[str] = ..., results: _Optional[_Iterable[_Union[HistoryResult, _Mapping]]] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ["is_whole", "item"]
    IS_WHOLE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    is_whole: bool
    item: WorkItem
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., is_whole: bool = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ["acquisition", "channel", "checksum", "dtype", "final", "format", "generation", "media_type", "position", "positions_expected", "positions_processed", "run", "shape", "udf", "version"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    channel: str
    checksum: int
    dtype: str
    final: bool
    format: str
    generation: int
    media_type: str
    position: int
    positions_expected: int
    positions_processed: int
    run: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    udf: str
    version: int
    def __init__(self, format: _Optional[str] = ..., media_type: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., checksum: _Optional[int] = ..., acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., run: _Optional[str] = ..., udf: _Optional[str] = ..., channel: _Optional[str] = ..., version: _Optional[int] = ..., positions_processed: _Optional[int] = ..., positions_expected: _Optional[int] = ..., final: bool = ..., position: _Optional[int] = ...) -> None: ...

class ImageRequest(_message.Message):
    __slots__ = ["acquisition", "channel", "colours", "format", "logarithmic", "run", "udf"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    COLOURS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LOGARITHMIC_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    channel: str
    colours: str
    format: str
    logarithmic: bool
    run: str
    udf: str
    def __init__(self, run: _Optional[str] = ..., udf: _Optional[str] = ..., channel: _Optional[str] = ..., acquisition: _Optional[bytes] = ..., format: _Optional[str] = ..., colours: _Optional[str] = ..., logarithmic: bool = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class LiveHeader(_message.Message):
    __slots__ = ["end", "event", "sent_at", "sequence", "session", "start", "status", "tile", "update"]
    END_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    end: End
    event: Event
    sent_at: int
    sequence: int
    session: bytes
    start: Start
    status: Status
    tile: Tile
    update: Update
    def __init__(self, session: _Optional[bytes] = ..., sequence: _Optional[int] = ..., sent_at: _Optional[int] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class LiveStatus(_message.Message):
    __slots__ = ["bytes_pinned", "subscriptions", "tiles_dropped", "tiles_published", "updates_published"]
    BYTES_PINNED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    TILES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    TILES_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    UPDATES_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    bytes_pinned: int
    subscriptions: int
    tiles_dropped: int
    tiles_published: int
    updates_published: int
    def __init__(self, subscriptions: _Optional[int] = ..., tiles_published: _Optional[int] = ..., tiles_dropped: _Optional[int] = ..., updates_published: _Optional[int] = ..., bytes_pinned: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ["digest", "frames_expected", "frames_failed", "frames_processed", "frames_received", "missing_ranges", "missing_ranges_truncated", "partitions_redone", "redone", "workers"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FRAMES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FAILED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    MISSING_RANGES_FIELD_NUMBER: _ClassVar[int]
    MISSING_RANGES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_REDONE_FIELD_NUMBER: _ClassVar[int]
    REDONE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    frames_expected: int
    frames_failed: int
    frames_processed: int
    frames_received: int
    missing_ranges: _containers.RepeatedCompositeFieldContainer[PositionRange]
    missing_ranges_truncated: bool
    partitions_redone: int
    redone: _containers.RepeatedCompositeFieldContainer[RedonePartition]
    workers: _containers.RepeatedCompositeFieldContainer[Contributor]
    def __init__(self, frames_expected: _Optional[int] = ..., frames_received: _Optional[int] = ..., frames_processed: _Optional[int] = ..., frames_failed: _Optional[int] = ..., missing_ranges: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., missing_ranges_truncated: bool = ..., redone: _Optional[_Iterable[_Union[RedonePartition, _Mapping]]] = ..., partitions_redone: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[Contributor, _Mapping]]] = ..., digest: _Optional[str] = ...) -> None: ...

class MergeTask(_message.Message):
    __slots__ = ["arrays", "kind", "plan", "task", "udf"]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    arrays: _containers.RepeatedCompositeFieldContainer[ArrayHeader]
    kind: str
    plan: int
    task: int
    udf: str
    def __init__(self, task: _Optional[int] = ..., plan: _Optional[int] = ..., udf: _Optional[str] = ..., kind: _Optional[str] = ..., arrays: _Optional[_Iterable[_Union[ArrayHeader, _Mapping]]] = ...) -> None: ...

class MergeTaskDone(_message.Message):
    __slots__ = ["arrays", "failure", "task"]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    arrays: _containers.RepeatedCompositeFieldContainer[ArrayHeader]
    failure: str
    task: int
    def __init__(self, task: _Optional[int] = ..., failure: _Optional[str] = ..., arrays: _Optional[_Iterable[_Union[ArrayHeader, _Mapping]]] = ...) -> None: ...

class PlanOver(_message.Message):
    __slots__ = ["plan"]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: int
    def __init__(self, plan: _Optional[int] = ...) -> None: ...

class Planned(_message.Message):
    __slots__ = ["failure", "plan", "udfs"]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    failure: str
    plan: int
    udfs: _containers.RepeatedCompositeFieldContainer[PlannedUdf]
    def __init__(self, plan: _Optional[int] = ..., failure: _Optional[str] = ..., udfs: _Optional[_Iterable[_Union[PlannedUdf, _Mapping]]] = ...) -> None: ...

class PlannedUdf(_message.Message):
    __slots__ = ["buffers", "content_hash", "id", "name", "order", "version"]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    buffers: _containers.RepeatedCompositeFieldContainer[BufferDeclaration]
    content_hash: int
    id: str
    name: str
    order: str
    version: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., content_hash: _Optional[int] = ..., order: _Optional[str] = ..., buffers: _Optional[_Iterable[_Union[BufferDeclaration, _Mapping]]] = ...) -> None: ...

class PositionRange(_message.Message):
    __slots__ = ["count", "first"]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    count: int
    first: int
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class RedonePartition(_message.Message):
    __slots__ = ["attempts", "partition", "reason"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    partition: int
    reason: str
    def __init__(self, partition: _Optional[int] = ..., attempts: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ["check", "command_file", "detector", "directory", "done", "failure", "history", "id", "image", "run_list", "run_started", "scan", "session", "settings", "snapshot", "state_after", "state_before", "status", "welcome"]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FILE_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    RUN_LIST_FIELD_NUMBER: _ClassVar[int]
    RUN_STARTED_FIELD_NUMBER: _ClassVar[int]
    SCAN_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    STATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    STATE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    check: CheckReport
    command_file: CommandFileReply
    detector: DetectorReply
    directory: Directory
    done: Done
    failure: Failure
    history: History
    id: str
    image: Image
    run_list: RunList
    run_started: RunStarted
    scan: ScanReport
    session: bytes
    settings: DetectorSettings
    snapshot: Snapshot
    state_after: str
    state_before: str
    status: Status
    welcome: Welcome
    def __init__(self, id: _Optional[str] = ..., session: _Optional[bytes] = ..., state_before: _Optional[str] = ..., state_after: _Optional[str] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., directory: _Optional[_Union[Directory, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., detector: _Optional[_Union[DetectorReply, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., run_started: _Optional[_Union[RunStarted, _Mapping]] = ..., run_list: _Optional[_Union[RunList, _Mapping]] = ..., settings: _Optional[_Union[DetectorSettings, _Mapping]] = ..., command_file: _Optional[_Union[CommandFileReply, _Mapping]] = ..., check: _Optional[_Union[CheckReport, _Mapping]] = ..., scan: _Optional[_Union[ScanReport, _Mapping]] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., history: _Optional[_Union[History, _Mapping]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ["abort", "arm", "change_run", "check", "command_file", "configure", "deadline_ms", "detector", "directory", "frame", "hello", "history", "id", "image", "list_runs", "scan", "snapshot", "start_run", "status", "stop", "stop_run", "trigger", "version", "wait"]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    CHANGE_RUN_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FILE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LIST_RUNS_FIELD_NUMBER: _ClassVar[int]
    SCAN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    START_RUN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    STOP_RUN_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    abort: AbortRequest
    arm: ArmRequest
    change_run: ChangeRunRequest
    check: CheckRequest
    command_file: CommandFileRequest
    configure: ConfigureRequest
    deadline_ms: int
    detector: DetectorRequest
    directory: DirectoryRequest
    frame: FrameRequest
    hello: Hello
    history: HistoryRequest
    id: str
    image: ImageRequest
    list_runs: ListRunsRequest
    scan: ScanRequest
    snapshot: SnapshotRequest
    start_run: StartRunRequest
    status: StatusRequest
    stop: StopRequest
    stop_run: StopRunRequest
    trigger: TriggerRequest
    version: int
    wait: WaitRequest
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., status: _Optional[_Union[StatusRequest, _Mapping]] = ..., directory: _Optional[_Union[DirectoryRequest, _Mapping]] = ..., snapshot: _Optional[_Union[SnapshotRequest, _Mapping]] = ..., detector: _Optional[_Union[DetectorRequest, _Mapping]] = ..., arm: _Optional[_Union[ArmRequest, _Mapping]] = ..., trigger: _Optional[_Union[TriggerRequest, _Mapping]] = ..., stop: _Optional[_Union[StopRequest, _Mapping]] = ..., abort: _Optional[_Union[AbortRequest, _Mapping]] = ..., start_run: _Optional[_Union[StartRunRequest, _Mapping]] = ..., stop_run: _Optional[_Union[StopRunRequest, _Mapping]] = ..., list_runs: _Optional[_Union[ListRunsRequest, _Mapping]] = ..., change_run: _Optional[_Union[ChangeRunRequest, _Mapping]] = ..., configure: _Optional[_Union[ConfigureRequest, _Mapping]] = ..., command_file: _Optional[_Union[CommandFileRequest, _Mapping]] = ..., check: _Optional[_Union[CheckRequest, _Mapping]] = ..., scan: _Optional[_Union[ScanRequest, _Mapping]] = ..., wait: _Optional[_Union[WaitRequest, _Mapping]] = ..., image: _Optional[_Union[ImageRequest, _Mapping]] = ..., frame: _Optional[_Union[FrameRequest, _Mapping]] = ..., history: _Optional[_Union[HistoryRequest, _Mapping]] = ...) -> None: ...

class ResultName(_message.Message):
    __slots__ = ["channel", "run", "udf"]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    channel: str
    run: str
    udf: str
    def __init__(self, run: _Optional[str] = ..., udf: _Optional[str] = ..., channel: _Optional[str] = ...) -> None: ...

class ResultSection(_message.Message):
    __slots__ = ["buffers", "content_hash", "positions", "udf"]
    BUFFERS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    buffers: _containers.RepeatedCompositeFieldContainer[ArrayHeader]
    content_hash: int
    positions: _containers.RepeatedCompositeFieldContainer[PositionRange]
    udf: str
    def __init__(self, udf: _Optional[str] = ..., content_hash: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[PositionRange, _Mapping]]] = ..., buffers: _Optional[_Iterable[_Union[ArrayHeader, _Mapping]]] = ...) -> None: ...

class RingStatus(_message.Message):
    __slots__ = ["bytes_total", "slots_free", "slots_retained", "slots_total", "waits_for_space"]
    BYTES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FREE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_RETAINED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_SPACE_FIELD_NUMBER: _ClassVar[int]
    bytes_total: int
    slots_free: int
    slots_retained: int
    slots_total: int
    waits_for_space: int
    def __init__(self, bytes_total: _Optional[int] = ..., slots_total: _Optional[int] = ..., slots_free: _Optional[int] = ..., slots_retained: _Optional[int] = ..., waits_for_space: _Optional[int] = ...) -> None: ...

class RunList(_message.Message):
    __slots__ = ["runs"]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunStatus]
    def __init__(self, runs: _Optional[_Iterable[_Union[RunStatus, _Mapping]]] = ...) -> None: ...

class RunStarted(_message.Message):
    __slots__ = ["run"]
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: str
    def __init__(self, run: _Optional[str] = ...) -> None: ...

class RunStatus(_message.Message):
    __slots__ = ["acquisitions_left", "error", "finished", "frames_failed", "positions_expected", "positions_processed", "run", "udfs"]
    ACQUISITIONS_LEFT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FAILED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    acquisitions_left: int
    error: str
    finished: bool
    frames_failed: int
    positions_expected: int
    positions_processed: int
    run: str
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, run: _Optional[str] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., positions_processed: _Optional[int] = ..., positions_expected: _Optional[int] = ..., frames_failed: _Optional[int] = ..., error: _Optional[str] = ..., finished: bool = ..., acquisitions_left: _Optional[int] = ...) -> None: ...

class ScanMargins(_message.Message):
    __slots__ = ["flyback_per_line", "lead_in", "tail"]
    FLYBACK_PER_LINE_FIELD_NUMBER: _ClassVar[int]
    LEAD_IN_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    flyback_per_line: int
    lead_in: int
    tail: int
    def __init__(self, lead_in: _Optional[int] = ..., flyback_per_line: _Optional[int] = ..., tail: _Optional[int] = ...) -> None: ...

class ScanReport(_message.Message):
    __slots__ = ["acquisitions", "differing", "done", "run"]
    ACQUISITIONS_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    acquisitions: _containers.RepeatedCompositeFieldContainer[AcquisitionStatus]
    differing: _containers.RepeatedCompositeFieldContainer[DetectorSetting]
    done: int
    run: str
    def __init__(self, acquisitions: _Optional[_Iterable[_Union[AcquisitionStatus, _Mapping]]] = ..., run: _Optional[str] = ..., done: _Optional[int] = ..., differing: _Optional[_Iterable[_Union[DetectorSetting, _Mapping]]] = ...) -> None: ...

class ScanRequest(_message.Message):
    __slots__ = ["arm", "repeats", "run", "settings", "udfs"]
    ARM_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    arm: ArmRequest
    repeats: int
    run: str
    settings: _containers.RepeatedCompositeFieldContainer[DetectorSet]
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, settings: _Optional[_Iterable[_Union[DetectorSet, _Mapping]]] = ..., arm: _Optional[_Union[ArmRequest, _Mapping]] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., run: _Optional[str] = ..., repeats: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ["channels", "end", "start"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[Update]
    end: End
    start: Start
    def __init__(self, start: _Optional[_Union[Start, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ..., channels: _Optional[_Iterable[_Union[Update, _Mapping]]] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ["acquisition", "channel", "run", "udf"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    channel: str
    run: str
    udf: str
    def __init__(self, run: _Optional[str] = ..., udf: _Optional[str] = ..., channel: _Optional[str] = ..., acquisition: _Optional[bytes] = ...) -> None: ...

class SocketAccess(_message.Message):
    __slots__ = ["connections", "cut_connections", "failed_handshakes", "refused_connections", "refused_keys", "refused_requests", "socket"]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CUT_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    FAILED_HANDSHAKES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_KEYS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    connections: int
    cut_connections: int
    failed_handshakes: int
    refused_connections: int
    refused_keys: int
    refused_requests: int
    socket: str
    def __init__(self, socket: _Optional[str] = ..., connections: _Optional[int] = ..., failed_handshakes: _Optional[int] = ..., refused_keys: _Optional[int] = ..., refused_connections: _Optional[int] = ..., refused_requests: _Optional[int] = ..., cut_connections: _Optional[int] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ["acquisition", "acquisition_header", "format", "frames_expected", "frames_per_partition", "generation", "nav_shape", "started_at"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_HEADER_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_PARTITION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    acquisition_header: bytes
    format: FrameFormat
    frames_expected: int
    frames_per_partition: int
    generation: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    started_at: int
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., nav_shape: _Optional[_Iterable[int]] = ..., frames_expected: _Optional[int] = ..., format: _Optional[_Union[FrameFormat, _Mapping]] = ..., frames_per_partition: _Optional[int] = ..., acquisition_header: _Optional[bytes] = ..., started_at: _Optional[int] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ["acquisitions", "arrays", "from_start", "join_current", "keeps_isolated_pixels", "run", "udfs"]
    ACQUISITIONS_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    JOIN_CURRENT_FIELD_NUMBER: _ClassVar[int]
    KEEPS_ISOLATED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    acquisitions: int
    arrays: _containers.RepeatedCompositeFieldContainer[ArrayHeader]
    from_start: bool
    join_current: bool
    keeps_isolated_pixels: bool
    run: str
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, run: _Optional[str] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., acquisitions: _Optional[int] = ..., join_current: bool = ..., arrays: _Optional[_Iterable[_Union[ArrayHeader, _Mapping]]] = ..., from_start: bool = ..., keeps_isolated_pixels: bool = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ["access", "acquisition", "acquisitions", "armed", "detector", "disk", "dispatch", "earlier_acquisitions", "file_uri", "frames_written", "live", "malformed_control", "malformed_live", "malformed_work", "previous_acquisition", "ring", "runs", "server", "state", "subscribers", "uptime_ms", "versions", "window", "work_peers", "workers"]
    class VersionsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITIONS_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    ARMED_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    DISK_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    EARLIER_ACQUISITIONS_FIELD_NUMBER: _ClassVar[int]
    FILE_URI_FIELD_NUMBER: _ClassVar[int]
    FRAMES_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_CONTROL_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_LIVE_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_WORK_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_MS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WORK_PEERS_FIELD_NUMBER: _ClassVar[int]
    access: AccessStatus
    acquisition: AcquisitionStatus
    acquisitions: int
    armed: bool
    detector: DetectorStatus
    disk: DiskStatus
    dispatch: DispatchStatus
    earlier_acquisitions: _containers.RepeatedCompositeFieldContainer[AcquisitionStatus]
    file_uri: str
    frames_written: int
    live: LiveStatus
    malformed_control: int
    malformed_live: int
    malformed_work: int
    previous_acquisition: AcquisitionStatus
    ring: RingStatus
    runs: _containers.RepeatedCompositeFieldContainer[RunStatus]
    server: str
    state: str
    subscribers: _containers.RepeatedCompositeFieldContainer[SubscriberStatus]
    uptime_ms: int
    versions: _containers.ScalarMap[str, str]
    window: WindowStatus
    work_peers: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerStatus]
    def __init__(self, server: _Optional[str] = ..., state: _Optional[str] = ..., detector: _Optional[_Union[DetectorStatus, _Mapping]] = ..., acquisition: _Optional[_Union[AcquisitionStatus, _Mapping]] = ..., previous_acquisition: _Optional[_Union[AcquisitionStatus, _Mapping]] = ..., ring: _Optional[_Union[RingStatus, _Mapping]] = ..., live: _Optional[_Union[LiveStatus, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[RunStatus, _Mapping]]] = ..., uptime_ms: _Optional[int] = ..., acquisitions: _Optional[int] = ..., malformed_control: _Optional[int] = ..., malformed_work: _Optional[int] = ..., malformed_live: _Optional[int] = ..., work_peers: _Optional[int] = ..., earlier_acquisitions: _Optional[_Iterable[_Union[AcquisitionStatus, _Mapping]]] = ..., workers: _Optional[_Iterable[_Union[WorkerStatus, _Mapping]]] = ..., dispatch: _Optional[_Union[DispatchStatus, _Mapping]] = ..., subscribers: _Optional[_Iterable[_Union[SubscriberStatus, _Mapping]]] = ..., disk: _Optional[_Union[DiskStatus, _Mapping]] = ..., versions: _Optional[_Mapping[str, str]] = ..., armed: bool = ..., frames_written: _Optional[int] = ..., file_uri: _Optional[str] = ..., access: _Optional[_Union[AccessStatus, _Mapping]] = ..., window: _Optional[_Union[WindowStatus, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ["report"]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: SubscriberReport
    def __init__(self, report: _Optional[_Union[SubscriberReport, _Mapping]] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class StopRunRequest(_message.Message):
    __slots__ = ["run"]
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: str
    def __init__(self, run: _Optional[str] = ...) -> None: ...

class SubscriberReport(_message.Message):
    __slots__ = ["client_id", "frames_received", "frames_repaired", "messages_dropped", "messages_received", "name"]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_REPAIRED_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    frames_received: int
    frames_repaired: int
    messages_dropped: int
    messages_received: int
    name: str
    def __init__(self, name: _Optional[str] = ..., client_id: _Optional[bytes] = ..., messages_received: _Optional[int] = ..., messages_dropped: _Optional[int] = ..., frames_received: _Optional[int] = ..., frames_repaired: _Optional[int] = ...) -> None: ...

class SubscriberStatus(_message.Message):
    __slots__ = ["age_ms", "report"]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    age_ms: int
    report: SubscriberReport
    def __init__(self, report: _Optional[_Union[SubscriberReport, _Mapping]] = ..., age_ms: _Optional[int] = ...) -> None: ...

class Tile(_message.Message):
    __slots__ = ["acquisition", "checksum", "count", "first_position", "format", "generation", "header_offset", "nav_shape", "partition", "payload_bytes", "pixel_offset", "received_at", "stride"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    HEADER_OFFSET_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIXEL_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    checksum: int
    count: int
    first_position: int
    format: FrameFormat
    generation: int
    header_offset: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    partition: int
    payload_bytes: int
    pixel_offset: int
    received_at: int
    stride: int
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., first_position: _Optional[int] = ..., count: _Optional[int] = ..., partition: _Optional[int] = ..., format: _Optional[_Union[FrameFormat, _Mapping]] = ..., stride: _Optional[int] = ..., header_offset: _Optional[int] = ..., pixel_offset: _Optional[int] = ..., payload_bytes: _Optional[int] = ..., checksum: _Optional[int] = ..., received_at: _Optional[int] = ..., nav_shape: _Optional[_Iterable[int]] = ...) -> None: ...

class TriggerRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class UdfOffer(_message.Message):
    __slots__ = ["name", "version"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class UdfRequest(_message.Message):
    __slots__ = ["id", "name", "parameters"]
    class ParametersEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UnavailableRange(_message.Message):
    __slots__ = ["range", "reason"]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    range: PositionRange
    reason: str
    def __init__(self, range: _Optional[_Union[PositionRange, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ["acquisition", "channel", "checksum", "dtype", "final", "generation", "generations", "kind", "manifest", "mask_checksum", "nav_shape", "parameter_generation", "positions_expected", "positions_processed", "run", "shape", "sig_shape", "udf", "version"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    MASK_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    NAV_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SIG_SHAPE_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    channel: str
    checksum: int
    dtype: str
    final: bool
    generation: int
    generations: _containers.RepeatedCompositeFieldContainer[GenerationRange]
    kind: str
    manifest: Manifest
    mask_checksum: int
    nav_shape: _containers.RepeatedScalarFieldContainer[int]
    parameter_generation: int
    positions_expected: int
    positions_processed: int
    run: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    sig_shape: _containers.RepeatedScalarFieldContainer[int]
    udf: str
    version: int
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., run: _Optional[str] = ..., udf: _Optional[str] = ..., channel: _Optional[str] = ..., version: _Optional[int] = ..., kind: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., positions_processed: _Optional[int] = ..., positions_expected: _Optional[int] = ..., final: bool = ..., checksum: _Optional[int] = ..., mask_checksum: _Optional[int] = ..., nav_shape: _Optional[_Iterable[int]] = ..., sig_shape: _Optional[_Iterable[int]] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ..., parameter_generation: _Optional[int] = ..., generations: _Optional[_Iterable[_Union[GenerationRange, _Mapping]]] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ["generation"]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ["clock", "directory", "peer", "role", "server", "session", "status", "version"]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    clock: int
    directory: Directory
    peer: str
    role: str
    server: str
    session: bytes
    status: Status
    version: int
    def __init__(self, version: _Optional[int] = ..., server: _Optional[str] = ..., session: _Optional[bytes] = ..., clock: _Optional[int] = ..., directory: _Optional[_Union[Directory, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., peer: _Optional[str] = ..., role: _Optional[str] = ...) -> None: ...

class WindowEntry(_message.Message):
    __slots__ = ["acquisition", "ended", "frames_expected", "frames_held", "generation"]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_HELD_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    acquisition: bytes
    ended: bool
    frames_expected: int
    frames_held: int
    generation: int
    def __init__(self, acquisition: _Optional[bytes] = ..., generation: _Optional[int] = ..., frames_expected: _Optional[int] = ..., frames_held: _Optional[int] = ..., ended: bool = ...) -> None: ...

class WindowStatus(_message.Message):
    __slots__ = ["endless", "entries", "first_generation", "kept"]
    ENDLESS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FIRST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    endless: bool
    entries: _containers.RepeatedCompositeFieldContainer[WindowEntry]
    first_generation: int
    kept: int
    def __init__(self, kept: _Optional[int] = ..., endless: bool = ..., first_generation: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[WindowEntry, _Mapping]]] = ...) -> None: ...

class Withdraw(_message.Message):
    __slots__ = ["item", "reason"]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    item: WorkItem
    reason: str
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Withdrew(_message.Message):
    __slots__ = ["item"]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: WorkItem
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ...) -> None: ...

class WorkClosed(_message.Message):
    __slots__ = ["frames", "item"]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    frames: int
    item: WorkItem
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., frames: _Optional[int] = ...) -> None: ...

class WorkFailed(_message.Message):
    __slots__ = ["item", "message", "udf", "udf_error"]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    UDF_ERROR_FIELD_NUMBER: _ClassVar[int]
    UDF_FIELD_NUMBER: _ClassVar[int]
    item: WorkItem
    message: str
    udf: str
    udf_error: bool
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., udf: _Optional[str] = ..., message: _Optional[str] = ..., udf_error: bool = ...) -> None: ...

class WorkHello(_message.Message):
    __slots__ = ["client", "client_id", "credit", "epoch", "version_max", "version_min", "worker"]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    client: str
    client_id: bytes
    credit: Credit
    epoch: int
    version_max: int
    version_min: int
    worker: WorkerOffer
    def __init__(self, version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., client: _Optional[str] = ..., client_id: _Optional[bytes] = ..., epoch: _Optional[int] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., worker: _Optional[_Union[WorkerOffer, _Mapping]] = ...) -> None: ...

class WorkItem(_message.Message):
    __slots__ = ["attempt", "partition", "plan"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    partition: int
    plan: int
    def __init__(self, plan: _Optional[int] = ..., partition: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class WorkMessage(_message.Message):
    __slots__ = ["ack", "ask", "beat", "bye", "closed", "credit", "failed", "failure", "fetch", "fetch_end", "frame_memory_mapped", "hello", "holding", "merge_task", "merge_task_done", "plan", "plan_over", "planned", "result", "tile", "welcome", "withdraw", "withdrew", "work"]
    ACK_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FETCH_END_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    FRAME_MEMORY_MAPPED_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    MERGE_TASK_DONE_FIELD_NUMBER: _ClassVar[int]
    MERGE_TASK_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    PLAN_OVER_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    WITHDREW_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    ack: Ack
    ask: Ask
    beat: Beat
    bye: Bye
    closed: WorkClosed
    credit: Credit
    failed: WorkFailed
    failure: Failure
    fetch: Fetch
    fetch_end: FetchEnd
    frame_memory_mapped: FrameMemoryMapped
    hello: WorkHello
    holding: Holding
    merge_task: MergeTask
    merge_task_done: MergeTaskDone
    plan: WorkPlan
    plan_over: PlanOver
    planned: Planned
    result: WorkResult
    tile: FetchedTile
    welcome: WorkWelcome
    withdraw: Withdraw
    withdrew: Withdrew
    work: WorkTile
    def __init__(self, hello: _Optional[_Union[WorkHello, _Mapping]] = ..., welcome: _Optional[_Union[WorkWelcome, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., tile: _Optional[_Union[FetchedTile, _Mapping]] = ..., fetch_end: _Optional[_Union[FetchEnd, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., plan: _Optional[_Union[WorkPlan, _Mapping]] = ..., planned: _Optional[_Union[Planned, _Mapping]] = ..., work: _Optional[_Union[WorkTile, _Mapping]] = ..., closed: _Optional[_Union[WorkClosed, _Mapping]] = ..., result: _Optional[_Union[WorkResult, _Mapping]] = ..., failed: _Optional[_Union[WorkFailed, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., withdraw: _Optional[_Union[Withdraw, _Mapping]] = ..., plan_over: _Optional[_Union[PlanOver, _Mapping]] = ..., merge_task: _Optional[_Union[MergeTask, _Mapping]] = ..., merge_task_done: _Optional[_Union[MergeTaskDone, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ..., holding: _Optional[_Union[Holding, _Mapping]] = ..., withdrew: _Optional[_Union[Withdrew, _Mapping]] = ..., frame_memory_mapped: _Optional[_Union[FrameMemoryMapped, _Mapping]] = ...) -> None: ...

class WorkPlan(_message.Message):
    __slots__ = ["arrays", "keeps_isolated_pixels", "parameter_generation", "plan", "run", "start", "udfs"]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    KEEPS_ISOLATED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    arrays: _containers.RepeatedCompositeFieldContainer[ArrayHeader]
    keeps_isolated_pixels: bool
    parameter_generation: int
    plan: int
    run: str
    start: Start
    udfs: _containers.RepeatedCompositeFieldContainer[UdfRequest]
    def __init__(self, plan: _Optional[int] = ..., run: _Optional[str] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., udfs: _Optional[_Iterable[_Union[UdfRequest, _Mapping]]] = ..., parameter_generation: _Optional[int] = ..., arrays: _Optional[_Iterable[_Union[ArrayHeader, _Mapping]]] = ..., keeps_isolated_pixels: bool = ...) -> None: ...

class WorkResult(_message.Message):
    __slots__ = ["frames", "item", "parameter_generation", "seconds", "sections"]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    frames: int
    item: WorkItem
    parameter_generation: int
    seconds: float
    sections: _containers.RepeatedCompositeFieldContainer[ResultSection]
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., parameter_generation: _Optional[int] = ..., sections: _Optional[_Iterable[_Union[ResultSection, _Mapping]]] = ..., frames: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class WorkTile(_message.Message):
    __slots__ = ["item", "memory", "tile"]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    item: WorkItem
    memory: _containers.RepeatedCompositeFieldContainer[FramesInMemory]
    tile: Tile
    def __init__(self, item: _Optional[_Union[WorkItem, _Mapping]] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ..., memory: _Optional[_Iterable[_Union[FramesInMemory, _Mapping]]] = ...) -> None: ...

class WorkWelcome(_message.Message):
    __slots__ = ["beat_interval_ms", "frame_memory", "session", "silence_limit_ms", "version"]
    BEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    FRAME_MEMORY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SILENCE_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    beat_interval_ms: int
    frame_memory: FrameMemory
    session: bytes
    silence_limit_ms: int
    version: int
    def __init__(self, version: _Optional[int] = ..., session: _Optional[bytes] = ..., beat_interval_ms: _Optional[int] = ..., silence_limit_ms: _Optional[int] = ..., frame_memory: _Optional[_Union[FrameMemory, _Mapping]] = ...) -> None: ...

class WorkerOffer(_message.Message):
    __slots__ = ["host", "memory_bytes", "process", "reads_memory", "threads", "udfs"]
    HOST_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    READS_MEMORY_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    UDFS_FIELD_NUMBER: _ClassVar[int]
    host: str
    memory_bytes: int
    process: int
    reads_memory: bool
    threads: int
    udfs: _containers.RepeatedCompositeFieldContainer[UdfOffer]
    def __init__(self, udfs: _Optional[_Iterable[_Union[UdfOffer, _Mapping]]] = ..., threads: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., host: _Optional[str] = ..., process: _Optional[int] = ..., reads_memory: bool = ...) -> None: ...

class WorkerStatus(_message.Message):
    __slots__ = ["credit", "done", "epoch", "failed", "host", "in_flight", "is_local", "lag_ms", "last_beat_ms", "name", "rate", "redone", "threads", "worker_id"]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    IS_LOCAL_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_BEAT_MS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    REDONE_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    credit: int
    done: int
    epoch: int
    failed: int
    host: str
    in_flight: int
    is_local: bool
    lag_ms: int
    last_beat_ms: int
    name: str
    rate: float
    redone: int
    threads: int
    worker_id: bytes
    def __init__(self, name: _Optional[str] = ..., host: _Optional[str] = ..., worker_id: _Optional[bytes] = ..., epoch: _Optional[int] = ..., is_local: bool = ..., threads: _Optional[int] = ..., credit: _Optional[int] = ..., in_flight: _Optional[int] = ..., done: _Optional[int] = ..., redone: _Optional[int] = ..., failed: _Optional[int] = ..., rate: _Optional[float] = ..., lag_ms: _Optional[int] = ..., last_beat_ms: _Optional[int] = ...) -> None: ...
