/// A question of libzmq to its authenticator (ZeroMQ RFC 27): may this peer come in?
///
/// The authenticator is a ROUTER or REP socket bound to ``endpoint`` in the context of the sockets that it guards. As long as
/// there is none, a socket with `zapEnforceDomain` lets nobody in.
public struct ZAPRequest: Sendable, Hashable {
    /// Where libzmq asks.
    public static let endpoint = "inproc://zeromq.zap.01"

    /// How a peer says who it is.
    public enum Credentials: Sendable, Hashable {
        case none
        case curve(CurvePublicKey)
        case other(mechanism: String)
    }

    let id: [UInt8]
    /// The `zapDomain` of the socket that it connects to.
    public let domain: String
    /// The address that it comes from, without a port.
    public let address: String
    public let credentials: Credentials

    /// Reads the parts behind the delimiter; nil for what is no request of version 1.0.
    public init?(_ parts: ArraySlice<ReceivedPart>) {
        let parts = Array(parts)
        guard parts.count >= 6, parts[0].text == "1.0", let domain = parts[2].text, let mechanism = parts[5].text else {
            return nil
        }
        id = parts[1].bytes
        self.domain = domain
        address = parts[3].text ?? ""
        switch mechanism {
        case "NULL": credentials = .none
        case "CURVE" where parts.count == 7:
            guard let key = try? CurvePublicKey(bytes: parts[6].bytes) else { return nil }
            credentials = .curve(key)
        default: credentials = .other(mechanism: mechanism)
        }
    }

    /// The parts of the answer that lets the peer in, as `userID`: its messages carry it (``ReceivedPart/userID``).
    public func allow(userID: String) -> [[UInt8]] { answer("200", "", userID) }

    /// The answer that refuses the peer.
    ///
    /// - Parameter isForGood: else it tries again by itself.
    public func refuse(_ why: String, isForGood: Bool = true) -> [[UInt8]] {
        answer(isForGood ? "400" : "300", why, "")
    }

    private func answer(_ code: String, _ text: String, _ userID: String) -> [[UInt8]] {
        [Array("1.0".utf8), id, Array(code.utf8), Array(text.utf8.prefix(255)), Array(userID.utf8.prefix(255)), []]
    }
}
