import StemwireProtocol
import ZeroMQ

/// Who may come in, and as what: the content of an allow-list file. I/O-free.
///
/// A line for each peer: name, role and public key (40 characters of Z85), with blanks between; or, for one that comes by
/// HTTP, name, role and the hash of its token (`sha256:` and 64 hexadecimal digits). Lines that begin with `#` and empty ones
/// mean nothing.
public struct AllowList: Sendable, Equatable {
    public struct Entry: Sendable, Hashable {
        public let name: String
        public let role: PeerRole
        public let key: CurvePublicKey

        public init(name: String, role: PeerRole, key: CurvePublicKey) {
            self.name = name
            self.role = role
            self.key = key
        }
    }

    /// Who comes by HTTP, with a token.
    public struct Page: Sendable, Hashable {
        public let name: String
        public let role: PeerRole
        public let token: WebTokenHash

        public init(name: String, role: PeerRole, token: WebTokenHash) {
            self.name = name
            self.role = role
            self.token = token
        }
    }

    static let longestName = 64

    /// Those with keys.
    public private(set) var entries: [Entry] = []
    /// Those with web tokens.
    public private(set) var pages: [Page] = []
    /// Lines that let nobody in, since they cannot be read.
    public private(set) var problems: [String] = []

    public init() {}

    /// Reads what can be read; the rest is in ``problems``.
    public init(_ text: String) {
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
            guard let first = words.first, first.first != "#" else { continue }
            do throws(AllowListError) {
                guard words.count == 3 else {
                    throw .badLine("a line is NAME ROLE KEY; this one has \(words.count) words")
                }
                guard let role = PeerRole(rawValue: String(words[1])) else { throw .unknownRole(String(words[1])) }
                if let token = WebTokenHash(words[2]) {
                    try add(Page(name: String(words[0]), role: role, token: token))
                    continue
                }
                guard let key = try? CurvePublicKey(z85: String(words[2])) else {
                    throw .badLine("a key has 40 characters of Z85; a web token's hash is sha256: and 64 digits")
                }
                try add(Entry(name: String(words[0]), role: role, key: key))
            } catch {
                problems.append("line \(number + 1): \(error)")
            }
        }
    }

    /// The file's content.
    public var text: String {
        """
        # Who may come in: name, role (viewer < controller < worker < admin), public key or hash of a web token.
        # Written by `stemwire enrol` and `stemwire revoke`; a running server heeds changes at once.

        """ + entries.map { "\($0.name) \($0.role) \($0.key.z85)\n" }.joined()
            + pages.map { "\($0.name) \($0.role) \($0.token)\n" }.joined()
    }

    /// - Throws: `AllowListError` for a name or a key that is there already, or cannot be.
    public mutating func add(_ entry: Entry) throws(AllowListError) {
        try check(entry.name)
        guard !entries.contains(where: { $0.key == entry.key }) else { throw .badLine("the key is there already") }
        entries.append(entry)
    }

    /// - Throws: `AllowListError` for a name or a token that is there already, or cannot be; for a role that no page has.
    public mutating func add(_ page: Page) throws(AllowListError) {
        try check(page.name)
        guard page.role != .worker else { throw .noPageRole(page.role) }
        guard !pages.contains(where: { $0.token == page.token }) else { throw .badLine("the token is there already") }
        pages.append(page)
    }

    private func check(_ name: String) throws(AllowListError) {
        let isName = name.utf8.allSatisfy { byte in
            byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#") && byte != UInt8(ascii: "\"")
        }
        guard isName, (1...Self.longestName).contains(name.utf8.count) else { throw .badName(name) }
        guard !entries.contains(where: { $0.name == name }), !pages.contains(where: { $0.name == name }) else {
            throw .nameIsTaken(name)
        }
    }

    /// - Throws: `AllowListError.unknownName`.
    public mutating func remove(_ name: String) throws(AllowListError) {
        guard entries.contains(where: { $0.name == name }) || pages.contains(where: { $0.name == name }) else {
            throw .unknownName(name)
        }
        entries.removeAll { $0.name == name }
        pages.removeAll { $0.name == name }
    }
}

/// What cannot stand in an allow list.
public enum AllowListError: Error, Sendable, Hashable, CustomStringConvertible {
    case badName(String)
    case nameIsTaken(String)
    case unknownName(String)
    case unknownRole(String)
    /// A role that one who comes by HTTP cannot have.
    case noPageRole(PeerRole)
    case badLine(String)

    public var description: String {
        switch self {
        case .badName(let name):
            "\"\(name)\" is no name: 1 to \(AllowList.longestName) printable ASCII characters without blanks, # and quotes"
        case .nameIsTaken(let name): "\(name) is enrolled already; revoke it first, or choose another name"
        case .unknownName(let name): "nobody called \(name) is enrolled"
        case .unknownRole(let role):
            "\"\(role)\" is none of the roles \(PeerRole.allCases.map(\.rawValue).joined(separator: ", "))"
        case .noPageRole(let role):
            "a web token is a viewer's, a controller's or an admin's: nobody comes by HTTP as \(role)"
        case .badLine(let why): why
        }
    }
}
