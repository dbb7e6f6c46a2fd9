/// Who may speak to the viewer over HTTP.
///
/// A page of another site that the user has open must not reach a viewer on the user's machine: its requests carry that
/// site's origin, and, when it plays with names (DNS rebinding), that site's name as the host.
struct AccessRules: Sendable {
    /// Names of this machine by which pages may call it, whatever the port: a tunnel has another one.
    private static let loopbackNames: Set<String> = ["localhost", "127.0.0.1", "[::1]"]

    /// Whether other machines reach the viewer, by names that cannot be known.
    let acceptsAnyHost: Bool
    /// Further origins that may connect, such as `https://hub.example.org` of a proxy.
    let origins: Set<String>

    init(acceptsAnyHost: Bool, origins: some Sequence<String>) {
        self.acceptsAnyHost = acceptsAnyHost
        self.origins = Set(origins.map { $0.lowercased() })
    }

    static func isLoopback(_ host: String) -> Bool {
        ["127.0.0.1", "localhost", "::1"].contains(host)
    }

    /// Whether a request with these `Host` headers is for this server.
    func allows(host hosts: [String]) -> Bool {
        guard hosts.count == 1, let host = hosts.first?.lowercased() else { return false }
        if acceptsAnyHost { return true }
        return Self.loopbackNames.contains(Self.name(host))
            || origins.contains {
                $0.split(separator: "/", omittingEmptySubsequences: true).last.map { $0 == host } ?? false
            }
    }

    /// Whether a WebSocket may be opened: programs send no `Origin`, pages that of where they came from.
    func allows(origin found: [String], host: String) -> Bool {
        guard let origin = found.first?.lowercased() else { return true }
        guard found.count == 1 else { return false }
        if origins.contains(origin) { return true }
        for scheme in ["http://", "https://"] where origin.hasPrefix(scheme) {
            return origin.dropFirst(scheme.count) == host.lowercased()
        }
        return false
    }

    /// A host without its port.
    private static func name(_ host: String) -> String {
        if host.first == "[" { return String(host.prefix { $0 != "]" }) + "]" }
        return String(host.prefix { $0 != ":" })
    }
}
