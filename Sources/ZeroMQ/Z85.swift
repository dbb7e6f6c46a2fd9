import CLibzmq

/// ZeroMQ's text form of bytes (RFC 32): 5 printable characters for each 4 bytes.
public enum Z85 {
    /// nil unless the number of bytes is a multiple of 4.
    public static func encode(_ bytes: [UInt8]) -> String? {
        guard bytes.count % 4 == 0 else { return nil }
        var text = [CChar](repeating: 0, count: bytes.count / 4 * 5 + 1)
        guard zmq_z85_encode(&text, bytes, bytes.count) != nil else { return nil }
        return String(nulTerminated: text)
    }

    /// nil unless `text` is Z85: characters of its alphabet only, their number a multiple of 5, no group above 2³²−1.
    public static func decode(_ text: String) -> [UInt8]? {
        let length = text.utf8.count
        guard length % 5 == 0, !text.utf8.contains(0) else { return nil }
        guard length > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: length / 5 * 4)
        return zmq_z85_decode(&bytes, text) == nil ? nil : bytes
    }
}
