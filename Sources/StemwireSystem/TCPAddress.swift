import Glibc

/// A resolved TCP address.
struct TCPAddress {
    var storage: sockaddr_storage
    var length: socklen_t
    var family: Int32

    /// Resolves `host` (a name or a number) to its first address.
    static func resolve(host: String, port: Int, passive: Bool) throws(SystemError) -> TCPAddress {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = passive ? AI_PASSIVE : 0
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard status == 0, let first = found?.pointee, let address = first.ai_addr else {
            throw SystemError(operation: "resolve", code: ENXIO, subject: "\(host):\(port)")
        }
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { target in
            target.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(first.ai_addrlen)))
        }
        return TCPAddress(storage: storage, length: first.ai_addrlen, family: first.ai_family)
    }

    /// Runs `body` with the address in the form the socket calls take.
    mutating func withSocketAddress<Result>(_ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result) -> Result {
        let length = length
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
