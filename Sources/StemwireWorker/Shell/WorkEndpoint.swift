import StemwireClient

/// Where a server's work socket is: `tcp://HOST:7402`, or `ipc://PATH` on this machine.
struct WorkEndpoint: Sendable, Hashable, CustomStringConvertible {
    static let defaultPort = 7402

    /// The ZeroMQ endpoint.
    let address: String
    let isIPv6: Bool
    /// Whether no network lies between.
    let isLocal: Bool

    /// Reads `tcp://HOST[:PORT]`, `HOST[:PORT]` or `ipc://PATH`; the port is 7402 unless given.
    init(_ text: String) throws(WorkerError) {
        if text.hasPrefix("ipc://") {
            // The limit of a socket's name in the system, with its end mark.
            guard (7..<6 + 108).contains(text.utf8.count) else {
                throw .badSetting("“\(text)” is no server address: behind ipc:// comes a path of 1 to 107 bytes")
            }
            (address, isIPv6, isLocal) = (text, false, true)
            return
        }
        do throws(ConnectError) {
            let endpoint = try ServerEndpoint(text, defaultPort: Self.defaultPort)
            (address, isIPv6, isLocal) = (endpoint.description, endpoint.isIPv6, endpoint.isLoopback)
        } catch {
            guard case .badEndpoint(_, let why) = error else { throw .badSetting(error.description) }
            throw .badSetting(
                "“\(text)” is no server address: \(why); write it like tcp://merlin-server:7402 or ipc:///run/stemwire")
        }
    }

    var description: String { address }
}
