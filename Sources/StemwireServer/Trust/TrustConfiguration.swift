import StemwireProtocol
import ZeroMQ

/// Whom the sockets of a server or a relay let in, and how many.
public struct TrustConfiguration: Sendable {
    /// Where the server's key and the allow list are; nil: no encryption, and nobody is asked who it is.
    public var keys: KeyDirectory?
    /// Peers that are not in the file, such as the viewer's page of the same process.
    public var ownPeers: [AllowList.Entry] = []
    /// A folder for ipc sockets `control`, `live` and `work`, beside TCP; who may enter the folder is let in as admin.
    public var ipcDirectory: String?
    /// Connections of each socket, at most.
    public var maximumConnections = 1024
    /// The part of the process's descriptors that the connections of one socket may take. Where they run out libzmq turns
    /// on the spot; so many connections never take the last ones.
    @_spi(Benchmarks) public var descriptorShare = 1.0 / 6

    public init() {}

    /// What of it cannot be, with an address to listen at.
    package func problem(bindHost: String, allowsInsecure: Bool) -> (setting: String, why: String)? {
        guard (1...1 << 16).contains(maximumConnections) else {
            return ("connections", "\(maximumConnections); 1 to \(1 << 16) are possible")
        }
        if let ipcDirectory, !(1...80).contains(ipcDirectory.utf8.count) {
            return ("ipc", "\"\(ipcDirectory)\" is no folder for ipc sockets: its path has 1 to 80 bytes")
        }
        if keys != nil, allowsInsecure {
            return ("insecure", "with keys nobody comes in unasked; leave out one of the two")
        }
        guard allowsInsecure || keys != nil || ["127.0.0.1", "localhost", "::1"].contains(bindHost) else {
            return (
                "bind",
                "\(bindHost) can be reached from other machines, so that peers need keys: make the server's with "
                    + "`stemwire keygen` and the others' with `stemwire enrol`; or allow everybody everything with "
                    + "--insecure, in a network that you trust"
            )
        }
        return nil
    }
}

/// Who sent something.
package struct KnownPeer: Sendable, Hashable {
    package let name: String
    package let role: PeerRole

    /// Who comes by a way that only programs of this machine have, or where nobody is asked.
    package static let local = KnownPeer(name: "local", role: .admin)
}
