import StemwireProtocol

/// Who has shown the viewer a token.
public struct ViewerGuest: Sendable, Hashable {
    /// By which the token was enrolled.
    public let name: String
    public let role: PeerRole

    public init(name: String, role: PeerRole) {
        self.name = name
        self.role = role
    }
}

/// Whose a token is; nil for nobody's. Asked anew for each request, and again and again while a page is connected.
///
/// - Parameter isNew: false for one who is in already.
public typealias GuestBook = @Sendable (_ token: String, _ isNew: Bool) -> ViewerGuest?

/// Lets in who comes by HTTP or WebSocket. No input or output but the guest book's.
struct PageAccess: Sendable {
    /// Nil: nobody is asked.
    let guests: GuestBook?
    /// Whether pages may look only, whoever they are.
    let looksOnly: Bool

    /// One who was let in.
    struct Visitor: Sendable {
        /// Nil where nobody is asked.
        let token: String?
        var guest: ViewerGuest?
    }

    var asks: Bool { guests != nil }

    /// By the `Authorization` headers of a request.
    ///
    /// - Throws: ``Refusal``.
    func admit(authorization headers: [String]) throws(Refusal) -> Visitor {
        guard let guests else { return Visitor(token: nil) }
        guard let header = headers.first, headers.count == 1 else { throw .noToken }
        let words = header.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "bearer" else { throw .noToken }
        return try admit(token: String(words[1]), guests)
    }

    /// By a page's first message.
    func admit(token: String) throws(Refusal) -> Visitor {
        guard let guests else { return Visitor(token: nil) }
        return try admit(token: token, guests)
    }

    private func admit(token: String, _ guests: GuestBook) throws(Refusal) -> Visitor {
        guard let guest = guests(token, true) else { throw .unknown }
        return Visitor(token: token, guest: guest)
    }

    /// Whether one who is in may stay; with the role that the token has by now.
    func stays(_ visitor: Visitor) -> Visitor? {
        guard let guests, let token = visitor.token else { return visitor }
        return guests(token, false).map { Visitor(token: token, guest: $0) }
    }

    /// What a visitor may do, with what the viewer itself may do at the acquisition server.
    func permission(_ visitor: Visitor, at server: PeerRole?) -> PagePermission {
        PagePermission(looksOnly: looksOnly, guest: visitor.guest, server: server)
    }

    /// Why somebody is not let in.
    enum Refusal: Error, CustomStringConvertible {
        case noToken
        case unknown

        var description: String {
            switch self {
            case .noToken: "this viewer needs a token; `stemwire enrol --web` makes one"
            case .unknown: "this token is not let in: revoked, or of another server"
            }
        }
    }
}

/// What a page may do, and why no more.
struct PagePermission: Sendable, Equatable {
    /// Whether it may command the detector, and have virtual detectors.
    let mayControl: Bool
    /// Whether the viewer is one to look at, so that there is nothing to explain.
    let looksOnly: Bool
    /// Who it is; nil where nobody is asked.
    let guest: ViewerGuest?
    /// Why it may not control; empty when it may.
    let reason: String

    /// - Parameter server: the viewer's own role at the acquisition server; nil while that is not known.
    init(looksOnly: Bool = false, guest: ViewerGuest? = nil, server: PeerRole? = nil) {
        self.looksOnly = looksOnly
        self.guest = guest
        if looksOnly {
            reason = "this viewer may look only"
        } else if let guest, guest.role < .controller {
            reason = "the token “\(guest.name)” is a \(guest.role)'s; this needs a controller's"
        } else if let server, server < .controller {
            reason = "the viewer's own key is a \(server)'s at the acquisition server; this needs a controller's"
        } else {
            reason = ""
        }
        mayControl = reason.isEmpty
    }
}
