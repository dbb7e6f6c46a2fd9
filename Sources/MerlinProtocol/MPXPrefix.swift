/// The 15 bytes before every message on both sockets: `MPX,`, ten digits L, and a comma.
///
/// L counts the comma: L = bytes of the body + 1.
public enum MPXPrefix {
    public static let byteCount = 15
    /// The largest body whose length ten digits can tell.
    public static let maximumBodyBytes = 9_999_999_998

    /// Writes the prefix of a body.
    ///
    /// - Parameters:
    ///   - bodyBytes: 0…``maximumBodyBytes``.
    ///   - destination: at least ``byteCount`` bytes.
    public static func write(bodyBytes: Int, into destination: UnsafeMutableRawBufferPointer) {
        precondition((0...maximumBodyBytes).contains(bodyBytes), "no MPX prefix can tell \(bodyBytes) bytes")
        precondition(destination.count >= byteCount, "an MPX prefix takes \(byteCount) bytes")
        destination.storeBytes(of: mark.littleEndian, toByteOffset: 0, as: UInt32.self)
        var rest = bodyBytes + 1
        for index in stride(from: 13, through: 4, by: -1) {
            destination[index] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        destination[14] = UInt8(ascii: ",")
    }

    /// The prefix of a body of `bodyBytes` bytes.
    public static func encoded(bodyBytes: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            write(bodyBytes: bodyBytes, into: UnsafeMutableRawBufferPointer(buffer))
            count = byteCount
        }
    }

    /// The body's size that the first 15 bytes tell, or nil if they are no prefix or tell L = 0.
    @inline(__always)
    public static func bodyBytes(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= byteCount, case .whole(let length) = read(bytes, at: 0), length > 0 else { return nil }
        return length - 1
    }

    /// `MPX,` as a little-endian word.
    static let mark: UInt32 = 0x2C58_504D

    enum Reading: Equatable {
        /// A prefix with this L.
        case whole(Int)
        /// The buffer ends inside what may become a prefix.
        case partial
        case none
    }

    /// What stands at `offset`, which must lie in the buffer or at its end.
    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Reading {
        let available = bytes.count &- offset
        guard available >= byteCount else { return readPartial(bytes, at: offset) }
        guard bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian == mark,
            bytes[offset &+ 14] == UInt8(ascii: ",")
        else { return .none }
        var length = 0
        for index in (offset &+ 4)..<(offset &+ 14) {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return .none }
            length = length &* 10 &+ Int(digit)
        }
        return .whole(length)
    }

    private static func readPartial(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Reading {
        for index in 0..<(bytes.count - offset) {
            let byte = bytes[offset + index]
            let fits =
                switch index {
                case 0: byte == UInt8(ascii: "M")
                case 1: byte == UInt8(ascii: "P")
                case 2: byte == UInt8(ascii: "X")
                case 3: byte == UInt8(ascii: ",")
                default: byte &- UInt8(ascii: "0") <= 9
                }
            guard fits else { return .none }
        }
        return .partial
    }
}
