import Glibc

/// Names of machines in the network.
public enum HostName {
    /// The addresses of a host, as numbers.
    ///
    /// - Throws: `SystemError` with `ENXIO` for a name that is not known.
    public static func addresses(of host: String) throws(SystemError) -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard status == 0 else { throw SystemError(operation: "resolve", code: ENXIO, subject: host) }
        var numbers: [String] = []
        var next = found
        while let entry = next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                numbers.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            next = entry.ai_next
        }
        return numbers
    }
}
