import CLibsodium

/// What a page or a program shows to be let in by HTTP: `stemweb1_` and 32 random bytes in hexadecimal digits. A secret.
public struct WebToken: Sendable, CustomStringConvertible, CustomReflectable {
    private static let prefix = "stemweb1_"
    private static let secretBytes = 32
    /// Characters of every token's text.
    public static let length = prefix.utf8.count + 2 * secretBytes

    /// What to give to whom it is for.
    public let text: String

    /// A new one.
    public static func make() -> WebToken {
        // More than once does no harm.
        _ = sodium_init()
        var bytes = [UInt8](repeating: 0, count: secretBytes)
        randombytes_buf(&bytes, bytes.count)
        return WebToken(text: prefix + bytes.hexadecimal)
    }

    private init(text: String) { self.text = text }

    /// Reads a token's text.
    ///
    /// - Returns: nil for what cannot be one.
    public init?(_ text: String) {
        guard text.utf8.count == Self.length, text.hasPrefix(Self.prefix),
            [UInt8](hexadecimal: text.dropFirst(Self.prefix.count)) != nil
        else { return nil }
        self.init(text: text)
    }

    public var hash: WebTokenHash { WebTokenHash(of: text) }

    public var description: String { "a web token" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The SHA-256 of a web token's text: all that is kept of it.
public struct WebTokenHash: Sendable, Hashable, CustomStringConvertible {
    private static let prefix = "sha256:"
    private let bytes: [UInt8]

    fileprivate init(of token: String) {
        var bytes = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        let text = Array(token.utf8)
        _ = crypto_hash_sha256(&bytes, text, UInt64(text.count))
        self.bytes = bytes
    }

    /// Reads what `description` writes.
    init?(_ text: some StringProtocol) {
        guard text.hasPrefix(Self.prefix), let bytes = [UInt8](hexadecimal: text.dropFirst(Self.prefix.count)),
            bytes.count == Int(crypto_hash_sha256_BYTES)
        else { return nil }
        self.bytes = bytes
    }

    /// Compares in a time that does not tell how much of them is alike.
    func isSame(as other: WebTokenHash) -> Bool { sodium_memcmp(bytes, other.bytes, bytes.count) == 0 }

    public var description: String { Self.prefix + bytes.hexadecimal }
}

extension [UInt8] {
    fileprivate var hexadecimal: String {
        let digits = Array<UInt8>("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Of lower-case digits.
    fileprivate init?(hexadecimal text: some StringProtocol) {
        func value(_ digit: UInt8) -> UInt8? {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        let values = text.utf8.map(value)
        guard values.count % 2 == 0, !values.contains(nil) else { return nil }
        self = stride(from: 0, to: values.count, by: 2).map { values[$0]! << 4 | values[$0 + 1]! }
    }
}
