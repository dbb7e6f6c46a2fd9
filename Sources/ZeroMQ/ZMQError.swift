import CLibzmq
import Glibc
import StemwireSystem

/// A call of libzmq that failed: why, in which step, on what, and what to do about it.
///
/// "Nothing there now" (`EAGAIN` of the `try…` calls) is no error but a result, and interrupted calls (`EINTR`) are
/// repeated; neither is thrown.
public struct ZMQError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The cause: an `errno` of the system or of libzmq, or one of this module's own (negative).
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: Int32

        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// A blocking call's time limit passed (`EAGAIN`).
        public static let timedOut = Code(rawValue: EAGAIN)
        /// The context was shut down (`ETERM`): the program, or this part of it, is ending.
        public static let terminated = Code(rawValue: stemwire_zmq_eterm())
        /// The socket was closed (`ENOTSOCK`).
        public static let closed = Code(rawValue: ENOTSOCK)
        /// No peer with this routing id (`EHOSTUNREACH`, from a ROUTER with `routerMandatory`).
        public static let unroutable = Code(rawValue: EHOSTUNREACH)
        /// Send and receive out of turn, on REQ and REP (`EFSM`).
        public static let outOfTurn = Code(rawValue: stemwire_zmq_efsm())
        public static let addressInUse = Code(rawValue: EADDRINUSE)
        public static let addressNotAvailable = Code(rawValue: EADDRNOTAVAIL)
        public static let noDevice = Code(rawValue: ENODEV)
        public static let noEntry = Code(rawValue: ENOENT)
        public static let permissionDenied = Code(rawValue: EACCES)
        public static let connectionRefused = Code(rawValue: ECONNREFUSED)
        public static let nameTooLong = Code(rawValue: ENAMETOOLONG)
        public static let invalid = Code(rawValue: EINVAL)
        /// This kind of socket does not do this (`ENOTSUP`), such as sending on a SUB.
        public static let notSupported = Code(rawValue: ENOTSUP)
        public static let unknownTransport = Code(rawValue: EPROTONOSUPPORT)
        public static let incompatibleTransport = Code(rawValue: stemwire_zmq_enocompatproto())
        public static let tooManySockets = Code(rawValue: EMFILE)
        public static let noIOThread = Code(rawValue: stemwire_zmq_emthread())
        /// The loaded libzmq is older than ``ZMQLibrary/minimumVersion``.
        public static let unsupportedLibrary = Code(rawValue: -1)
        /// A message had more parts than the receiver allows; it was read to its end and dropped.
        public static let tooManyParts = Code(rawValue: -2)
        /// The peer went away between two parts of a message; the whole message was dropped.
        public static let droppedMidMessage = Code(rawValue: -3)
        /// A text is no Z85 encoding of the wanted length.
        public static let malformedKey = Code(rawValue: -4)
    }

    public let code: Code
    /// The step that failed, such as `bind` or `set linger`.
    public let operation: String
    /// What it was done to: an endpoint, a socket's kind, an option's value; empty when there is nothing to name.
    public let subject: String

    public init(_ code: Code, _ operation: String, subject: String = "") {
        self.code = code
        self.operation = operation
        self.subject = subject
    }

    /// Takes the code from libzmq's errno of this thread.
    static func last(_ operation: String, subject: String = "") -> ZMQError {
        ZMQError(Code(rawValue: zmq_errno()), operation, subject: subject)
    }

    init(_ error: SystemError) {
        self.init(Code(rawValue: error.code), error.operation, subject: error.subject)
    }

    /// Why, in words.
    public var reason: String {
        switch code {
        case .timedOut: "no peer was ready within the time limit"
        case .terminated: "the ZeroMQ context was shut down"
        case .closed: "the socket is closed"
        case .unroutable: "no peer with this routing id is connected"
        case .outOfTurn: "out of turn: a REQ socket sends, then receives; a REP socket receives, then sends"
        case .unsupportedLibrary: "this libzmq is too old and open to known attacks"
        case .tooManyParts: "the message has more parts than allowed, and was dropped"
        case .droppedMidMessage: "the peer went away while the message was sent; no part of it arrives"
        case .malformedKey: "not a Z85 text of the right length"
        default: String(cString: zmq_strerror(code.rawValue))
        }
    }

    /// What to check or do, where there is something to say.
    public var advice: String? {
        switch code {
        case .addressInUse: "another program uses this address: stop it, or choose another port (`*` takes a free one)"
        case .addressNotAvailable: "this machine has no such address: use one of its own, or `*` for all"
        case .noDevice: "this machine has no such network interface or address"
        case .noEntry: "the folder of the ipc path must exist"
        case .permissionDenied: "ports below 1024 need rights; an ipc path needs write access to its folder"
        case .nameTooLong: "an ipc path has at most 107 bytes"
        case .connectionRefused: "nobody listens at this address: check that the server runs, and its port"
        case .invalid where operation == "bind" || operation == "connect":
            "an endpoint reads like tcp://127.0.0.1:7400, ipc:///path or inproc://name"
        case .invalid where operation.hasPrefix("set "):
            "the value is out of range, or this kind of socket does not have this option"
        case .unknownTransport: "this libzmq has no such transport: use tcp, ipc or inproc"
        case .tooManySockets: "too many sockets or files are open: raise `ulimit -n` or the context's `maxSockets`"
        case .unsupportedLibrary: "install libzmq \(ZMQLibrary.minimumVersion) or later"
        case .malformedKey: "a CURVE key is 40 characters; copy it whole, without quotes or spaces"
        default: nil
        }
    }

    public var description: String {
        let what = subject.isEmpty ? operation : "\(operation) \(subject)"
        return advice.map { "\(what): \(reason) (\($0))" } ?? "\(what): \(reason)"
    }
}
