"""What can go wrong, each as a type of its own, all under `StemwireError`.

An error tells what failed, where, and what to check. Those that the server answers with are `RequestRefused` and its
kinds: they carry the server's own message and the stable word of the protocol in `code`.
"""

from __future__ import annotations


class StemwireError(Exception):
    """Everything that this package raises on its own account."""


class ServerUnreachable(StemwireError, ConnectionError):
    """Nobody answers at the address: wrong host or port, server not started, or a firewall between."""


class NotStemwire(StemwireError, ConnectionError):
    """Somebody answers at the address, but not as the control socket of a Stemwire server does."""


class VersionMismatch(StemwireError):
    """Server and client have no version of the protocol in common."""


class ServerLost(StemwireError, ConnectionError):
    """The server was there and is gone: ended, killed, restarted, or cut off."""


class DeadlineExceeded(StemwireError, TimeoutError):
    """What was waited for did not come in the time that was given."""


class ConnectionClosed(StemwireError):
    """The connection, or the iterator, was closed before."""


class BadToken(StemwireError, ValueError):
    """A token that is none, or that others may read."""


class AccessDenied(StemwireError, ConnectionError):
    """The server does not let this client in: its key was never enrolled there, or has been revoked; or it asks for
    keys and there is no token."""


class NothingToFetch(StemwireError):
    """There is no work socket: the connection is to a relay, which holds no frames."""


class ProtocolError(StemwireError):
    """A message of the server that cannot be: sizes that do not fit, fields that are missing."""


class ChecksumMismatch(ProtocolError):
    """A payload arrived with other bytes than were sent."""


class DecodeError(StemwireError):
    """Frames in a format that cannot be decoded."""


class RunFailed(StemwireError):
    """A UDF of the run failed in the server."""


class RequestRefused(StemwireError):
    """The server refused a request. `code` is the protocol's word, the text is the server's."""

    code = ""

    def __init__(self, message: str, code: str | None = None, detector_code: int = 0) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.detector_code = detector_code


class MalformedRequest(RequestRefused):
    code = "malformed"


class UnknownRequest(RequestRefused):
    """The server is older than this request."""

    code = "unknownRequest"


class UnsupportedVersion(RequestRefused, VersionMismatch):
    code = "unsupportedVersion"


class InvalidArgument(RequestRefused, ValueError):
    """A value that cannot be; the message says which, and what is allowed."""

    code = "invalidArgument"


class NotFound(RequestRefused, LookupError):
    """No such run, channel or acquisition, or it is not kept any more."""

    code = "notFound"


class DetectorRefused(RequestRefused):
    """The detector answered with an error code: see `detector_code`."""

    code = "detectorRefused"


class DetectorUnreachable(RequestRefused, ConnectionError):
    """The server has no connection to the detector's control socket."""

    code = "detectorUnreachable"


class DetectorNonsense(RequestRefused, ConnectionError):
    """What answers at the detector's control address does not speak as a Merlin."""

    code = "detectorNonsense"


class DetectorTimedOut(RequestRefused, TimeoutError):
    """The detector did not answer the server in time."""

    code = "timedOut"


class WrongState(RequestRefused):
    """Not possible in the present state of the detector."""

    code = "wrongState"


class Forbidden(RequestRefused, PermissionError):
    """The role of this client's key is not enough."""

    code = "forbidden"


class Busy(RequestRefused):
    """Too many requests are waiting; try again."""

    code = "busy"


class InternalFault(RequestRefused):
    """A fault in the server."""

    code = "internal"


_KINDS: dict[str, type[RequestRefused]] = {
    kind.code: kind
    for kind in (
        MalformedRequest,
        UnknownRequest,
        UnsupportedVersion,
        InvalidArgument,
        NotFound,
        DetectorRefused,
        DetectorUnreachable,
        DetectorNonsense,
        DetectorTimedOut,
        WrongState,
        Forbidden,
        Busy,
        InternalFault,
    )
}


def refusal(code: str, message: str, detector_code: int = 0) -> RequestRefused:
    """The error for a failure code; a code that this version does not know gives a plain `RequestRefused`."""
    kind = _KINDS.get(code, RequestRefused)
    return kind(message or f"the server refused the request ({code})", code, detector_code)
