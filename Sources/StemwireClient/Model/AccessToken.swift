import Glibc
import StemwireProtocol
import StemwireSystem
import ZeroMQ

/// What `stemwire enrol` gives a peer: the server's public key and a key pair of the peer's own, in one line of text.
///
/// The text is `stemwire1_` and base64url (RFC 4648, without padding) of 100 bytes: the server's public key, the peer's public
/// key, the peer's secret key, 32 bytes each, and the CRC-32 of these 96, big-endian.
public struct AccessToken: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    private static let prefix = "stemwire1_"
    private static let keyBytes = 32

    /// The server's public key.
    public let serverKey: CurvePublicKey
    /// The peer's own pair.
    public let keys: CurveKeyPair

    public init(serverKey: CurvePublicKey, keys: CurveKeyPair) {
        self.serverKey = serverKey
        self.keys = keys
    }

    /// Reads a token's text; blanks and line ends around it are left out.
    public init(_ text: String) throws(TokenError) {
        let words = text.split { $0.isWhitespace }
        guard words.count == 1, let word = words.first else {
            throw .malformed("it is \(words.isEmpty ? "empty" : "not one word")")
        }
        guard word.hasPrefix(Self.prefix) else {
            throw .malformed(
                word.hasPrefix("stemwire") ? "it is of another version" : "it does not begin with \(Self.prefix)")
        }
        guard let bytes = Self.decode(word.dropFirst(Self.prefix.count)), bytes.count == 3 * Self.keyBytes + 4 else {
            throw .malformed("it is not whole, or has characters that do not belong there")
        }
        let content = bytes[..<(3 * Self.keyBytes)]
        let sum = bytes[(3 * Self.keyBytes)...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard Checksum.crc32(content) == sum else { throw .malformed("a character of it is wrong") }
        let parts = (0..<3).map { Array(content[($0 * Self.keyBytes)..<(($0 + 1) * Self.keyBytes)]) }
        do throws(ZMQError) {
            serverKey = try CurvePublicKey(bytes: parts[0])
            keys = try CurveKeyPair(secretKey: try CurveSecretKey(bytes: parts[2]))
        } catch {
            throw .malformed(error.description)
        }
        guard keys.publicKey.bytes == parts[1] else { throw .malformed("its two own keys do not belong together") }
    }

    /// What to give to the peer. A secret.
    public var text: String {
        let content = serverKey.bytes + keys.publicKey.bytes + keys.secretKey.bytes
        let sum = Checksum.crc32(content)
        return Self.prefix + Self.encode(content + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) })
    }

    package var curve: CurveRole { .client(keys, server: serverKey) }

    public var description: String { "token of the key \(keys.publicKey)" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    // MARK: Where it is kept

    /// Reads the token that a user named: from a file that nobody else may read, or standard input for `-`. Without a name,
    /// what `STEMWIRE_TOKEN` holds: the token itself, or a file's path.
    ///
    /// - Returns: nil when there is none.
    public static func find(_ source: String?) throws(TokenError) -> AccessToken? {
        if let source {
            guard !source.hasPrefix(prefix) else { throw .onCommandLine }
            return try AccessToken(contentsOf: source)
        }
        guard let value = getenv("STEMWIRE_TOKEN").map({ String(cString: $0) }), !value.isEmpty else { return nil }
        return value.hasPrefix("stemwire") && !value.contains("/")
            ? try AccessToken(value) : try AccessToken(contentsOf: value)
    }

    /// Reads a token from a file that nobody else may read, or from standard input for `-`.
    public init(contentsOf path: String) throws(TokenError) {
        let text: String
        do throws(PrivateFileError) {
            text = try PrivateFile.read(path == "-" ? "/dev/stdin" : path, limit: 4096)
        } catch {
            throw .file(error)
        }
        try self.init(text)
    }

    // MARK: base64url

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    private static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var (bits, held) = (UInt32(0), 0)
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            held += 8
            while held >= 6 {
                held -= 6
                text.append(alphabet[Int(bits >> UInt32(held)) & 63])
            }
        }
        if held > 0 { text.append(alphabet[Int(bits << UInt32(6 - held)) & 63]) }
        return String(decoding: text, as: UTF8.self)
    }

    private static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (bits, held) = (UInt32(0), 0)
        for character in text.utf8 {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            bits = bits << 6 | UInt32(value)
            held += 6
            guard held >= 8 else { continue }
            held -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
        }
        return bytes
    }
}

/// Why a token cannot be used.
public enum TokenError: Error, Sendable, CustomStringConvertible {
    case malformed(String)
    case file(PrivateFileError)
    /// Given where other users of the machine can see it.
    case onCommandLine

    public var description: String {
        switch self {
        case .malformed(let why): "that is no token: \(why); copy the whole line that `stemwire enrol` printed"
        case .file(let error): "the token cannot be read: \(error)"
        case .onCommandLine:
            "a token on the command line can be seen by everybody on this machine: put it into a file (chmod 600) and name that, "
                + "or into STEMWIRE_TOKEN"
        }
    }
}
