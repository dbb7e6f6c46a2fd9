/// Where frames come from, as the command line and scripts name it.
///
/// `merlin://HOST[:CONTROL,DATA]`, `FILE.hdr`, `FILE.mib`, `synthetic` or `stemwire://HOST[:PORT]`.
public enum SourceLocator: Sendable, Hashable, CustomStringConvertible {
    /// A Merlin detector's control and data sockets.
    case merlin(host: String, controlPort: Int, dataPort: Int)
    /// A recording.
    case file(path: String)
    /// The embedded simulator with its synthetic scan.
    case synthetic
    /// An acquisition server's control socket.
    case server(host: String, port: Int)

    /// - Throws: `SourceLocatorError` with what was wrong and what is possible.
    public init(_ text: String) throws(SourceLocatorError) {
        if text == "synthetic" {
            self = .synthetic
        } else if let rest = text.droppingPrefix("merlin://") {
            let (host, ports) = try Self.split(rest, of: text)
            guard let ports else {
                self = .merlin(host: host, controlPort: 6341, dataPort: 6342)
                return
            }
            let numbers = ports.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard numbers.count == 2, let control = numbers[0], let data = numbers[1],
                [control, data].allSatisfy((1...65535).contains)
            else {
                throw .unreadable(
                    text, reason: "after the host come the control and the data port, as in merlin://host:6341,6342")
            }
            self = .merlin(host: host, controlPort: control, dataPort: data)
        } else if let rest = text.droppingPrefix("stemwire://") ?? text.droppingPrefix("tcp://") {
            let (host, port) = try Self.split(rest, of: text)
            guard let number = port.map({ Int($0) }) ?? 7400, (1...65535).contains(number) else {
                throw .unreadable(text, reason: "after the host comes one port number, as in stemwire://host:7400")
            }
            self = .server(host: host, port: number)
        } else if text.hasSuffix(".hdr") || text.hasSuffix(".mib") {
            self = .file(path: text)
        } else {
            throw .unreadable(
                text, reason: "it is none of merlin://HOST, FILE.hdr, FILE.mib, synthetic, stemwire://HOST")
        }
    }

    private static func split(_ rest: String, of text: String) throws(SourceLocatorError) -> (
        host: String, ports: String?
    ) {
        // An IPv6 address stands in brackets.
        guard rest.hasPrefix("[") == rest.contains("]") else {
            throw .unreadable(text, reason: "an IPv6 address stands in a pair of brackets, as in merlin://[::1]")
        }
        let end =
            rest.hasPrefix("[") ? rest.firstIndex(of: "]").map { rest.index(after: $0) } : rest.firstIndex(of: ":")
        let host = String(rest[..<(end ?? rest.endIndex)])
        let ports = end.map { String(rest[$0...]) } ?? ""
        let bare = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        guard !bare.isEmpty, !bare.contains("/"), ports.isEmpty || ports.hasPrefix(":") else {
            throw .unreadable(text, reason: "the host's name or address is missing or not one")
        }
        return (bare, ports.isEmpty ? nil : String(ports.dropFirst()))
    }

    public var description: String {
        switch self {
        case .merlin(let host, let control, let data): "merlin://\(host):\(control),\(data)"
        case .file(let path): path
        case .synthetic: "synthetic"
        case .server(let host, let port): "stemwire://\(host):\(port)"
        }
    }
}

/// A source that cannot be understood.
public enum SourceLocatorError: Error, Sendable, CustomStringConvertible {
    case unreadable(String, reason: String)

    public var description: String {
        switch self {
        case .unreadable(let text, let reason): "'\(text)' is not a source: \(reason)"
        }
    }
}

extension String {
    fileprivate func droppingPrefix(_ prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
