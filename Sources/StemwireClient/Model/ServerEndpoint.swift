/// Where an acquisition server is: host and port of its control socket, or the folder of its ipc sockets on this machine.
public struct ServerEndpoint: Sendable, Hashable, CustomStringConvertible {
    public static let defaultControlPort = 7400

    /// A name or a number; an IPv6 number without its brackets.
    public let host: String
    public let controlPort: Int
    /// The folder of the ipc sockets; nil for TCP.
    private let ipcDirectory: String?

    /// Which of a server's sockets.
    package enum Service: String { case control, live, work }

    /// Reads `tcp://HOST:PORT`, `stemwire://HOST[:PORT]` or `HOST[:PORT]`, or `ipc://FOLDER`; the port is 7400 unless given, an
    /// IPv6 number stands in brackets.
    public init(_ text: String) throws(ConnectError) {
        try self.init(text, defaultPort: ServerEndpoint.defaultControlPort)
    }

    /// As the public one, for another of the server's sockets.
    package init(_ text: String, defaultPort: Int) throws(ConnectError) {
        if text.hasPrefix("ipc://") {
            let path = String(text.dropFirst("ipc://".count))
            guard (1...80).contains(path.utf8.count) else {
                throw .badEndpoint(text, why: "behind ipc:// comes the path of a folder, of 1 to 80 bytes")
            }
            (host, controlPort, ipcDirectory) = ("localhost", 0, path)
            return
        }
        ipcDirectory = nil
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            let name = rest[..<scheme.lowerBound]
            guard name == "tcp" || name == "stemwire" else {
                throw .badEndpoint(text, why: "\(name):// is no way to reach a Stemwire server")
            }
            rest = rest[scheme.upperBound...]
        }
        if rest.last == "/" { rest.removeLast() }
        var port = String(defaultPort)
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { throw .badEndpoint(text, why: "the bracket is not closed") }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let behind = rest[rest.index(after: end)...]
            guard behind.isEmpty || behind.first == ":" else {
                throw .badEndpoint(text, why: "behind the bracket comes a colon and the port")
            }
            if !behind.isEmpty { port = String(behind.dropFirst()) }
        } else {
            let pieces = rest.split(separator: ":", omittingEmptySubsequences: false)
            guard pieces.count <= 2 else { throw .badEndpoint(text, why: "an IPv6 number stands in [brackets]") }
            host = String(pieces[0])
            if pieces.count == 2 { port = String(pieces[1]) }
        }
        let allowed = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: ":"), UInt8(ascii: "%"):
                true
            default: false
            }
        }
        guard (1...253).contains(host.utf8.count), allowed else {
            throw .badEndpoint(text, why: "“\(host)” is no host name or address")
        }
        guard let number = Int(port), (1...65535).contains(number), port.utf8.first != UInt8(ascii: "+") else {
            throw .badEndpoint(text, why: "a port is a number from 1 to 65535")
        }
        controlPort = number
    }

    /// Whether it is on this machine by its name or number.
    package var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    package var isIPv6: Bool { host.contains(":") }

    package var isIPC: Bool { ipcDirectory != nil }

    /// The ZeroMQ endpoint of one of the server's sockets.
    package func address(of service: Service, port: Int) -> String {
        if let ipcDirectory { return "ipc://\(ipcDirectory)/\(service.rawValue)" }
        return isIPv6 ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
    }

    /// The control socket's ZeroMQ endpoint.
    var controlAddress: String { address(of: .control, port: controlPort) }

    /// The endpoint as it can be given again.
    public var description: String { ipcDirectory.map { "ipc://\($0)" } ?? controlAddress }
}

extension Substring {
    /// The first place where `text` stands; a few lines here save the client a dependency on Foundation.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
