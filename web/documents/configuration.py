"""Settings that matter to clients, and the road network: shapes of the answers, and operations."""

from typing import Any, Literal, NotRequired, TypedDict

from .elements import BAD, GEOJSON, UNCHANGED, Documented, Operation, success
from .parameters import TAG


class ConfigReport(TypedDict):
    """The settings that matter to clients."""

    topic: str
    speed_unit: Literal["mph", "kmh"]
    category_thresholds_mph: list[float]
    expected_interval_seconds: float
    heartbeat_seconds: float
    max_limit: int
    max_wait_seconds: float
    buffer_entries: int
    max_segments: int
    max_age_seconds: int


class FeatureProperties(TypedDict):
    """The road of a segment, if the network has it."""

    road_name: NotRequired[str]


class SegmentFeature(TypedDict):
    """One segment in GeoJSON (RFC 7946)."""

    type: Literal["Feature"]
    id: str
    properties: FeatureProperties
    geometry: dict[str, Any] | None


class NetworkReport(TypedDict):
    """All segments of NETWORK_FILE in GeoJSON (RFC 7946)."""

    type: Literal["FeatureCollection"]
    features: list[SegmentFeature]


OPERATIONS = (
    Operation(
        "/api/config",
        "config",
        "Settings",
        "Settings that matter to clients",
        {"200": success("The settings", ConfigReport), "400": BAD},
        examples=["/api/config"],
    ),
    Operation(
        "/api/network",
        "network",
        "Settings",
        "Segments of NETWORK_FILE as GeoJSON",
        {
            "200": Documented("No features without a file", {GEOJSON: NetworkReport}, ("ETag",)),
            "304": UNCHANGED,
            "400": BAD,
        },
        [TAG],
        examples=["/api/network"],
    ),
)
