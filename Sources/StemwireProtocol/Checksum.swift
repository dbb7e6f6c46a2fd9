import CLibxxhash

/// The checksum of payload parts: xxh3-64 with seed 0 (https://xxhash.com).
public enum Checksum {
    public static func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        stemwire_xxh3(bytes.baseAddress, bytes.count)
    }
}
