import StemwireKernels

extension ResultArray {
    /// Of type, shape and numbers: by which machines see whether they mean the same data. 64 bits, no secret, the same
    /// everywhere.
    ///
    /// As FNV-1a (Fowler, Noll, Vo), but eight bytes at a time with the upper half brought down after each step, since
    /// arrays can be large.
    var dataHash: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 32
        }
        for byte in "\(dtype.rawValue) \(shape)".utf8 { add(UInt64(byte)) }
        withUnsafeBytes { bytes in
            var index = 0
            while index + 8 <= bytes.count {
                add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
                index += 8
            }
            for byte in bytes[index...] { add(UInt64(byte)) }
        }
        return hash
    }
}
