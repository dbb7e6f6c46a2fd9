import CLibzmq

/// A public CURVE key: names a peer, may be told to anybody.
public struct CurvePublicKey: Sendable, Hashable, CustomStringConvertible {
    /// The 32 bytes.
    public let bytes: [UInt8]

    /// - Throws: `ZMQError` with ``ZMQError/Code/malformedKey`` unless `z85` is 40 characters of Z85.
    public init(z85: String) throws(ZMQError) {
        bytes = try CurveKeyPair.decode(z85, "public key")
    }

    /// Takes 32 bytes.
    public init(bytes: [UInt8]) throws(ZMQError) {
        guard bytes.count == 32 else {
            throw ZMQError(.malformedKey, "read public key", subject: "of \(bytes.count) bytes")
        }
        self.bytes = bytes
    }

    /// 40 characters.
    public var z85: String { Z85.encode(bytes) ?? "" }
    public var description: String { z85 }
}

/// A secret CURVE key. Its description does not show it.
public struct CurveSecretKey: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// The 32 bytes.
    public let bytes: [UInt8]

    /// - Throws: `ZMQError` with ``ZMQError/Code/malformedKey`` unless `z85` is 40 characters of Z85.
    public init(z85: String) throws(ZMQError) {
        bytes = try CurveKeyPair.decode(z85, "secret key")
    }

    /// Takes 32 bytes.
    public init(bytes: [UInt8]) throws(ZMQError) {
        guard bytes.count == 32 else {
            throw ZMQError(.malformedKey, "read secret key", subject: "of \(bytes.count) bytes")
        }
        self.bytes = bytes
    }

    /// 40 characters.
    public var z85: String { Z85.encode(bytes) ?? "" }

    /// The public key that belongs to it.
    ///
    /// - Throws: `ZMQError` with ``ZMQError/Code/notSupported`` when libzmq was built without CURVE.
    public var publicKey: CurvePublicKey {
        get throws(ZMQError) {
            var text = [CChar](repeating: 0, count: 41)
            guard zmq_curve_public(&text, z85) == 0 else { throw .last("derive public key") }
            return try CurvePublicKey(z85: String(nulTerminated: text))
        }
    }

    public var description: String { "secret key" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A CURVE key pair: what a server or a client proves itself by.
public struct CurveKeyPair: Sendable, Hashable {
    public let publicKey: CurvePublicKey
    public let secretKey: CurveSecretKey

    /// The pair of a secret key.
    public init(secretKey: CurveSecretKey) throws(ZMQError) {
        self.secretKey = secretKey
        publicKey = try secretKey.publicKey
    }

    private init(publicKey: CurvePublicKey, secretKey: CurveSecretKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// A new random pair.
    ///
    /// - Throws: `ZMQError` with ``ZMQError/Code/notSupported`` when libzmq was built without CURVE
    ///   (``ZMQLibrary/has(_:)``).
    public static func generate() throws(ZMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: 41)
        var secretText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .last("generate key pair") }
        return CurveKeyPair(
            publicKey: try CurvePublicKey(z85: String(nulTerminated: publicText)),
            secretKey: try CurveSecretKey(z85: String(nulTerminated: secretText)))
    }

    static func decode(_ z85: String, _ what: String) throws(ZMQError) -> [UInt8] {
        guard let bytes = Z85.decode(z85), bytes.count == 32 else {
            throw ZMQError(.malformedKey, "read \(what)", subject: "of \(z85.utf8.count) characters")
        }
        return bytes
    }
}

/// Which part a socket plays in CURVE. Both sides of a connection must have one.
public enum CurveRole: Sendable, Hashable {
    /// Accepts clients that know the public key of `secretKey`. Which clients, only a ZAP authenticator decides.
    case server(secretKey: CurveSecretKey)
    /// Connects to the server that has `server` as its public key, and to nobody who only pretends to be it.
    case client(CurveKeyPair, server: CurvePublicKey)

    func apply(to core: SocketCore) throws(ZMQError) {
        switch self {
        case .server(let secretKey):
            try core.set("curve server", ZMQ_CURVE_SERVER, Int32(1))
            try core.set("curve secret key", ZMQ_CURVE_SECRETKEY, bytes: secretKey.bytes)
        case .client(let pair, let server):
            try core.set("curve server key", ZMQ_CURVE_SERVERKEY, bytes: server.bytes)
            try core.set("curve public key", ZMQ_CURVE_PUBLICKEY, bytes: pair.publicKey.bytes)
            try core.set("curve secret key", ZMQ_CURVE_SECRETKEY, bytes: pair.secretKey.bytes)
        }
    }
}

extension String {
    init(nulTerminated text: [CChar]) {
        self.init(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
