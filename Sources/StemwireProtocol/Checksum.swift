import CLibxxhash

/// The checksum of payload parts: xxh3-64 with seed 0 (https://xxhash.com).
public enum Checksum {
    public static func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        stemwire_xxh3(bytes.baseAddress, bytes.count)
    }

    /// The digest of a result in its manifest: xxh3-128 with seed 0 in its canonical form, as 32 hexadecimal digits.
    public static func digest(_ bytes: UnsafeRawBufferPointer) -> String {
        let hash = [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
            stemwire_xxh3_128(bytes.baseAddress, bytes.count, buffer.baseAddress)
            count = 16
        }
        return hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// CRC-32 as of zlib and PNG, for short texts: every language has it.
    public static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { value, byte in
            (0..<8).reduce(value ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
    }
}
