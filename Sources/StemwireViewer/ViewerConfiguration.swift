import StemwireClient

/// What the viewer is for, and for whom.
public struct ViewerConfiguration: Sendable {
    /// What pages may do.
    public enum Role: Sendable, Hashable {
        /// Nothing but look.
        case look
        /// Also arm, trigger, stop, abort, and have virtual detectors.
        case operate
    }

    /// The control endpoint of the acquisition server, such as `tcp://127.0.0.1:7400`.
    public var serverEndpoint: String
    /// What the viewer shows the server; nil for a server that asks nobody.
    public var token: AccessToken?
    /// The address to listen at.
    public var bindHost = "127.0.0.1"
    /// The port to listen on; 0 takes a free one.
    public var port = 7480
    /// Who may come in, and as what; nil: nobody is asked.
    public var guests: GuestBook?
    /// Allows an address other than loopback, without encryption and without asking who comes.
    public var allowsInsecure = false
    public var role = Role.operate
    /// Origins beside the viewer's own whose pages may connect and show it in a frame, such as `https://hub.example.org`.
    public var allowedOrigins: [String] = []
    /// Further addresses, such as `readyz`, for `/readyz`; what is said at `metrics` stands before the viewer's own figures.
    public var texts: [String: OperatorPage] = [:]
    /// Pages at a time, at most.
    public var maximumPages = 64

    public init(serverEndpoint: String) { self.serverEndpoint = serverEndpoint }
}

/// An address for an operator's tools.
public struct OperatorPage: Sendable {
    /// Whether it is told without a token, also where one is needed.
    public var isForAll: Bool
    /// Asked anew for each request.
    public var make: @Sendable () -> OperatorText

    public init(isForAll: Bool = false, _ make: @escaping @Sendable () -> OperatorText) {
        (self.isForAll, self.make) = (isForAll, make)
    }
}

/// A text for an operator's tools.
public struct OperatorText: Sendable {
    /// Of Prometheus' text form.
    public static let metricsMediaType = "text/plain; version=0.0.4; charset=utf-8"

    public var mediaType: String
    public var text: String
    /// False: told by the status 503.
    public var isGood: Bool

    public init(_ text: String, mediaType: String = "text/plain; charset=utf-8", isGood: Bool = true) {
        (self.text, self.mediaType, self.isGood) = (text, mediaType, isGood)
    }
}

/// Why the viewer cannot start.
public enum ViewerError: Error, Sendable, CustomStringConvertible {
    /// A setting that cannot be: which, and why.
    case badSetting(String, String)
    case cannotListen(host: String, port: Int, why: String)
    case alreadyStarted

    public var description: String {
        switch self {
        case .badSetting(let name, let why): "viewer \(name): \(why)"
        case .cannotListen(let host, let port, let why):
            """
            the viewer cannot listen at http://\(host):\(port): \(why). Check that nothing else uses the port; 0 takes a \
            free one
            """
        case .alreadyStarted: "the viewer was started before"
        }
    }
}
